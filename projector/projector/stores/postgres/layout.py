"""How deltas travel to PostgreSQL: the columns of a source row.

A source row is an Upsert (see `projector.fold.delta`): the key, its bits in words `m…`, a value for each other column,
and with `ordering: Guarded` the guard and whether the row is deleted. The columns depend on the definition alone.
"""

from dataclasses import dataclass
from typing import LiteralString

from projector.fold.columns import Columns
from projector.fold.delta import FIRST_BIT, Kind
from projector.spec.definition import Definition
from projector.spec.models import Column, ColumnType
from projector.stores.postgres.definitions import SQL_TYPES, Ordering, ordering

WORD = 62
"""Bits of an Upsert per word; a word is a bigint and stays positive."""


@dataclass(frozen=True, slots=True)
class Slot:
    """A value column: its name in a source row, its bits in an Upsert, and how it accumulates if it does.

    An `instant` travels in milliseconds since the epoch.
    """

    column: Column
    name: str
    touched: int
    absolute: int
    accumulates: Kind | None
    instant: bool

    @property
    def travels_as(self) -> ColumnType:
        """Type of its texts."""
        return "bigint" if self.instant else self.column.type


def wire_type(kind: ColumnType) -> LiteralString:
    """Type of a source column: whole numbers travel wide, as a sum may fit where one of its parts does not."""
    return "bigint" if kind in {"smallint", "integer"} else SQL_TYPES[kind]


class Layout:
    """Places of a definition's columns in a source row."""

    def __init__(self, definition: Definition) -> None:
        by_name = {column.name: column for column in definition.columns}
        values = Columns.of(definition)
        self.ordering = ordering(definition)
        self.key = tuple(by_name[name] for name in definition.key)
        self.words = -(-(FIRST_BIT + 2 * len(values.names)) // WORD)
        self.slots = {
            name: Slot(
                by_name[name], f"v{position}", values.touched(position), values.absolute(position), kind, instant
            )
            for position, (name, kind, instant) in enumerate(
                zip(values.names, values.kinds, values.instants, strict=True)
            )
        }

    @property
    def masks(self) -> list[str]:
        """Names of the source columns that say what the values mean."""
        return [f"m{i}" for i in range(self.words)]

    @property
    def key_names(self) -> list[str]:
        """Names of the source columns that hold the key."""
        return [f"k{i}" for i in range(len(self.key))]

    @property
    def names(self) -> list[str]:
        """Names of the source columns in their order; none comes from the definition."""
        values = [slot.name for slot in self.slots.values()]
        return [*self.key_names, *self.masks, *values, *(["g", "d"] if self.is_guarded else [])]

    @property
    def value_types(self) -> list[ColumnType]:
        """Types of the places of an Upsert behind its bits."""
        guard: list[ColumnType] = ["bigint", "boolean"] if self.is_guarded else []
        return [slot.travels_as for slot in self.slots.values()] + guard

    @property
    def types(self) -> list[ColumnType]:
        """Types of the source columns in their order."""
        words: list[ColumnType] = ["bigint"] * self.words
        return [column.type for column in self.key] + words + self.value_types

    @property
    def is_guarded(self) -> bool:
        """Whether a guard in the row decides which change counts."""
        return self.ordering is Ordering.GUARDED

    def described(self, source_name: str) -> str:
        """Name in the definition of a source column (`v3`, `k0`), for messages."""
        names = dict(zip(self.key_names, (column.name for column in self.key), strict=True))
        names |= {slot.name: name for name, slot in self.slots.items()}
        return names.get(source_name, source_name)
