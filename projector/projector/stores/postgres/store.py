"""Rows and checkpoints of one build in PostgreSQL.

A commit is one transaction in one message: the compare-and-set of the checkpoints, the events to park and the rows. The
server has all of it before it begins, so a worker may be stopped at any moment and holds no lock; it stops at the
compare-and-set where that fails, so no round trip is spent on looking. Rows of a large batch are copied into the
session's own table before, in a transaction of its own that locks nothing others need. While the server works on the
message the worker folds on: only `settle` waits.

The caller's one thread owns the store. A crash before COMMIT leaves the database as it was; where the answer to COMMIT
is lost, `settle` raises StoreUnavailable and `positions` tells what happened.
"""

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, LiteralString

import psycopg
from psycopg import ClientCursor, Connection, pq, sql
from psycopg.adapt import Transformer

from projector.fold.delta import Key, Writes
from projector.ports import Batch, Fenced, Partition, Place, StoreUnavailable, Stuck
from projector.stores.postgres import faults, messages, statements
from projector.stores.postgres.builds import BuildSpec
from projector.stores.postgres.connection import address, connect, require_version
from projector.stores.postgres.definitions import Ordering
from projector.stores.postgres.encode import Encoder
from projector.stores.postgres.flight import Flight
from projector.stores.postgres.keys import key_of
from projector.stores.postgres.layout import Layout
from projector.stores.postgres.rows import Way, Writer
from projector.stores.postgres.wire import Wire

COPY_FROM_ROWS = 2_500
"""Rows from which copying is faster than sending arrays, measured in docs/adr/0003-write-path.md."""

MAX_PARKED_KEYS = 100
"""Parked keys that a build may have, where the spec does not say."""

_SETTINGS = {
    "client_encoding": "UTF8",
    "standard_conforming_strings": "on",
    "statement_timeout": "10s",
    "lock_timeout": "5s",
    # One plan for ever, made when the table may be empty: it must be the one by the key's index.
    "plan_cache_mode": "force_generic_plan",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "enable_seqscan": "off",
    "jit": "off",
}

_POSITIONS = """
SELECT c.topic_id, c.partition, c.next_offset, c.parked_generation, c.ctid::text, ARRAY(
    SELECT k.key FROM projections.parked_key k
    WHERE k.build = c.build AND k.topic_id = c.topic_id AND k.partition = c.partition
)
FROM projections.checkpoint c WHERE c.build = %s AND c.epoch = %s
"""
# A worker that was stopped in the middle of a COPY is in no timeout of the server's, for its session is neither idle
# nor at work. It locks nothing, but what it might see can not be vacuumed; whoever takes over the build ends it.
_END_STOPPED = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE application_name = current_setting('application_name') AND usename = current_user AND datname = current_database()
    AND pid <> pg_backend_pid() AND wait_event = 'ClientRead' AND xact_start < clock_timestamp() - interval '5 seconds'
