"""The SQL that brings source rows to the table. Its text depends on the definition alone, never on a batch.

`MERGE` says all that a delta may say, for a table where each key has one writer. Where several workers write one key
(`ordering: Commutative` and `Guarded`) it is `INSERT ... ON CONFLICT DO UPDATE`, which waits for the other and goes on
with what that one wrote. `INSERT` alone is for keys that have no row; the primary key proves it.
"""

from dataclasses import dataclass

from psycopg import sql

from projector.fold.delta import ABSENT, DELETE, PRESENT, Kind
from projector.stores.postgres.definitions import DELETED, GUARD, SQL_TYPES, Ordering, default_literal
from projector.stores.postgres.layout import WORD, Layout, Slot, wire_type

# Days apart from the rest: the product of a float and an interval is exact only up to some centuries.
_INSTANT = sql.SQL(
    "(timestamptz '1970-01-01 00:00:00+00' + s.{0} / 86400000 * interval '1 day' "
    "+ s.{0} % 86400000 * interval '1 millisecond')"
)

STAGE = sql.Identifier("pg_temp", "projector_stage")


@dataclass(frozen=True, slots=True)
class Table:
    """The build's table."""

    schema: str
    name: str
    layout: Layout

    @property
    def identifier(self) -> sql.Identifier:
        """As it stands in a statement."""
        return sql.Identifier(self.schema, self.name)


def create_stage(layout: Layout) -> sql.Composed:
    """CREATE for the session's own table that large batches are copied into."""
    columns = [
        sql.SQL("{} {}").format(sql.Identifier(name), sql.SQL(wire_type(kind)))
        for name, kind in zip(layout.names, layout.types, strict=True)
    ]
    return sql.SQL("CREATE TEMPORARY TABLE IF NOT EXISTS {} ({})").format(STAGE, sql.SQL(", ").join(columns))


def copy_to_stage() -> sql.Composed:
    """COPY of source rows, as `Encoder.lines` writes them."""
    return sql.SQL("COPY {} FROM STDIN (FORMAT csv, NULL 'null', ESCAPE '\\')").format(STAGE)


def from_stage() -> sql.Composed:
    """The staged rows as a source `s`."""
    return STAGE + sql.SQL(" AS s")


def from_arrays(layout: Layout) -> sql.Composed:
    """One array parameter per source column as a source `s`."""
    arrays = sql.SQL(", ").join(sql.SQL(f"${number}") for number in range(1, len(layout.names) + 1))
    return sql.SQL("unnest({}) AS s ({})").format(arrays, _names(layout.names))


def from_literals(layout: Layout, arrays: list[str]) -> sql.Composed:
    """The given array literals as a source `s`."""
    typed = [
        sql.SQL("{}::{}[]").format(sql.Literal(array), sql.SQL(wire_type(kind)))
        for array, kind in zip(arrays, layout.types, strict=True)
    ]
    return sql.SQL("unnest({}) AS s ({})").format(sql.SQL(", ").join(typed), _names(layout.names))


def prepare(name: str, layout: Layout, statement: sql.Composable) -> sql.Composed:
    """PREPARE of a statement that reads `from_arrays`."""
    types = sql.SQL(", ").join(sql.SQL(wire_type(kind) + "[]") for kind in layout.types)
    return sql.SQL("PREPARE {} ({}) AS {}").format(sql.Identifier(name), types, statement)


def write(table: Table, source: sql.Composable) -> sql.Composed:
    """The statement for any batch of the definition's ordering."""
    if table.layout.ordering is Ordering.PER_KEY:
        return merge(table, source)
    return _upsert(table, source)


def merge(table: Table, source: sql.Composable) -> sql.Composed:
    """All that deltas may say; only one session at a time may write a key."""
    layout = table.layout
    clauses: list[sql.Composable] = [
        sql.SQL("MERGE INTO {} AS t USING {} ON ({})").format(table.identifier, source, _match(layout)),
        sql.SQL("WHEN MATCHED AND s.m0 & {0} = {0} THEN DELETE").format(sql.Literal(PRESENT | DELETE)),
    ]
    if layout.slots:
        sets = [
            sql.SQL("{} = {}").format(sql.Identifier(name), _value(slot, sql.SQL("t.") + sql.Identifier(name)))
            for name, slot in layout.slots.items()
        ]
        update = sql.SQL("WHEN MATCHED AND s.m0 & {} <> 0 THEN UPDATE SET {}")
        clauses.append(update.format(sql.Literal(PRESENT), sql.SQL(",\n    ").join(sets)))
    created = sql.SQL("WHEN NOT MATCHED AND s.m0 & {} <> 0 THEN INSERT ({}) VALUES ({})")
    clauses.append(created.format(sql.Literal(ABSENT), _columns(layout), _created(layout)))
    return sql.SQL("\n").join(clauses)


def insert(table: Table, source: sql.Composable) -> sql.Composed:
    """New rows; a unique violation where one is there."""
    layout = table.layout
    return sql.SQL("INSERT INTO {} ({}) SELECT {} FROM {}").format(
        table.identifier, _columns(layout), _created(layout), source
    )


