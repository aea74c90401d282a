"""The database of a benchmark: tables to fill, tables with what must be in them, and the comparison."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import LiteralString

import psycopg
from psycopg import sql

from tests.bench.data import Data, Rows, key_text

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_BLOCK = 5_000


class RowsDiffer(Exception):
    """A contender's table is not the fold of the log: `count` rows differ."""

    def __init__(self, message: str, count: int) -> None:
        self.count = count
        super().__init__(message)


class Tables:
    """Tables in the database of `uri`; one connection."""

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self._connection = psycopg.connect(uri, autocommit=True, application_name="bench tables")

    def create(self, name: str, data: Data) -> None:
        """An empty table, with the key that the product's have too; one that is there goes."""
        self.drop(name)
        columns = [sql.SQL("{} {}").format(sql.Identifier(c), sql.SQL(kind)) for c, kind in _typed(data)]
        key = sql.SQL("PRIMARY KEY ({})").format(sql.Identifier(data.columns[0][0]))
        self._run(sql.SQL("CREATE TABLE {} ({})").format(sql.Identifier(name), sql.SQL(", ").join([*columns, key])))

    def drop(self, name: str) -> None:
        """Remove it, if it is there."""
        self._run(sql.SQL("DROP TABLE IF EXISTS {}").format(sql.Identifier(name)))

    def fill(self, name: str, data: Data, rows: Rows) -> None:
        """Make a table of these rows."""
        self.create(name, data)
        moments = [index for index, (_, kind) in enumerate(data.columns[1:]) if kind == "timestamptz"]
        lines: list[str] = []
        statement = sql.SQL("COPY {} FROM STDIN").format(sql.Identifier(name))
        with self._connection.cursor() as cursor, cursor.copy(statement) as copy:
            for key, row in rows.items():
                lines.append(line(key, row, moments))
                if len(lines) == _BLOCK:
                    copy.write("".join(lines))
                    lines.clear()
            copy.write("".join(lines))
        self._run(sql.SQL("ANALYZE {}").format(sql.Identifier(name)))

    def settle(self) -> None:
        """Write out what earlier contenders left, so that it is not a later one's burden."""
        self._run(sql.SQL("CHECKPOINT"))

    def compare(self, found: str, wanted: str, data: Data) -> int:
        """Rows of `wanted`, all of which `found` has and no others. Raises RowsDiffer."""
        key = sql.Identifier(data.columns[0][0])
        columns = [sql.Identifier(name) for name, _ in data.columns]
        of = [sql.SQL(", ").join(sql.Identifier(side) + sql.SQL(".") + c for c in columns) for side in "fw"]
        query = sql.SQL(
            "SELECT count(*), count(*) FILTER (WHERE ROW({}) IS DISTINCT FROM ROW({})), min(coalesce(f.{}, w.{})) "
            "FILTER (WHERE ROW({}) IS DISTINCT FROM ROW({})) FROM {} f FULL JOIN {} w ON f.{} = w.{}"
        ).format(*of, key, key, *of, sql.Identifier(*found.split(".")), sql.Identifier(wanted), key, key)
        count, differing, example = self._run(query)[0]
        if differing:
            message = f"{found}: {differing} of {count} rows differ from the fold, {example} for example"
            raise RowsDiffer(message, differing)
        return int(count)

    def close(self) -> None:
        """Release the connection."""
        self._connection.close()

    def _run(self, statement: sql.SQL | sql.Composed) -> Sequence[tuple[int, ...]]:
        cursor = self._connection.execute(statement)
        return cursor.fetchall() if cursor.description else []


def line(key: int, row: Sequence[str | int | None], moments: Sequence[int]) -> str:
    """A row as COPY reads it; the values at `moments` are milliseconds since the epoch."""
    texts = ["\\N" if field is None else str(field) for field in row]
    for index in moments:
        if (field := row[index]) is not None:
            texts[index] = (_EPOCH + timedelta(milliseconds=int(field))).isoformat()
    return "\t".join([key_text(key), *texts]) + "\n"


def _typed(data: Data) -> Sequence[tuple[str, LiteralString]]:
    kinds: dict[str, LiteralString] = {"text": "text", "bigint": "bigint", "timestamptz": "timestamptz"}
    return [(name, kinds[kind]) for name, kind in data.columns]
