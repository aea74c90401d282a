"""Secondary indexes: how ours are called, as statements, and as `observe` sees them."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, LiteralString

from psycopg import sql

from projector.indexes import Indexes, IndexFailure, Indexing, IndexView
from projector.spec.models import Index

MAX_NAME = 63
"""Bytes; PostgreSQL cuts longer names without a word."""

IS_OURS: LiteralString = "'__b' || b.number || '_i_[0-9a-f]{8}$'"
"""Pattern of the names that `index_name` gives for build `b`."""

_METHODS: Mapping[str, LiteralString] = {"btree": "btree", "gin": "gin", "brin": "brin", "hash": "hash"}


def index_name(table: str, index: Index) -> str:
    """The same for the same index of the same build's table, so that no second one is made beside it."""
    text = json.dumps([index.method, *index.columns])
    name, mark, build = table.rpartition("__b")
    tail = f"{mark}{build}_i_{hashlib.sha256(text.encode()).hexdigest()[:8]}"
    # The number of a build is its own in the whole database: names stay apart when they are cut.
    return name.encode()[: MAX_NAME - len(tail)].decode(errors="ignore") + tail


def create_index(schema: str, table: str, index: Index, *, concurrently: bool) -> sql.Composed:
    """CREATE INDEX."""
    return sql.SQL("CREATE INDEX {}{} ON {} USING {} ({})").format(
        sql.SQL("CONCURRENTLY " if concurrently else ""),
        sql.Identifier(index_name(table, index)),
        sql.Identifier(schema, table),
        sql.SQL(_METHODS[index.method]),
        sql.SQL(", ").join(map(sql.Identifier, index.columns)),
    )


def drop_index(schema: str, name: str) -> sql.Composed:
    """DROP INDEX. Concurrently on any table: otherwise readers would queue behind it."""
    return sql.SQL("DROP INDEX CONCURRENTLY IF EXISTS {}").format(sql.Identifier(schema, name))


FOUND: LiteralString = f"""
SELECT c.relname AS name, a.amname AS method, i.indisvalid AS valid, ARRAY(
    SELECT v.attname::text FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS k (number, place)
    JOIN pg_attribute v ON v.attrelid = t.oid AND v.attnum = k.number ORDER BY k.place
) AS columns
FROM pg_namespace n JOIN pg_class t ON t.relnamespace = n.oid JOIN pg_index i ON i.indrelid = t.oid
JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am a ON a.oid = c.relam
WHERE n.nspname = b.table_schema AND t.relname = b.table_name AND c.relname ~ ({IS_OURS})
"""  # noqa: S608 - of constants
"""Our indexes of build `b`. By the catalog and not by `to_regclass`, which wants rights on the schema."""

_UNDER_WAY: LiteralString = """
SELECT p.command, p.phase, p.blocks_done, p.blocks_total, p.tuples_done, p.tuples_total, a.pid, a.application_name
FROM pg_stat_progress_create_index p JOIN pg_class t ON t.oid = p.relid JOIN pg_namespace n ON n.oid = t.relnamespace
LEFT JOIN pg_stat_activity a ON a.pid = nullif(p.current_locker_pid, 0)
WHERE p.datname = current_database() AND n.nspname = b.table_schema AND t.relname = b.table_name LIMIT 1
"""

# By way of JSON, where a missing column is NULL: a registry that an older release left does not have all of them.
OBSERVED: LiteralString = f"""
(SELECT json_agg(f ORDER BY f.name) FROM ({FOUND}) f) AS indexes_made,
(SELECT to_json(u) FROM ({_UNDER_WAY}) u) AS index_under_way, to_jsonb(b) -> 'index_failures' AS index_failures,
(to_jsonb(b) ->> 'analyzed_at')::timestamptz AS analyzed_at
"""  # noqa: S608 - of constants
"""What `observe` selects of build `b` besides; `parse` reads it."""


def parse(row: Any) -> Indexes:
    """The columns of `OBSERVED`."""
    return Indexes(
        made=tuple(IndexView(index_of(one), one["valid"]) for one in row.indexes_made or ()),
        failures=tuple(_failures(row.index_failures or {})),
        under_way=None if row.index_under_way is None else _indexing(row.index_under_way),
        analyzed_at=row.analyzed_at,
    )


def index_of(found: Mapping[str, Any]) -> Index:
    """As the catalog has it, which may be what no spec can ask for."""
    return Index.model_construct(columns=tuple(found["columns"]), method=found["method"])


def _failures(found: Mapping[str, Mapping[str, Any]]) -> Iterable[IndexFailure]:
    for one in found.values():
        yield IndexFailure(index_of(one), one["message"], datetime.fromisoformat(one["at"]))


def _indexing(found: Mapping[str, Any]) -> Indexing:
    done = (found["blocks_done"], found["blocks_total"]), (found["tuples_done"], found["tuples_total"])
    waits_for = None if found["pid"] is None else f"pid {found['pid']} ({found['application_name'] or 'no name'})"
    return Indexing(percent(found["command"], found["phase"], *done), waits_for)


_SCAN, _LOAD, _CHECK = (0, 60), (60, 100), (60, 95)
_PLAIN = {
    "building index": _SCAN,
    "building index: scanning table": _SCAN,
    "building index: sorting live tuples": (60, 60),
    "building index: loading tuples in tree": _LOAD,
}
_AFTERWARDS = {
    "waiting for writers before validation": (50, 50),
    "index validation: scanning index": (50, 60),
    "index validation: sorting tuples": (60, 60),
    "index validation: scanning table": _CHECK,
    "waiting for old snapshots": (95, 95),
}


def percent(command: str, phase: str, blocks: Sequence[int], tuples: Sequence[int]) -> int:
    """How much is done, going by the phase: the server counts in each of them anew. Grows until the end."""
    if phase in _AFTERWARDS:
        return _within(_AFTERWARDS[phase], blocks)
    first = _within(_PLAIN.get(phase, (0, 0)), tuples if phase.endswith("loading tuples in tree") else blocks)
    # Concurrently the table is read a second time.
    return first // 2 if command.endswith("CONCURRENTLY") else first


def _within(band: tuple[int, int], counted: Sequence[int]) -> int:
    low, high = band
    done, total = counted
    return low if total <= 0 else low + round((high - low) * min(done, total) / total)
