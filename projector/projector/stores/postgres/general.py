"""Deltas that do one thing to an absent row and another to one that is there, as source rows."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from projector.fold.algebra import apply
from projector.fold.delta import ABSENT, DELETE, EITHER, PRESENT, ColumnOp, Delta, Key, Kind, Row, Update, Upsert, Value
from projector.spec.values import default_value
from projector.stores.postgres.layout import Layout, Slot

_SET, _ADD = Kind.SET, Kind.ADD

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


class Parts:
    """Takes deltas apart for one definition.

    A delta whose new row is what its update makes of the defaults is one source row that applies either way. Any other
    is two, one for each state of the row.
    """

    def __init__(self, layout: Layout) -> None:
        self._places = {name: _Place(place, slot) for place, (name, slot) in enumerate(layout.slots.items())}
        self._defaults = {name: default_value(slot.column) for name, slot in layout.slots.items()}
        self._empty: list[Value] = [None] * len(layout.slots)

    def of(self, key: Key, delta: Delta) -> Iterator[Upsert]:
        """The source rows of a delta."""
        absent, row = delta.absent, delta.row
        if absent is None:
            yield from self._update(key, row)
            return
        if row is None:
            yield self._row(key, EITHER | DELETE, _sets(absent))
            return
        ops = self._replaced(row) if row.replace else row.ops
        if self._same(absent, ops):
            yield self._row(key, EITHER, ops)
            return
        yield self._row(key, ABSENT, _sets(absent))
        yield from self._update(key, row)

    def _update(self, key: Key, row: Update | None) -> Iterator[Upsert]:
        """What changes a row that is there."""
        if row is None:
            yield [*key, PRESENT | DELETE, *self._empty]
        elif row.replace:
            yield self._row(key, PRESENT, self._replaced(row))
        elif row.ops:
            yield self._row(key, PRESENT, row.ops)

    def _replaced(self, update: Update) -> dict[str, ColumnOp]:
        return {name: (_SET, default) for name, default in self._defaults.items()} | update.ops

    def _same(self, absent: Row, ops: dict[str, ColumnOp]) -> bool:
        """Whether the update makes `absent` of the defaults."""
        defaults = self._defaults
        for name, op in ops.items():
            before = defaults[name]
            kind, value = op
            # Nearly every default is NULL or zero.
            if not (kind is _SET or before is None or (kind is _ADD and not before)):
                value = _over(name, before, op)
            given = absent.get(name, before)
            if given is not value and not _equal(given, value):
                return False
        return all(name in ops or _equal(value, defaults[name]) for name, value in absent.items())

    def _row(self, key: Key, bits: int, ops: dict[str, ColumnOp]) -> Upsert:
        values = self._empty.copy()
        for name, (kind, value) in ops.items():
            place = self._places[name]
            bits |= place.bits[kind]
            instant = place.instant and isinstance(value, datetime)
            values[place.number] = (value - _EPOCH) // _MILLISECOND if instant else value  # type: ignore[operator]
        return [*key, bits, *values]


def _sets(row: Row) -> dict[str, ColumnOp]:
    return {name: (_SET, value) for name, value in row.items()}


class _Place:
    """Which of the values is the column's; the bits of each op that it takes."""

    def __init__(self, number: int, slot: Slot) -> None:
        self.number = number
        self.instant = slot.instant
        self.bits = {_SET: slot.touched | slot.absolute}
        if slot.accumulates is not None:
            self.bits[slot.accumulates] = slot.touched


def _over(name: str, before: Value, op: ColumnOp) -> Value:
    return (apply(Delta(None, Update({name: op})), {name: before}, {}) or {})[name]


def _equal(one: Value, other: Value) -> bool:
    if type(one) is not type(other):
        return False
    # True equals 1 inside JSON, and 1.0 equals 1.00, but they are not written the same.
    return one == other and (not isinstance(one, dict | list | Decimal) or repr(one) == repr(other))
