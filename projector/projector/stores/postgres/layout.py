"""How deltas travel to PostgreSQL: the columns of the MERGE's source, and the MERGE itself.

A source row holds the key, `f` (a bit for each state of the row that it applies to, and one for delete), `m…` (which
value columns it touches), `a…` (which of the touched columns it adds up instead of setting) and a value for each
column. The text depends on the definition alone, never on the batch, so the server plans it once.
"""

from dataclasses import dataclass
from typing import LiteralString

from psycopg import sql

from projector.fold.delta import Kind
from projector.spec.definition import Definition
from projector.spec.models import Column, ColumnType
from projector.stores.postgres.definitions import SQL_TYPES, default_literal

ABSENT, PRESENT, DELETE = 1, 2, 4
"""Bits of `f`: applies where the row is absent; where there is one; and then deletes it."""

WORD = 62
"""Columns per mask; a mask is a bigint and stays positive."""

STAGE = "projector_stage"


@dataclass(frozen=True, slots=True)
class Slot:
    """A value column: its place in a source row, its bit, and how it adds up if it does.

    Bits count over all words of a mask, the first word lowest.
    """

    column: Column
    index: int
    bit: int
    accumulates: Kind | None
    accumulated_bit: int


def wire_type(kind: ColumnType) -> LiteralString:
    """Type of a source column: whole numbers travel wide, as a sum may fit where one of its parts does not."""
    return "bigint" if kind in {"smallint", "integer"} else SQL_TYPES[kind]


def accumulations(definition: Definition) -> dict[str, Kind]:
    """Columns that some rule increments or takes the minimum or maximum of."""
    found: dict[str, Kind] = {}
    for rule in definition.rules:
        for kind, assignments in ((Kind.ADD, rule.increment), (Kind.MIN, rule.min), (Kind.MAX, rule.max)):
            found.update(dict.fromkeys(assignments or {}, kind))
    return found


