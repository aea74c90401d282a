"""COPY and MERGE alone: what PostgreSQL takes of batches that were folded and written as text beforehand.

The way is the product's: a session's own table is filled by COPY, then one transaction moves a checkpoint and merges;
the plan is the one by the key's index. A batch here knows which rows the table has, so a row of it is never more than
one source row, and nothing is encoded within the time that counts.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import psycopg
from psycopg import sql

from tests.bench.data import CANCELLED, DAY_ONE_MS, Event, Orders, Row, Rows
from tests.bench.tables import line

_SETTINGS = "enable_hashjoin=off enable_mergejoin=off enable_seqscan=off jit=off plan_cache_mode=force_generic_plan"
_BLOCK = 5_000

_DELETE, _CHANGE, _REPLACE = range(3)
"""`f` of a source row. What changes is customer, status and placed_at where given, and the counters by an amount."""
_MOMENTS = (3, 7)
_STAGE = """
CREATE TEMPORARY TABLE bench_stage (order_id text, f integer, customer text, status text, placed_at timestamptz,
    item_count bigint, total_cents bigint, largest_item_cents bigint, last_event_at timestamptz)
"""
_MERGE = sql.SQL("""
MERGE INTO {} t USING pg_temp.bench_stage s ON t.order_id = s.order_id
WHEN MATCHED AND s.f = 0 THEN DELETE
WHEN MATCHED THEN UPDATE SET
    customer = CASE WHEN s.f = 2 OR s.customer IS NOT NULL THEN s.customer ELSE t.customer END,
    status = CASE WHEN s.f = 2 OR s.status IS NOT NULL THEN s.status ELSE t.status END,
    placed_at = CASE WHEN s.f = 2 OR s.placed_at IS NOT NULL THEN s.placed_at ELSE t.placed_at END,
    item_count = CASE WHEN s.f = 2 THEN s.item_count ELSE t.item_count + s.item_count END,
    total_cents = CASE WHEN s.f = 2 THEN s.total_cents ELSE t.total_cents + s.total_cents END,
    largest_item_cents = CASE WHEN s.f = 2 THEN s.largest_item_cents
        ELSE greatest(t.largest_item_cents, s.largest_item_cents) END,
    last_event_at = CASE WHEN s.f = 2 THEN s.last_event_at ELSE greatest(t.last_event_at, s.last_event_at) END
WHEN NOT MATCHED AND s.f <> 0 THEN INSERT VALUES (s.order_id, s.customer, s.status, s.placed_at, s.item_count,
    s.total_cents, s.largest_item_cents, s.last_event_at)
""")
_CHECKPOINT = "CREATE TABLE bench_checkpoint (partition integer PRIMARY KEY, next_offset bigint) WITH (fillfactor = 20)"
_MOVE = "UPDATE bench_checkpoint SET next_offset = next_offset + 1"


@dataclass(frozen=True)
class Merged:
    """What it took: rows are source rows, seconds those at the server."""

    events: int
    rows: int
    batches: int
    seconds: float

    @property
    def rate(self) -> float:
        """Events per second that this alone would allow."""
        return self.events / self.seconds

    @property
    def rows_per_second(self) -> float:
        """Source rows per second."""
        return self.rows / self.seconds


def merge(uri: str, table: str, data: Orders, amount: int, batch: int) -> Merged:
    """Write the whole log in batches of so many rows; only the server's part is timed."""
    rows = batches = 0
    seconds = 0.0
    with psycopg.connect(uri, autocommit=True) as connection:
        _prepare(connection)
        statement = _MERGE.format(sql.Identifier(table))
        for lines in folded(data, amount, batch):
            began = time.perf_counter()
            _write(connection, statement, lines)
            seconds += time.perf_counter() - began
            rows += len(lines)
            batches += 1
    return Merged(amount, rows, batches, seconds)


def folded(data: Orders, amount: int, batch: int) -> Iterator[list[str]]:
    """Lines of the stage table, sorted by key, a list for each batch of about so many rows."""
    rows: Rows = {}
    numbered = enumerate(data.events(amount), DAY_ONE_MS)
    while True:
        before: dict[int, Row | None] = {}
        gone: set[int] = set()
        while len(before) < batch and (some := list(islice(numbered, max(1, batch // 20)))):
            _fold(data, some, rows, before, gone)
        if not before:
            return
        yield list(_lines(rows, before, gone))


def _fold(
    data: Orders, events: Sequence[tuple[int, Event]], rows: Rows, before: dict[int, Row | None], gone: set[int]
) -> None:
    """Apply events; note what the touched rows were before, and which were deleted meanwhile."""
    for at, (key, act) in events:
        if key not in before:
            row = rows.get(key)
            before[key] = None if row is None else row.copy()
        if act.kind == CANCELLED:
            gone.add(key)
        data.fold(rows, key, act, at)


def _lines(rows: Rows, before: dict[int, Row | None], gone: set[int]) -> Iterator[str]:
    for key in sorted(before):
        row, old = rows.get(key), before[key]
        if row is None:
            if old is not None:
                yield line(key, [_DELETE, *[None] * 7], ())
        elif old is None or key in gone:
            yield line(key, [_REPLACE, *row], _MOMENTS)
        else:
            given = [new if new != was else None for new, was in zip(row[:3], old[:3], strict=True)]
            amounts = [int(new or 0) - int(was or 0) for new, was in zip(row[3:5], old[3:5], strict=True)]
            yield line(key, [_CHANGE, *given, *amounts, *row[5:]], _MOMENTS)


def _prepare(connection: psycopg.Connection) -> None:
    for setting in _SETTINGS.split():
        name, chosen = setting.split("=")
        connection.execute("SELECT set_config(%s, %s, false)", (name, chosen))
    connection.execute("DROP TABLE IF EXISTS bench_checkpoint")
    connection.execute(_CHECKPOINT)
    connection.execute("INSERT INTO bench_checkpoint SELECT n, 0 FROM generate_series(0, 3) n")
    connection.execute(_STAGE)


def _write(connection: psycopg.Connection, statement: sql.Composed, lines: list[str]) -> None:
    with connection.cursor() as cursor, cursor.copy("COPY bench_stage FROM STDIN") as copy:
        for first in range(0, len(lines), _BLOCK):
            copy.write("".join(lines[first : first + _BLOCK]))
    connection.execute(sql.SQL("; ").join([sql.SQL(_MOVE), statement, sql.SQL("TRUNCATE pg_temp.bench_stage")]))
