"""A worker for the tests to stop: writes in the way that its argument names, forever. Not a test itself."""

import os
import signal
import sys
from collections.abc import Iterator, Sequence

from projector.fold.delta import Upsert
from projector.ports import Batch, Fenced, StoreUnavailable
from projector.stores.postgres import PostgresStore, load_build, messages
from tests.contract.store_contract import FIRST, commit, counted, move


def stop(number: int) -> None:
    """Stop ourselves as soon as the given call has begun: nobody else can do it at the right moment."""
    print(number, flush=True)  # noqa: T201 - the test reads it
    os.kill(os.getpid(), signal.SIGSTOP)


def idle_in_transaction(store: PostgresStore) -> None:
    """Stop with the checkpoint locked, as a worker with a transaction of several messages would."""
    connection, _ = store._idle()
    with connection.transaction():
        connection.execute(messages.move(store._build, 1, [move(0, 1)], [None]))
        stop(1)


def while_copying(store: PostgresStore) -> None:
    """Stop in the middle of a COPY."""
    lines = store._encoder.lines

    def stop_and_go_on(rows: Sequence[Upsert]) -> Iterator[bytes]:
        stop(1)
        yield from lines(rows)

    store._encoder.lines = stop_and_go_on  # type: ignore[method-assign]
    commit(store, [move(0, 1)], counted("a"))


def anywhere(store: PostgresStore) -> None:
    """Commit without pause; the test stops us where it likes."""
    deltas = {key: delta for number in range(800) for key, delta in counted(f"{number:04d}" * 40).items()}
    position = store.positions([FIRST])[FIRST].offset
    while True:
        commit(store, [move(position, position + 1)], deltas)
        position += 1
        print(position, flush=True)  # noqa: T201 - the test reads it


def between(store: PostgresStore) -> None:
    """Stop with a batch on its way."""
    store.submit(Batch([move(0, 1)], counted("a")))
    stop(1)
    store.settle()


def main() -> int:
    """Arguments: URI, build, way of writing, rows from which to copy."""
    uri, build, way, copy_from = sys.argv[1:]
    store = PostgresStore(lambda: uri, load_build(uri, int(build)), 1, copy_from=int(copy_from))
    ways = {"idle": idle_in_transaction, "copying": while_copying, "anywhere": anywhere, "between": between}
    try:
        ways[way](store)
    except Fenced:
        return 3
    except StoreUnavailable:
        return 4
    return 0


if __name__ == "__main__":
    sys.exit(main())
