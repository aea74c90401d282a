"""The non-key columns of a definition as deltas see them."""

from collections.abc import Iterable
from dataclasses import dataclass

from projector.fold.delta import EITHER, FIRST_BIT, Kind, Row, Value
from projector.spec.definition import Definition
from projector.spec.models import Column
from projector.spec.values import default_value

KINDS: dict[str, Kind] = {
    "set": Kind.SET,
    "increment": Kind.ADD,
    "min": Kind.MIN,
    "max": Kind.MAX,
    "append": Kind.APPEND,
}
"""Operation of a rule to how it changes a column."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Columns in the definition's order: `kinds` says how each accumulates (None: it is only ever set).

    `key` is the number of the key's columns.
    Columns with `instants` hold `meta.timestamp` and nothing else: an `Upsert` has it there as the log does, in
    milliseconds since the epoch, and spares making a datetime of each event's. With `guarded`, an `Upsert` ends with
    two more places, the guard and whether the row is deleted.
    """

    key: int
    names: tuple[str, ...]
    kinds: tuple[Kind | None, ...]
    defaults: tuple[Value, ...]
    instants: tuple[bool, ...]
    guarded: bool

    @classmethod
    def of(cls, definition: Definition) -> "Columns":
        """The columns of a definition. Raises ValueError where a default is no literal of its type."""
        columns = [column for column in definition.columns if column.name not in definition.key]
        kinds = accumulations(definition)
        return cls(
            key=len(definition.key),
            names=tuple(column.name for column in columns),
            kinds=tuple(kinds.get(column.name) for column in columns),
            defaults=tuple(default_value(column) for column in columns),
            instants=tuple(_is_instant(definition, column) for column in columns),
            guarded=definition.ordering.mode == "Guarded",
        )

    @property
    def accumulated(self) -> Row:
        """Defaults, other than NULL, of the columns that accumulate: whoever creates a row names them."""
        columns = zip(self.names, self.kinds, self.defaults, strict=True)
        return {name: default for name, kind, default in columns if kind is not None and default is not None}

    @property
    def places(self) -> dict[str, int]:
        """Place of each column in an `Upsert`."""
        return {name: place for place, name in enumerate(self.names, start=self.key + 1)}

    def bits(self, changes: Iterable[tuple[str, Kind]]) -> int:
        """The bits of an `Upsert` that changes columns so."""
        bits = EITHER
        for name, kind in changes:
            index = self.names.index(name)
            bits |= self.touched(index) | (self.absolute(index) if kind is Kind.SET else 0)
        return bits

    def touched(self, index: int) -> int:
        """The bit of a column that is touched."""
        return 1 << FIRST_BIT + index

    def absolute(self, index: int) -> int:
        """The bit of a column that accumulates, but is set; 0 for one that does not accumulate."""
        return 0 if self.kinds[index] is None else 1 << FIRST_BIT + len(self.names) + index


def accumulations(definition: Definition) -> dict[str, Kind]:
    """Columns that some rule, or the handler, increments, appends to, or takes the minimum or maximum of."""
    if definition.accumulate:
        return {name: KINDS[operation] for name, operation in definition.accumulate.items()}
    return {
        name: KINDS[operation]
        for rule in definition.rules
        for operation in ("increment", "min", "max", "append")
        for name in getattr(rule, operation) or ()
    }


def _is_instant(definition: Definition, column: Column) -> bool:
    if column.type != "timestamptz" or column.default is not None:
        return False
    return {
        text.strip()
        for rule in definition.rules
        for operation in KINDS
        for name, text in (getattr(rule, operation) or {}).items()
        if name == column.name
    } == {"meta.timestamp"}
