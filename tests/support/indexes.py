"""Indexes of a build on a real server: begun in the background, and seen from outside."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import psycopg
from psycopg import sql

from projector.indexes import Indexes, Indexing
from projector.registry import BuildState
from projector.spec.models import Index
from projector.stores.postgres import PostgresRegistry
from projector.stores.postgres.indexing import APPLICATION
from tests.support.postgres import PostgresBuild
from tests.support.wait import until

TOTAL = Index(columns=("total",))


def make(
    build: PostgresBuild,
    *wanted: Index,
    needless: Sequence[Index] = (),
    by: PostgresRegistry | None = None,
    epoch: int | None = None,
) -> None:
    """Make indexes of the build, and its statistics where it replays."""
    registry, at = by or build.registry, build.epoch if epoch is None else epoch
    replays = state(build) is BuildState.REPLAYING
    registry.build_indexes(at, build.spec.build, wanted, needless, analyze=replays)


def state(build: PostgresBuild) -> BuildState:
    """Where the build stands."""
    view = build.registry.observe(build.identity)
    assert view is not None
    return next(one.state for one in view.builds if one.number == build.spec.build)


def seen(build: PostgresBuild) -> Indexes:
    """What the registry tells of the build's indexes."""
    view = build.registry.observe(build.identity)
    assert view is not None
    return next(one.indexes for one in view.builds if one.number == build.spec.build)


def valid(build: PostgresBuild) -> set[Index]:
    """Indexes that serve queries."""
    return {one.index for one in seen(build).made if one.valid}


@contextmanager
def behind_a_writer(
    build: PostgresBuild, work: Callable[[], None]
) -> Iterator[tuple[Future[None], psycopg.Connection]]:
    """Work in a thread, while a transaction that wrote to the table does not end; at the end it does."""
    with ThreadPoolExecutor(1) as executor, writing(build) as writer:
        yield executor.submit(work), writer


@contextmanager
def behind_a_snapshot(build: PostgresBuild, work: Callable[[], None]) -> Iterator[Future[None]]:
    """Work in a thread, while a transaction stays open that holds no lock on the table but sees all as it was."""
    with (
        ThreadPoolExecutor(1) as executor,
        psycopg.connect(build.database.uri(), application_name="a reader") as reader,
    ):
        reader.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        reader.execute("SELECT FROM projections.operator")
        yield executor.submit(work)
        reader.rollback()


@contextmanager
def writing(build: PostgresBuild) -> Iterator[psycopg.Connection]:
    """A transaction that wrote to the table and does not end: DDL has to wait for it."""
    table = sql.Identifier(build.spec.schema, build.spec.table)
    with psycopg.connect(build.database.uri(), application_name="a writer") as connection:
        connection.execute(sql.SQL("INSERT INTO {} (id) VALUES ('writing')").format(table))
        yield connection
        if not connection.closed:
            connection.rollback()


def sessions(build: PostgresBuild) -> list[int]:
    """Server processes that make indexes here and are not done."""
    query = "SELECT pid FROM pg_stat_activity WHERE datname = %s AND application_name = %s ORDER BY pid"
    return [pid for (pid,) in build.database.run(query, build.database.name, APPLICATION)]


def until_session(build: PostgresBuild, count: int = 1) -> list[int]:
    """Until so many of them wait for a lock."""
    query = """
        SELECT pid FROM pg_stat_activity
        WHERE datname = %s AND application_name = %s AND wait_event_type = 'Lock'
    """
    name = build.database.name
    rows = until(
        "an index session waits", lambda: build.database.run(query, name, APPLICATION), lambda r: len(r) == count, 15
    )
    return [pid for (pid,) in rows]


def until_under_way(build: PostgresBuild) -> Indexing:
    """Until the registry tells of one that is being made."""
    found = until("under way", lambda: seen(build).under_way, lambda one: one is not None, 15)
    assert found is not None
    return found
