"""Rows on their way to the table: as arrays inside the message, or copied into the session's own table before."""

from collections.abc import Callable, Sequence
from enum import StrEnum

import structlog
from psycopg import Connection, errors, pq, sql

from projector.fold.delta import Upsert, Writes
from projector.stores.postgres import statements
from projector.stores.postgres.encode import Encoder
from projector.stores.postgres.statements import STAGE, Table
from projector.stores.postgres.wire import Wire

ARRAY_ROWS = 10_000
"""Rows of one statement where large batches cannot be copied; bounds the server's memory."""

_TRUNCATE = sql.SQL("TRUNCATE {}").format(STAGE)
_log = structlog.get_logger()


class Way(StrEnum):
    """Statements that bring rows to the table; the value is the name of the prepared one."""

    WRITE = "projector_write"
    """For any batch of the definition's ordering."""
    MERGE = "projector_merge"
    """For any batch of one writer."""


_MAKERS: dict[Way, Callable[[Table, sql.Composable], sql.Composed]] = {
    Way.WRITE: statements.write,
    Way.MERGE: statements.merge,
}

Rows = Callable[[Way], bytes]
"""The statements that write a batch's rows in a way; empty where there are none."""


class Writer:
    """Brings rows to the server in one session."""

    def __init__(self, table: Table, encoder: Encoder, copy_from: int) -> None:
        self._table = table
        self._encoder = encoder
        self._copy_from = copy_from
        self._create = statements.create_stage(table.layout)
        self._copy = statements.copy_to_stage()
        self._prepared: tuple[Writes, list[Upsert]] | None = None
        self._may_stage = True
        self._staged = False

    def begin(self, connection: Connection) -> None:
        """Prepare a new session."""
        self._staged = False
        source = statements.from_arrays(self._table.layout)
        for way, make in _MAKERS.items():
            connection.execute(statements.prepare(way, self._table.layout, make(self._table, source)))

    def prepare(self, deltas: Writes) -> None:
        """Have the rows sorted before they are brought."""
        self._prepared = deltas, self._encoder.rows(deltas)

    def bring(self, connection: Connection, wire: Wire, deltas: Writes) -> Rows:
        """Encode the batch; copy it to the server if it is large. Raises psycopg.Error, BadRow, StoreUnavailable."""
        prepared, self._prepared = self._prepared, None
        rows = prepared[1] if prepared is not None and prepared[0] is deltas else self._encoder.rows(deltas)
        if len(rows) >= self._copy_from and self._copied(connection, wire, rows):
            return lambda way: self._from_stage(connection, way)
        return _executes(connection, list(self._encoder.arrays(rows, ARRAY_ROWS)))

    def written(self) -> None:
        """What was brought last was written, and the stage is empty."""
        self._staged = False

    def _from_stage(self, connection: Connection, way: Way) -> bytes:
        write = _MAKERS[way](self._table, statements.from_stage())
        return (write + sql.SQL("; ") + _TRUNCATE).as_bytes(connection)

    def _copied(self, connection: Connection, wire: Wire, rows: Sequence[Upsert]) -> bool:
        """Bring the rows into the session's own table; False where the role may not have one."""
        if not self._may_stage:
            return False
        try:
            wire.ask(self._create.as_bytes(connection))
        except errors.InsufficientPrivilege:
            self._may_stage = False
            _log.warning("large batches are written slower: the role may not create temporary tables in the database")
            return False
        if self._staged:
            wire.ask(_TRUNCATE.as_bytes(connection))
        self._staged = True
        wire.copy(self._copy.as_bytes(connection), self._encoder.lines(rows))
        return True


def _executes(connection: Connection, batches: list[list[bytes]]) -> Rows:
    escape = pq.Escaping(connection.pgconn).escape_literal
    arguments = [b", ".join([bytes(escape(array)) for array in arrays]) for arrays in batches]
    return lambda way: b"; ".join([b"EXECUTE %s (%s)" % (way.encode(), one) for one in arguments])
