"""Makes and drops indexes of a build's table: statements that take their time, in a session of their own.

One session at a time per build: it holds an advisory lock, which dies with the client. What a session does that
began before another operator took over is harmless: names follow from definitions, nobody begins the same beside it,
and a build leaves Replaying only when the lock is free, so that a plain CREATE INDEX never meets a table in use.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import Any, LiteralString

import psycopg
from psycopg import Connection, Cursor, errors, sql
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from projector.registry import BuildState, WrongState
from projector.spec.models import Index
from projector.stores.postgres.connection import cause, connect, require_version
from projector.stores.postgres.history import record_build
from projector.stores.postgres.indexes import FOUND, create_index, drop_index, index_name, index_of
from projector.stores.postgres.session import translated

APPLICATION = "projection indexes"

# Where others would queue behind us, we wait for a lock only so long, and try so many times, with a pause between.
_BOUNDED = "SET lock_timeout = '2s'"
_LOCK_TRIES = 20
_LOCK_PAUSE = 1.0

_SETTINGS = {"statement_timeout": "0", "lock_timeout": "2s"}
_WATCH_CLIENT = "SET client_connection_check_interval = '2s'"

_CLASS = 1349152109
_KEY: LiteralString = "%(class)s, (%(build)s %% 2147483647)::integer"
_TRY_LOCK: LiteralString = f"SELECT pg_try_advisory_lock({_KEY})"
_UNLOCK: LiteralString = f"SELECT pg_advisory_unlock({_KEY})"
_WAIT: LiteralString = (
    f"SELECT pg_advisory_xact_lock({_KEY}) FROM projections.build WHERE number = %(build)s AND state = 'Replaying'"  # noqa: S608
)
# Another role's session is left to end by itself: to ask for more would be an error.
_STOP = """
SELECT pg_cancel_backend(l.pid) FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'advisory' AND l.classid = %(class)s AND l.objid = (%(build)s %% 2147483647)::integer::oid
    AND l.objsubid = 2 AND l.granted AND a.datname = current_database() AND a.usename = current_user
    AND l.pid <> pg_backend_pid()
"""
# Locked, so that whoever gives the build up, and breaks us off, is seen to have done so.
_BUILD = "SELECT state, table_schema, table_name FROM projections.build WHERE number = %s FOR NO KEY UPDATE"
_FOUND: LiteralString = f"SELECT f.* FROM projections.build b CROSS JOIN LATERAL ({FOUND}) f WHERE b.number = %s"  # noqa: S608
_FAILED = """
UPDATE projections.build SET index_failures = index_failures || jsonb_build_object(%(name)s::text,
    %(index)s::jsonb || jsonb_build_object('message', %(message)s::text, 'at', now()))
WHERE number = %(build)s
"""
_MADE = "UPDATE projections.build SET index_failures = index_failures - %s::text WHERE number = %s"
_ANALYZED = "UPDATE projections.build SET analyzed_at = now() WHERE number = %s"

Lead = Callable[[Cursor], None]
"""Raises Deposed unless we lead, and holds leadership until the end of the transaction."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What `build_indexes` is to do."""

    build: int
    wanted: Sequence[Index]
    needless: Sequence[Index]
    analyze: bool


def build_indexes(uri: str, wish: Wish, lead: Lead) -> None:
    """See `projector.registry.Registry.build_indexes`."""
    with translated(uri), closing(connect(uri, application=APPLICATION, settings=_SETTINGS)) as connection:
        require_version(connection)
        # Not every platform can tell that a client is gone while a statement runs; there it is seen at its end.
        with suppress(errors.InvalidParameterValue):
            connection.execute(_WATCH_CLIENT)
        if _row(connection, _TRY_LOCK, wish.build)[0]:
            _Task(connection, wish, lead).run()


def undisturbed(cursor: Cursor, build: int) -> None:
    """For a build that replays: hold off whoever would make indexes; WrongState while somebody does.

    Before the build's row is locked, which they need as well.
    """
    try:
        cursor.execute(_WAIT, {"class": _CLASS, "build": build})
    except errors.LockNotAvailable:
        raise WrongState(f"an index of build {build} is being made") from None


def stop(cursor: Cursor, build: int) -> None:
    """Break off what is being made for a build that is given up."""
    cursor.execute(_STOP, {"class": _CLASS, "build": build})


@dataclass(frozen=True, slots=True)
class _Place:
    schema: str
    table: str
    in_use: bool