def _upsert(table: Table, source: sql.Composable) -> sql.Composed:
    layout = table.layout
    changes = _guarded(layout) if layout.is_guarded else _commuting(layout)
    return sql.SQL("INSERT INTO {} AS t ({}) SELECT {} FROM {} ON CONFLICT ({}) {}").format(
        table.identifier,
        _columns(layout),
        _created(layout),
        source,
        _names([column.name for column in layout.key]),
        changes,
    )


def _guarded(layout: Layout) -> sql.Composed:
    """The greater guard wins the whole row."""
    names = [*layout.slots, GUARD, DELETED]
    sets = [sql.SQL("{0} = EXCLUDED.{0}").format(sql.Identifier(name)) for name in names]
    guard = sql.Identifier(GUARD)
    return sql.SQL("DO UPDATE SET {} WHERE t.{} < EXCLUDED.{}").format(sql.SQL(", ").join(sets), guard, guard)


def _commuting(layout: Layout) -> sql.Composable:
    """What a rule added to the default is added to the row."""
    sets = [_commuted(slot) for slot in layout.slots.values() if slot.accumulates is not None]
    return sql.SQL("DO UPDATE SET ") + sql.SQL(", ").join(sets) if sets else sql.SQL("DO NOTHING")


def _commuted(slot: Slot) -> sql.Composed:
    name = sql.Identifier(slot.column.name)
    before, created = sql.SQL("t.{}").format(name), sql.SQL("EXCLUDED.{}").format(name)
    if slot.accumulates is not Kind.ADD:
        # Where no rule touched it the created row has the default, which changes no minimum or maximum over it.
        return sql.SQL("{} = {}").format(name, _accumulated(slot, before, created))
    if slot.column.default is None:
        added = sql.SQL("CASE WHEN {1} IS NULL THEN {0} ELSE coalesce({0}, 0) + {1} END").format(before, created)
    else:
        kind = sql.SQL(wire_type(slot.column.type))
        added = sql.SQL("{}::{} + ({}::{} - {})").format(before, kind, created, kind, default_literal(slot.column))
    return sql.SQL("{} = {}").format(name, added)


def existing(table: Table) -> sql.Composed:
    """Which of the keys that come as arrays have a row, by their numbers from 1; parameters in the psycopg form."""
    layout = table.layout
    arrays = sql.SQL(", ").join(sql.SQL("%s::{}[]").format(sql.SQL(SQL_TYPES[column.type])) for column in layout.key)
    hidden = sql.SQL(" AND NOT t.{}").format(sql.Identifier(DELETED)) if layout.is_guarded else sql.SQL("")
    return sql.SQL("SELECT s.number FROM unnest({}) WITH ORDINALITY AS s ({}, number) JOIN {} AS t ON {}{}").format(
        arrays, _names(layout.key_names), table.identifier, _match(layout), hidden
    )


def _match(layout: Layout) -> sql.Composed:
    return sql.SQL(" AND ").join(
        sql.SQL("t.{} = s.{}").format(sql.Identifier(column.name), sql.Identifier(name))
        for column, name in zip(layout.key, layout.key_names, strict=True)
    )


def _columns(layout: Layout) -> sql.Composed:
    return _names([*(c.name for c in layout.key), *layout.slots, *([GUARD, DELETED] if layout.is_guarded else [])])


def _created(layout: Layout) -> sql.Composed:
    """Values of the row where there was none."""
    values: list[sql.Composable] = [sql.SQL("s.{}").format(sql.Identifier(name)) for name in layout.key_names]
    values += [_value(slot, default_literal(slot.column)) for slot in layout.slots.values()]
    return sql.SQL(",\n    ").join(values + ([sql.SQL("s.g"), sql.SQL("s.d")] if layout.is_guarded else []))


def _value(slot: Slot, before: sql.Composable) -> sql.Composed:
    """The column's new value over `before`: the one it has, or its default in a new row."""
    given = (_INSTANT if slot.instant else sql.SQL("s.{}")).format(sql.Identifier(slot.name))
    untouched = sql.SQL("WHEN {} = 0 THEN {}").format(_tested(slot.touched), before)
    if slot.accumulates is None:
        return sql.SQL("CASE {} ELSE {} END").format(untouched, given)
    adds = sql.SQL("WHEN {} = 0 THEN {}").format(_tested(slot.absolute), _accumulated(slot, before, given))
    return sql.SQL("CASE {} {} ELSE {} END").format(untouched, adds, given)


def _tested(bit: int) -> sql.Composed:
    word, place = divmod(bit.bit_length() - 1, WORD)
    return sql.SQL("s.{} & {}").format(sql.Identifier(f"m{word}"), sql.Literal(1 << place))


def _accumulated(slot: Slot, before: sql.Composable, given: sql.Composable) -> sql.Composed:
    if slot.accumulates is Kind.ADD:
        return sql.SQL("coalesce({}, 0) + {}").format(before, given)
    if slot.accumulates is Kind.APPEND:
        return sql.SQL("coalesce({}, '[]') || {}").format(before, given)
    function = sql.SQL("least" if slot.accumulates is Kind.MIN else "greatest")
    return sql.SQL("{}({}, {})").format(function, before, given)


def _names(names: list[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, names))
