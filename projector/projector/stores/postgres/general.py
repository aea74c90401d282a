"""Deltas that do one thing to an absent row and another to one that is there, as source rows."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from projector.fold.algebra import apply
from projector.fold.delta import UNTOUCHED, ColumnOp, Delta, Key, Kind, Row, Update, Upsert, Value
from projector.spec.values import default_value
from projector.stores.postgres.layout import ABSENT, DELETE, PRESENT, Layout

_SET, _ADD = Kind.SET, Kind.ADD

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)

Part = tuple[int, Upsert]
"""Flags of a source row, and what it does in the form of an Upsert."""


class Parts:
    """Takes deltas apart for one definition.

    A delta whose new row is what its update makes of the defaults is one source row that applies either way. Any other
    is two, one for each state of the row.
    """

    def __init__(self, layout: Layout) -> None:
        self._places = {name: (1 + place, slot) for place, (name, slot) in enumerate(layout.slots.items())}
        self._defaults = {name: default_value(slot.column) for name, slot in layout.slots.items()}
        self._empty: Upsert = [0] + [UNTOUCHED] * len(layout.slots)

    def of(self, keys: Sequence[Key], changes: Sequence[Upsert | Delta]) -> tuple[list[str], list[Key], list[Upsert]]:
        """Flags, keys and Upserts of the source rows."""
        rows = [(flags, key, row) for key, change in zip(keys, changes, strict=True) for flags, row in self._of(change)]
        return [str(flags) for flags, _, _ in rows], [key for _, key, _ in rows], [row for _, _, row in rows]

    def _of(self, change: Upsert | Delta) -> Iterator[Part]:
        if isinstance(change, list):
            yield ABSENT | PRESENT, change
            return
        absent, row = change.absent, change.row
        if row is None:
            yield (PRESENT | DELETE if absent is None else ABSENT | PRESENT | DELETE), self._sets(absent or {})
            return
        ops = self._replaced(row) if row.replace else row.ops
        if absent is not None and self._same(absent, ops):
            yield ABSENT | PRESENT, self._ops(ops)
            return
        if absent is not None:
            yield ABSENT, self._sets(absent)
        if ops:
            yield PRESENT, self._ops(ops)

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
        for name, (kind, value) in ops.items():
            place, slot = self._places[name]
            if kind is not _SET and kind is not slot.accumulates:
                raise ValueError(f"column {name} does not take {kind.name}")
            upsert[place] = (value - _EPOCH) // _MILLISECOND if slot.instant and isinstance(value, datetime) else value
            if kind is _SET and slot.accumulates is not None:
                upsert[0] |= slot.bit
        return upsert


def _over(name: str, before: Value, op: ColumnOp) -> Value:
    return (apply(Delta(None, Update({name: op})), {name: before}, {}) or {})[name]


def _equal(one: Value, other: Value) -> bool:
    if type(one) is not type(other):
        return False
    # True equals 1 inside JSON, and 1.0 equals 1.00, but they are not written the same.
    return one == other and (not isinstance(one, dict | list | Decimal) or repr(one) == repr(other))