class _Task:
    def __init__(self, connection: Connection, wish: Wish, lead: Lead) -> None:
        self._connection, self._wish, self._lead = connection, wish, lead
        self._build = wish.build
        self._failures = 0

    def run(self) -> None:
        for index in self._wish.wanted:
            self._make(index)
        # Afterwards: one that takes the place of another is there before that one goes.
        for index in self._wish.needless:
            self._drop(index)
        if self._wish.analyze and not self._failures:
            self._analyze()

    def _drop(self, index: Index) -> None:
        place = self._place()
        # What stands under one of our names may have been made by hand, as something else.
        for name, (found, _) in self._found().items():
            if found == index:
                self._patiently(drop_index(place.schema, name))
                self._record(lambda cursor: record_build(cursor, self._build, "IndexDropped", str(index)))

    def _make(self, index: Index) -> None:
        place = self._place()
        name = index_name(place.table, index)
        there = self._found().get(name)
        if there == (index, True):
            return
        try:
            if there is not None:
                self._patiently(drop_index(place.schema, name))
            self._create(place, index)
        except psycopg.Error as error:
            if self._connection.broken:
                raise
            self._failed(place, index, name, cause(error))
        else:
            self._record(lambda cursor: _made(cursor, self._build, name, index))

    def _create(self, place: _Place, index: Index) -> None:
        statement = create_index(place.schema, place.table, index, concurrently=place.in_use)
        if place.in_use:
            self._patiently(statement)
        else:
            self._again_and_again(statement)

    def _failed(self, place: _Place, index: Index, name: str, message: str) -> None:
        self._failures += 1
        note: dict[str, Any] = {
            "name": name,
            "index": Jsonb({"columns": index.columns, "method": index.method}),
            "message": message,
            "build": self._build,
        }
        self._record(lambda cursor: _note_failure(cursor, note, f"{index}: {message}"))
        if place.in_use:
            # What is left of it costs every write and serves nobody.
            self._patiently(drop_index(place.schema, name))

    def _analyze(self) -> None:
        place = self._place()
        self._again_and_again(sql.SQL("ANALYZE {}").format(sql.Identifier(place.schema, place.table)))
        # Nothing more is made: whoever sees the next act must find the lock free.
        _row(self._connection, _UNLOCK, self._build)
        self._record(lambda cursor: cursor.execute(_ANALYZED, (self._build,)))

    def _place(self) -> _Place:
        """Where the table is; as `_record`."""
        with self._connection.transaction(), self._connection.cursor() as cursor:
            return self._led(cursor)

    def _record(self, act: Callable[[Cursor], object]) -> None:
        """Note something. Raises Deposed, and WrongState where the build was given up."""
        with self._connection.transaction(), self._connection.cursor() as cursor:
            self._led(cursor)
            act(cursor)

    def _led(self, cursor: Cursor) -> _Place:
        self._lead(cursor)
        row = cursor.execute(_BUILD, (self._build,)).fetchone()
        if row is None or row[0] in {BuildState.ABANDONED, BuildState.RETIRED}:
            raise WrongState(f"build {self._build} was given up")
        state, schema, table = row
        return _Place(schema, table, in_use=state != BuildState.REPLAYING)

    def _found(self) -> dict[str, tuple[Index, bool]]:
        with self._connection.cursor(row_factory=dict_row) as cursor:
            return {
                one["name"]: (index_of(one), one["valid"]) for one in cursor.execute(_FOUND, (self._build,)).fetchall()
            }

    def _patiently(self, statement: sql.Composed) -> None:
        """Concurrent DDL. Neither readers nor writers queue behind it; it outwaits all that began before it."""
        self._connection.execute("SET lock_timeout = 0")
        try:
            self._connection.execute(statement)
        finally:
            if not self._connection.broken:
                self._connection.execute(_BOUNDED)

    def _again_and_again(self, statement: sql.Composed) -> None:
        """Others queue behind it while it waits for its lock: it waits a little, and again after a pause."""
        for _ in range(_LOCK_TRIES - 1):
            try:
                self._connection.execute(statement)
            except errors.LockNotAvailable:
                time.sleep(_LOCK_PAUSE)
            else:
                return
        self._connection.execute(statement)


def _made(cursor: Cursor, build: int, name: str, index: Index) -> None:
    cursor.execute(_MADE, (name, build))
    record_build(cursor, build, "IndexBuilt", str(index))


def _note_failure(cursor: Cursor, note: dict[str, Any], words: str) -> None:
    cursor.execute(_FAILED, note)
    record_build(cursor, note["build"], "IndexFailed", words)


def _row(connection: Connection, query: LiteralString, build: int) -> tuple[object, ...]:
    row = connection.execute(query, {"class": _CLASS, "build": build}).fetchone()
    return row if row is not None else (False,)
