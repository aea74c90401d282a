"""Rows and checkpoints of one build in PostgreSQL.

A commit is one transaction in one message: the compare-and-set of the checkpoints and the MERGE of the rows. The server
has all of it before it begins, so a worker may be stopped at any moment and holds no lock; it stops at the
compare-and-set where that fails, so no round trip is spent on looking. Rows of a large batch are copied into the
session's own table before, in a transaction of its own that locks nothing others need.

The caller's one thread owns the store. A crash before COMMIT leaves the database as it was; where the answer to COMMIT
is lost, `commit` raises StoreUnavailable and `positions` tells what happened.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

import psycopg
import structlog
from psycopg import Connection, errors, sql

from projector.fold.delta import Deltas
from projector.ports import Fenced, Move, Partition, StoreUnavailable, Stuck
from projector.stores.postgres import faults
from projector.stores.postgres.builds import BuildSpec
from projector.stores.postgres.connection import address, connect, require_version
from projector.stores.postgres.encode import Encoder, SourceRow
from projector.stores.postgres.layout import STAGE, Layout, merge_from_stage, prepare_merge, stage_table

COPY_FROM_ROWS = 1_000
"""Rows from which copying is faster than sending arrays, measured in docs/adr/0003-write-path.md."""

_ARRAY_ROWS = 10_000
"""Rows of one statement where large batches cannot be copied; bounds the server's memory."""
_BLOCK_ROWS = 5_000
"""Rows per write of a COPY; bounds ours."""

_SETTINGS = {
    "statement_timeout": "10s",
    "lock_timeout": "5s",
    # One plan for ever, made when the table may be empty: it must be the one by the key's index.
    "plan_cache_mode": "force_generic_plan",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "enable_seqscan": "off",
    "jit": "off",
}

_MOVE = sql.SQL(
    "SELECT projections.move({build}, {epoch}, {topic_ids}::text[], {partitions}::integer[], {previous}::bigint[], "
    "{following}::bigint[], {event_times}::timestamptz[])"
)
_POSITIONS = """
SELECT topic_id, partition, next_offset FROM projections.checkpoint WHERE build = %s AND epoch = %s
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
WHERE build = %s AND epoch = %s AND topic_id = %s AND partition = %s
"""
_TRUNCATE = sql.SQL("TRUNCATE {}").format(sql.Identifier("pg_temp", STAGE))
_COPY = sql.SQL("COPY {} FROM STDIN").format(sql.Identifier("pg_temp", STAGE))

_log = structlog.get_logger()


