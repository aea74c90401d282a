"""Two builds of one projection that follow one log, and readers of the public name."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from random import Random

import psycopg

from projector.ports import Batch, Ends, Move, Partition
from projector.registry import SwapTerms, SwapWaiting
from projector.spec.definition import Definition
from projector.stores.postgres import PostgresStore, load_build
from tests.support.deltas import upsert, writes
from tests.support.postgres import ORDERS, PostgresBuild
from tests.support.specs import definition

FOLLOWED = definition(
    {"events": ["A"], "key": {"id": "event.id"}, "set": {"total": "event.n"}},
    columns=[{"name": "id", "type": "text"}, {"name": "total", "type": "bigint"}],
)
"""The row of a partition holds how far the build has come in it."""


def version(
    build: PostgresBuild, name: str, what: Definition, partitions: Sequence[Partition] = ORDERS
) -> PostgresBuild:
    """Another build of the projection, ready to be swapped in."""
    role = build.database.run("SELECT worker_role FROM projections.build")[0][0]
    ends = {partition: Ends(0, 0) for partition in partitions}
    number = build.registry.begin(build.epoch, build.identity, name, "", what, ends, role)
    build.registry.open_catch_up(build.epoch, number)
    # Registry and stores are the first one's to close.
    return replace(build, spec=load_build(build.database.uri(build.worker), number))


def publish(build: PostgresBuild) -> None:
    """Make the first build live."""
    build.registry.open_catch_up(build.epoch, build.spec.build)
    build.registry.publish(build.epoch, build.spec.build)


def advance(build: PostgresBuild, store: PostgresStore, ends: dict[Partition, int], at: dict[Partition, int]) -> None:
    """Apply all of the log up to `ends`; `at` is where the build stands, and afterwards stood."""
    moves = [Move(partition, at[partition], end, None) for partition, end in ends.items() if end > at[partition]]
    if not moves:
        return
    tail = [None] * (len(build.spec.definition.columns) - 2)
    rows = [upsert(str(move.partition.number), move.next, *tail) for move in moves]
    store.submit(Batch(moves, writes(*rows)))
    store.settle()
    at |= {move.partition: move.next for move in moves}


@dataclass
class Log:
    """Partitions that grow by `rate` events per second each."""

    rate: float = 2_000.0
    began: float = field(default_factory=time.monotonic)

    def end(self, delay: float = 0.0) -> int:
        """Where all partitions ended `delay` seconds ago."""
        return max(0, int((time.monotonic() - self.began - delay) * self.rate))


@contextmanager
def followed(log: Log, builds: Sequence[tuple[PostgresBuild, float]]) -> Iterator[None]:
    """Workers of the builds follow the log, each so many seconds late; what goes wrong in one is raised at the end."""
    stop = threading.Event()
    failed: list[BaseException] = []

    def work(build: PostgresBuild, delay: float) -> None:
        try:
            store = build.open()
            at = {p: place.offset for p, place in store.positions(ORDERS).items()}
            while not stop.is_set():
                advance(build, store, dict.fromkeys(ORDERS, log.end(delay)), at)
                stop.wait(0.001)
        except BaseException as error:  # noqa: BLE001 - raised in the test's own thread
            failed.append(error)

    threads = [threading.Thread(target=work, args=one) for one in builds]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    if failed:
        raise failed[0]


@dataclass
class Reader:
    """Asks the public name again and again, in a way that applications do. `back` counts reads behind earlier ones."""

    uri: str
    way: str
    back: int = 0
    reads: int = 0
    errors: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def run(self, stop: threading.Event) -> None:
        """Read until told to stop."""
        last: dict[str, int] = {}
        with psycopg.connect(self.uri, autocommit=True) as connection:
            while not stop.is_set():
                try:
                    self._turn(connection, last)
                except psycopg.Error as error:
                    self.errors.append(str(error))

    def _turn(self, connection: psycopg.Connection, last: dict[str, int]) -> None:
        if self.way != "transactions":
            self._read(connection, last)
            return
        with connection.transaction():
            for _ in range(3):
                self._read(connection, last)

    def _read(self, connection: psycopg.Connection, last: dict[str, int]) -> None:
        began = time.monotonic()
        rows = connection.execute("SELECT id, total FROM public.orders", prepare=self.way == "prepared").fetchall()
        self.seconds.append(time.monotonic() - began)
        self.reads += 1
        found: dict[str, int] = dict(rows)
        self.back += any(found.get(key, -1) < total for key, total in last.items())
        last |= found


WAYS = ("autocommit", "transactions", "prepared")


@contextmanager
def read_by(uri: str, count: int) -> Iterator[list[Reader]]:
    """So many readers at work, in all ways in turns."""
    stop = threading.Event()
    readers = [Reader(uri, WAYS[number % len(WAYS)]) for number in range(count)]
    threads = [threading.Thread(target=reader.run, args=(stop,)) for reader in readers]
    for thread in threads:
        thread.start()
    try:
        yield readers
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def swapped(build: PostgresBuild, terms: SwapTerms | None = None, seconds: float = 30.0) -> int:
    """Swap, as often as it takes; the number of tries."""
    random, deadline, tries = Random(build.spec.build), time.monotonic() + seconds, 0  # noqa: S311 - jitter
    while True:
        tries += 1
        try:
            build.registry.swap(build.epoch, build.spec.build, terms or SwapTerms())
        except SwapWaiting:
            if time.monotonic() > deadline:
                raise
            time.sleep(random.uniform(0.005, 0.05))
        else:
            return tries