"""
_DISCARDED = """
SELECT EXISTS (
    SELECT FROM projections.discarded d JOIN projections.build b ON b.projection = d.projection
    WHERE b.number = %s AND d.topic_id = %s AND d.partition = %s AND d."offset" = %s
)
"""
_STUCK = """
UPDATE projections.checkpoint SET stuck_offset = %s, stuck_message = %s
WHERE build = %s AND epoch = %s AND topic_id = %s AND partition = %s RETURNING partition
"""
_TID = re.compile(rb"\(\d+,\d+\)")


@dataclass(frozen=True, slots=True)
class _Submitted:
    """What is on its way: `lanes` in the order of the message."""

    flight: Flight
    lanes: list[Partition]
    deltas: Writes


class PostgresStore:
    """`projector.ports.Store` for the workers of one build under one epoch.

    `uri` is asked at each connect, since a Secret may change; where it cannot tell it raises StoreUnavailable.
    `copy_from` is the number of keys from which a batch is copied instead of sent as arrays. `max_parked_keys` is the
    number of parked keys that the build may have.
    """

    def __init__(
        self,
        uri: Callable[[], str],
        build: BuildSpec,
        epoch: int,
        *,
        copy_from: int = COPY_FROM_ROWS,
        max_parked_keys: int = MAX_PARKED_KEYS,
    ) -> None:
        self._uri = uri
        self._build = build.build
        self._epoch = epoch
        self._max_parked = max_parked_keys
        self._layout = Layout(build.definition)
        self._encoder = Encoder(self._layout)
        table = statements.Table(build.schema, build.table, self._layout)
        self._existing = statements.existing(table)
        self._writer = Writer(table, self._encoder, copy_from)
        self._target = ""
        self._connection: Connection | None = None
        self._wire: Wire | None = None
        self._submitted: _Submitted | None = None
        self._owed = False
        self._outcome: Exception | None = None
        self._places: dict[Partition, str] = {}

    def positions(self, partitions: Sequence[Partition]) -> Mapping[Partition, Place]:
        """Checkpoints of the partitions; raises Fenced where the build was given up or a row is missing."""
        with self._translated():
            self._ask(_END_STOPPED)
            rows = self._ask(_POSITIONS, self._build, self._epoch)
        found = {(topic_id, number): values for topic_id, number, *values in rows}
        if not found:
            raise Fenced(f"build {self._build} was given up: it has no checkpoints of epoch {self._epoch}")
        missing = [f"{p.topic}-{p.number}" for p in partitions if (p.topic_id, p.number) not in found]
        if missing:
            raise Fenced(f"build {self._build} has no checkpoint for {', '.join(missing)}")
        return {p: self._place(p, *found[p.topic_id, p.number]) for p in partitions}

    def existing(self, keys: Collection[Key]) -> frozenset[Key]:
        """Those of the keys that have a row."""
        asked = list(keys)
        if not asked:
            return frozenset()
        with self._translated():
            rows = self._ask(self._existing, *map(list, zip(*asked, strict=True)))
        return frozenset(asked[number - 1] for (number,) in rows)

    def prepare(self, deltas: Writes) -> None:
        """Sort the rows."""
        self._writer.prepare(deltas)

    def submit(self, batch: Batch) -> None:
        """Send a transaction whose first statement is the compare-and-set; returns when the server has all of it.

        Raises StoreUnavailable, and BadRow for values that have no text form.
        """
        if not batch.moves:
            raise ValueError("a commit without a move has nothing to be fenced by")
        if self._owed:
            raise RuntimeError("nobody asked yet what became of the batch before")
        with self._translated(batch.deltas):
            self._send(batch)
        self._owed = True

    def ready(self) -> bool:
        """Whether `settle` would not wait."""
        if self._submitted is None:
            return True
        try:
            return self._submitted.flight.ready()
        except (psycopg.Error, StoreUnavailable) as error:
            self._landed(error)
            return True

    def settle(self) -> None:
        """Wait for the outcome; raises Fenced, StoreUnavailable, BadRow, TooManyParked.

        Returns at once where no outcome is owed.
        """
        self._land()
        outcome, self._outcome, self._owed = self._outcome, None, False
        if outcome is not None:
            raise outcome

    def discarded(self, partition: Partition, offset: int) -> bool:
        """Whether someone decided that this event is to be passed over."""
        with self._translated():
            ((discarded,),) = self._ask(_DISCARDED, self._build, partition.topic_id, partition.number, offset)
        return bool(discarded)

    def report_stuck(self, stuck: Stuck) -> None:
        """Record why the partition stands still; raises Fenced where the checkpoint is not this epoch's."""
        self._set_stuck(stuck.partition, stuck.offset, stuck.message)

    def clear_stuck(self, partition: Partition) -> None:
        """The partition goes on; raises Fenced where the checkpoint is not this epoch's."""
        self._set_stuck(partition, None, None)

    def close(self) -> None:
        """Release the connection. What is on its way happens or not."""
        self._submitted = self._outcome = None
        self._owed = False
        self._leave()

    def _leave(self) -> None:
        connection, self._connection, self._wire = self._connection, None, None
        self._places.clear()
        if connection is not None:
            connection.close()

    def _place(self, partition: Partition, offset: int, generation: int, place: str, parked: list[str]) -> Place:
        self._places[partition] = place
        types = [column.type for column in self._layout.key]
        return Place(offset, generation, frozenset(key_of(text, types) for text in parked))

    def _idle(self) -> tuple[Connection, Wire]:
        """The connection with nothing on its way: whoever needs it waits for the outcome, which is kept."""
        self._land()
        if self._connection is None or self._wire is None:
            uri = self._uri()
            self._target = str(address(uri))
            self._connection = connect(uri, application=f"projector b{self._build}", settings=_SETTINGS)
            self._wire = Wire(self._connection)
            require_version(self._connection)
            self._writer.begin(self._connection)
        return self._connection, self._wire

    def _ask(self, query: LiteralString | sql.Composed, *values: object) -> list[tuple[Any, ...]]:
        """The rows of a statement."""
        connection, wire = self._idle()
        (result,) = wire.ask(ClientCursor(connection).mogrify(query, values or None).encode())
        transformer = Transformer(connection)
        transformer.set_pgresult(result)
        return transformer.load_rows(0, result.ntuples, tuple)

    def _send(self, batch: Batch) -> None:
        connection, wire = self._idle()
        # In one order for all workers, so that two which meet do not deadlock.
        moves = sorted(batch.moves, key=lambda move: move.partition)
        lanes = [move.partition for move in moves]
        places = [self._places.get(lane) for lane in lanes]
        first: list[sql.Composable] = [messages.move(self._build, self._epoch, moves, places)]
        if batch.parked:
            first.append(messages.park(self._build, self._max_parked, batch.parked))
        head = sql.SQL("; ").join(first).as_bytes(connection)
        rows = self._writer.bring(connection, wire, batch.deltas) if batch.deltas else None

        def message(way: Way) -> bytes:
            return head if rows is None else head + b"; " + rows(way)

        spare = (lambda: message(Way.MERGE)) if self._layout.ordering is Ordering.COMMUTATIVE else None
        self._submitted = _Submitted(Flight(wire, message(Way.WRITE), spare), lanes, batch.deltas)

    def _land(self) -> None:
        """Wait for the outcome of what is on its way, and keep it for `settle`."""
        if self._submitted is None:
            return
        try:
            results = self._submitted.flight.results()
        except (psycopg.Error, StoreUnavailable) as error:
            self._landed(error)
            return
        places = _TID.findall(results[0].get_value(0, 0) or b"")
        self._places.update(zip(self._submitted.lanes, (place.decode() for place in places), strict=True))
        self._writer.written()
        self._submitted = None

    def _landed(self, error: Exception) -> None:
        deltas = self._submitted.deltas if self._submitted is not None else {}
        self._submitted = None
        self._outcome = self._port_error(error, deltas)

    def _set_stuck(self, partition: Partition, offset: int | None, message: str | None) -> None:
        with self._translated():
            values = (offset, message, self._build, self._epoch, partition.topic_id, partition.number)
            if not self._ask(_STUCK, *values):
                raise Fenced(f"build {self._build} has no checkpoint for {partition.topic}-{partition.number}")

    @contextmanager
    def _translated(self, deltas: Writes | None = None) -> Iterator[None]:
        try:
            yield
        except (psycopg.Error, StoreUnavailable) as error:
            raise self._port_error(error, deltas or {}) from None

    def _port_error(self, error: Exception, deltas: Writes) -> Exception:
        """What the port says of an error; a connection of which nobody knows where it stands is left."""
        self._places.clear()
        if not isinstance(error, psycopg.Error):
            self._leave()
            return error
        if self._connection is not None and self._connection.info.transaction_status != pq.TransactionStatus.IDLE:
            self._leave()
        return faults.translated(error, self._target, self._encoder, deltas, self._max_parked)