class Layout:
    """Places of a definition's columns in a source row."""

    def __init__(self, definition: Definition) -> None:
        by_name = {column.name: column for column in definition.columns}
        self.key = tuple(by_name[name] for name in definition.key)
        values = [column for column in definition.columns if column.name not in definition.key]
        kinds = accumulations(definition)
        order = [column.name for column in values if column.name in kinds]
        self.flags = len(self.key)
        self.words = -(-len(values) // WORD)
        self.accumulated_words = -(-len(order) // WORD)
        self.first_value = self.flags + 1 + self.words + self.accumulated_words
        self.width = self.first_value + len(values)
        self.slots = {column.name: self._slot(column, position, kinds, order) for position, column in enumerate(values)}

    def _slot(self, column: Column, position: int, kinds: dict[str, Kind], order: list[str]) -> Slot:
        place = order.index(column.name) if column.name in kinds else 0
        return Slot(
            column=column,
            index=self.first_value + position,
            bit=1 << position,
            accumulates=kinds.get(column.name),
            accumulated_bit=1 << place,
        )

    @property
    def types(self) -> list[ColumnType]:
        """Types of the source columns in their order."""
        masks: list[ColumnType] = ["bigint"] * (1 + self.words + self.accumulated_words)
        return [c.type for c in self.key] + masks + [slot.column.type for slot in self.slots.values()]

    @property
    def names(self) -> list[str]:
        """Names of the source columns in their order; none comes from the definition."""
        return [
            *(f"k{i}" for i in range(len(self.key))),
            "f",
            *(f"m{i}" for i in range(self.words)),
            *(f"a{i}" for i in range(self.accumulated_words)),
            *(f"v{i}" for i in range(len(self.slots))),
        ]


def stage_table(layout: Layout) -> sql.Composed:
    """CREATE for the session's own table that large batches are copied into."""
    columns = [
        sql.SQL("{} {}").format(sql.Identifier(name), sql.SQL(wire_type(kind)))
        for name, kind in zip(layout.names, layout.types, strict=True)
    ]
    name = sql.Identifier("pg_temp", STAGE)
    return sql.SQL("CREATE TEMPORARY TABLE IF NOT EXISTS {} ({})").format(name, sql.SQL(", ").join(columns))


def merge_from_stage(schema: str, table: str, layout: Layout) -> sql.Composed:
    """MERGE of what was copied."""
    return _merge(schema, table, layout, sql.Identifier("pg_temp", STAGE) + sql.SQL(" AS s"))


def prepare_merge(statement: str, schema: str, table: str, layout: Layout) -> sql.Composed:
    """PREPARE of the MERGE that takes one array per source column."""
    types = sql.SQL(", ").join(sql.SQL(wire_type(kind) + "[]") for kind in layout.types)
    arrays = sql.SQL(", ").join(sql.SQL(f"${number}") for number in range(1, layout.width + 1))
    names = sql.SQL(", ").join(map(sql.Identifier, layout.names))
    source = sql.SQL("unnest({}) AS s ({})").format(arrays, names)
    return sql.SQL("PREPARE {} ({}) AS {}").format(
        sql.Identifier(statement), types, _merge(schema, table, layout, source)
    )


def _merge(schema: str, table: str, layout: Layout, source: sql.Composable) -> sql.Composed:
    match = sql.SQL(" AND ").join(
        sql.SQL("t.{} = s.{}").format(sql.Identifier(column.name), sql.Identifier(f"k{i}"))
        for i, column in enumerate(layout.key)
    )
    target = sql.Identifier(schema, table)
    clauses: list[sql.Composable] = [
        sql.SQL("MERGE INTO {} AS t USING {} ON ({})").format(target, source, match),
        sql.SQL("WHEN MATCHED AND s.f & {} = {} THEN DELETE").format(
            sql.Literal(PRESENT | DELETE), sql.Literal(PRESENT | DELETE)
        ),
    ]
    if layout.slots:
        clauses.append(_update(layout))
    return sql.SQL("\n").join([*clauses, _insert(layout)])


def _update(layout: Layout) -> sql.Composed:
    sets = [
        sql.SQL("{} = {}").format(sql.Identifier(name), _value(slot, sql.SQL("t.") + sql.Identifier(name), i))
        for i, (name, slot) in enumerate(layout.slots.items())
    ]
    return sql.SQL("WHEN MATCHED AND s.f & {} <> 0 THEN UPDATE SET {}").format(
        sql.Literal(PRESENT), sql.SQL(",\n    ").join(sets)
    )


def _insert(layout: Layout) -> sql.Composed:
    names = [*(column.name for column in layout.key), *layout.slots]
    values = [
        *(sql.SQL("s.{}").format(sql.Identifier(f"k{i}")) for i in range(len(layout.key))),
        *(_value(slot, default_literal(slot.column), i) for i, slot in enumerate(layout.slots.values())),
    ]
    return sql.SQL("WHEN NOT MATCHED AND s.f & {} <> 0 THEN INSERT ({}) VALUES ({})").format(
        sql.Literal(ABSENT), sql.SQL(", ").join(map(sql.Identifier, names)), sql.SQL(",\n    ").join(values)
    )


def _value(slot: Slot, before: sql.Composable, position: int) -> sql.Composed:
    """The column's new value over `before`: the one it has, or its default in a new row."""
    given = sql.SQL("s.{}").format(sql.Identifier(f"v{position}"))
    untouched = sql.SQL("WHEN {} = 0 THEN {}").format(_tested("m", slot.bit), before)
    if slot.accumulates is None:
        return sql.SQL("CASE {} ELSE {} END").format(untouched, given)
    adds = sql.SQL("WHEN {} <> 0 THEN {}").format(_tested("a", slot.accumulated_bit), _accumulated(slot, before, given))
    return sql.SQL("CASE {} {} ELSE {} END").format(untouched, adds, given)


def _tested(mask: str, bit: int) -> sql.Composed:
    word, place = divmod(bit.bit_length() - 1, WORD)
    return sql.SQL("s.{} & {}").format(sql.Identifier(f"{mask}{word}"), sql.Literal(1 << place))


def _accumulated(slot: Slot, before: sql.Composable, given: sql.Composable) -> sql.Composed:
    if slot.accumulates is Kind.ADD:
        return sql.SQL("coalesce({}, 0) + {}").format(before, given)
    function = sql.SQL("least" if slot.accumulates is Kind.MIN else "greatest")
    return sql.SQL("{}({}, {})").format(function, before, given)