class PostgresStore:
    """`projector.ports.Store` for the workers of one build under one epoch.

    `uri` is asked at each connect, since a Secret may change; where it cannot tell it raises StoreUnavailable.
    `copy_from` is the number of source rows from which a batch is copied instead of sent as arrays.
    """

    def __init__(
        self, uri: Callable[[], str], build: BuildSpec, epoch: int, *, copy_from: int = COPY_FROM_ROWS
    ) -> None:
        self._uri = uri
        self._build = build.build
        self._epoch = epoch
        self._copy_from = copy_from
        layout = Layout(build.definition)
        self._encoder = Encoder(layout)
        self._stage = stage_table(layout)
        self._merge_stage = merge_from_stage(build.schema, build.table, layout)
        self._prepare = prepare_merge("projector_merge", build.schema, build.table, layout)
        self._target = ""
        self._connection: Connection | None = None
        self._staged = False
        self._may_stage = True

    def positions(self, partitions: Sequence[Partition]) -> Mapping[Partition, int]:
        """Checkpoints of the partitions; raises Fenced where the build was given up or a row is missing."""
        with self._translated():
            connection = self._open()
            connection.execute(_END_STOPPED)
            rows = connection.execute(_POSITIONS, (self._build, self._epoch)).fetchall()
        found = {(topic_id, number): offset for topic_id, number, offset in rows}
        if not found:
            raise Fenced(f"build {self._build} was given up: it has no checkpoints of epoch {self._epoch}")
        missing = [f"{p.topic}-{p.number}" for p in partitions if (p.topic_id, p.number) not in found]
        if missing:
            raise Fenced(f"build {self._build} has no checkpoint for {', '.join(missing)}")
        return {p: found[p.topic_id, p.number] for p in partitions}

    def commit(self, moves: Sequence[Move], deltas: Deltas) -> None:
        """Move checkpoints and apply deltas in one transaction whose first statement is the compare-and-set.

        Raises Fenced, StoreUnavailable (the outcome is unknown where the connection broke), BadRow.
        """
        if not moves:
            raise ValueError("a commit without a move has nothing to be fenced by")
        rows = self._encoder.rows(deltas)
        with self._translated(deltas):
            connection = self._open()
            if len(rows) >= self._copy_from and self._copied(connection, rows):
                self._transaction(connection, moves, [self._merge_stage, _TRUNCATE])
                self._staged = False
            else:
                self._transaction(connection, moves, list(self._array_statements(rows)))

    def discarded(self, partition: Partition, offset: int) -> bool:
        """Whether someone decided that this event is to be passed over."""
        with self._translated():
            values = (self._build, partition.topic_id, partition.number, offset)
            row = self._open().execute(_DISCARDED, values).fetchone()
        return bool(row and row[0])

    def report_stuck(self, stuck: Stuck) -> None:
        """Record why the partition stands still; raises Fenced where the checkpoint is not this epoch's."""
        self._set_stuck(stuck.partition, stuck.offset, stuck.message)

    def clear_stuck(self, partition: Partition) -> None:
        """The partition goes on; raises Fenced where the checkpoint is not this epoch's."""
        self._set_stuck(partition, None, None)

    def close(self) -> None:
        """Release the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _open(self) -> Connection:
        if self._connection is None:
            uri = self._uri()
            self._target = str(address(uri))
            connection = connect(uri, application=f"projector b{self._build}", settings=_SETTINGS)
            self._connection = connection
            self._staged = False
            require_version(connection)
            connection.execute(self._prepare)
        return self._connection

    def _transaction(self, connection: Connection, moves: Sequence[Move], statements: Sequence[sql.Composable]) -> None:
        # One message of the simple protocol is one transaction; an error in it leaves nothing behind.
        connection.execute(sql.SQL("; ").join([self._move(moves), *statements]))

    def _move(self, moves: Sequence[Move]) -> sql.Composed:
        # In one order for all workers, so that two which meet do not deadlock.
        ordered = sorted(moves, key=lambda move: move.partition)
        return _MOVE.format(
            build=self._build,
            epoch=self._epoch,
            topic_ids=[m.partition.topic_id for m in ordered],
            partitions=[m.partition.number for m in ordered],
            previous=[m.previous for m in ordered],
            following=[m.next for m in ordered],
            event_times=[_moment(m.event_time_ms) for m in ordered],
        )

    def _array_statements(self, rows: list[SourceRow]) -> Iterator[sql.Composable]:
        for first in range(0, len(rows), _ARRAY_ROWS):
            arrays = self._encoder.arrays(rows[first : first + _ARRAY_ROWS])
            yield sql.SQL("EXECUTE projector_merge ({})").format(sql.SQL(", ").join(map(sql.Literal, arrays)))

    def _copied(self, connection: Connection, rows: list[SourceRow]) -> bool:
        """Bring the rows into the session's own table; False where the role may not have one."""
        if not self._may_stage:
            return False
        try:
            connection.execute(self._stage)
        except errors.InsufficientPrivilege:
            self._may_stage = False
            _log.warning("large batches are written slower: the role may not create temporary tables in the database")
            return False
        if self._staged:
            connection.execute(_TRUNCATE)
        self._staged = True
        with connection.cursor() as cursor, cursor.copy(_COPY) as copy:
            for first in range(0, len(rows), _BLOCK_ROWS):
                copy.write(self._encoder.lines(rows[first : first + _BLOCK_ROWS]))
        return True

    def _set_stuck(self, partition: Partition, offset: int | None, message: str | None) -> None:
        with self._translated():
            values = (offset, message, self._build, self._epoch, partition.topic_id, partition.number)
            if self._open().execute(_STUCK, values).rowcount == 0:
                raise Fenced(f"build {self._build} has no checkpoint for {partition.topic}-{partition.number}")

    @contextmanager
    def _translated(self, deltas: Deltas | None = None) -> Iterator[None]:
        try:
            yield
        except psycopg.Error as error:
            self._recover()
            raise faults.translated(error, self._target, self._encoder, deltas or {}) from None
        except StoreUnavailable:
            self.close()
            raise

    def _recover(self) -> None:
        """Leave the failed transaction, or the connection where that does not work."""
        connection = self._connection
        if connection is None:
            return
        try:
            connection.rollback()
        except psycopg.Error:
            self.close()
        if connection.closed:
            self._connection = None


def _moment(milliseconds: int | None) -> datetime | None:
    return None if milliseconds is None else datetime.fromtimestamp(milliseconds / 1000, UTC)
