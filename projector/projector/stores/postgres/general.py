"""Deltas that do one thing to an absent row and another to one that is there, as source rows."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from projector.fold.algebra import apply
from projector.fold.delta import ColumnOp, Delta, Key, Kind, Row, Update, Upsert, Value
from projector.spec.values import default_value
from projector.stores.postgres.layout import ABSENT, DELETE, EITHER, PRESENT, Layout, Slot

_SET, _ADD = Kind.SET, Kind.ADD

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)

SourceRow = list[Any]
"""Values in the order of `Layout.names`, but for the bits of the Upsert: one number, however many words they take."""


class Parts:
    """Takes deltas apart for one definition.

    A delta whose new row is what its update makes of the defaults is one source row that applies either way. Any other
    is two, one for each state of the row.
    """

    def __init__(self, layout: Layout) -> None:
        self._places = {name: _Place(1 + place, slot) for place, (name, slot) in enumerate(layout.slots.items())}
        self._defaults = {name: default_value(slot.column) for name, slot in layout.slots.items()}
        self._empty: Upsert = [0] + [None] * len(layout.slots)

    def of(self, keys: Sequence[Key], changes: Sequence[Upsert | Delta]) -> list[SourceRow]:
        """The source rows of deltas."""
        rows: list[SourceRow] = []
        for key, change in zip(keys, changes, strict=True):
            if isinstance(change, list):
                rows.append([EITHER, *key, *change])
            elif change.absent is None:
                rows += self._update(key, change.row)
            else:
                rows += self._branches(key, change.absent, change.row)
        return rows

    def _update(self, key: Key, row: Update | None) -> Iterator[SourceRow]:
        """What changes a row that is there."""
        if row is None:
            yield [PRESENT | DELETE, *key, *self._empty]
        elif row.replace:
            yield [PRESENT, *key, *self._ops(self._replaced(row))]
        elif row.ops:
            yield [PRESENT, *key, *self._ops(row.ops)]

    def _branches(self, key: Key, absent: Row, row: Update | None) -> Iterator[SourceRow]:
        if row is None:
            yield [EITHER | DELETE, *key, *self._sets(absent)]
            return
        ops = self._replaced(row) if row.replace else row.ops
        if self._same(absent, ops):
            yield [EITHER, *key, *self._ops(ops)]
            return
        yield [ABSENT, *key, *self._sets(absent)]
        yield from self._update(key, row)

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

    def _sets(self, row: Row) -> Upsert:
        return self._ops({name: (_SET, value) for name, value in row.items()})

    def _ops(self, ops: dict[str, ColumnOp]) -> Upsert:
        upsert = self._empty.copy()
        bits = 0
        for name, (kind, value) in ops.items():
            place = self._places[name]
            bits |= place.bits[kind]
            instant = place.instant and isinstance(value, datetime)
            upsert[place.number] = (value - _EPOCH) // _MILLISECOND if instant else value  # type: ignore[operator]
        upsert[0] = bits
        return upsert


class _Place:
    """Where an Upsert has a column; the bits of each op that it takes."""

    def __init__(self, number: int, slot: Slot) -> None:
        self.number = number
        self.instant = slot.instant
        touched = 1 << slot.touched
        self.bits = {_SET: touched}
        if slot.accumulates is not None:
            self.bits = {_SET: touched | 1 << slot.absolute, slot.accumulates: touched}


def _over(name: str, before: Value, op: ColumnOp) -> Value:
    return (apply(Delta(None, Update({name: op})), {name: before}, {}) or {})[name]


def _equal(one: Value, other: Value) -> bool:
    if type(one) is not type(other):
        return False
    # True equals 1 inside JSON, and 1.0 equals 1.00, but they are not written the same.
    return one == other and (not isinstance(one, dict | list | Decimal) or repr(one) == repr(other))
