"""Deltas as source rows, in PostgreSQL's own text forms.

Column by column, never value by value: each step on the hot path is one call that works on a whole column of a block of
rows. Where such a call fails nobody knows which value it was; only then the values are looked at one by one.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import repeat
from typing import Any

from projector.fold.delta import UNTOUCHED, Delta, Key, Kind, Untouched, Upsert, Value, Writes
from projector.ports import BadRow
from projector.spec.models import ColumnType
from projector.spec.values import out_of_range
from projector.stores.postgres.general import Parts
from projector.stores.postgres.layout import ABSENT, PRESENT, WORD, Layout, Slot
from projector.stores.postgres.texts import ARRAY, COPY, FORMS, Form, Style

BLOCK_ROWS = 5_000
"""Rows that are encoded at a time: what they need stays in the processor's cache, and the server reads meanwhile."""

_EITHER = str(ABSENT | PRESENT)
_UNFIT = (ValueError, TypeError, KeyError)

Columns = list[Sequence[str]]
"""Texts of a block of source rows, column by column."""


class Encoder:
    """Makes source rows of deltas for one definition."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._parts = Parts(layout)
        self._key_forms = [Form(column.type) for column in layout.key]
        self._forms = [Form(kind) for kind in layout.value_types]
        # The guard and whether the row is deleted have no bit: they are always there.
        self._bits = [slot.bit for slot in layout.slots.values()]
        self._bits += [0] * (len(self._forms) - len(self._bits))

    def lines(self, deltas: Writes, keys: Sequence[Key]) -> Iterator[bytes]:
        """Rows as COPY reads them, a block at a time. Raises BadRow."""
        for block in _blocks(keys, BLOCK_ROWS):
            columns = self._columns(deltas, block, COPY)
            if columns[0]:
                yield self._encoded("\n".join(map("\t".join, zip(*columns, strict=True))) + "\n", deltas, block)

    def arrays(self, deltas: Writes, keys: Sequence[Key], rows: int) -> Iterator[list[bytes]]:
        """One array literal per source column, for `rows` keys at a time. Raises BadRow."""
        for block in _blocks(keys, rows):
            columns = self._columns(deltas, block, ARRAY)
            if columns[0]:
                yield [self._encoded("{" + ",".join(texts) + "}", deltas, block) for texts in columns]

    def _columns(self, deltas: Writes, keys: Sequence[Key], style: Style) -> Columns:
        changes: Sequence[Any] = list(map(deltas.__getitem__, keys))
        try:
            if set(map(type, changes)) == {list}:
                return self._texts([_EITHER] * len(keys), keys, changes, style)
            return self._texts(*self._parts.of(keys, changes), style)
        except _UNFIT as error:
            raise BadRow(self._said(error, zip(keys, changes, strict=True))) from None

    def _texts(self, flags: Sequence[str], keys: Sequence[Key], rows: Sequence[Upsert], style: Style) -> Columns:
        if not rows:
            return [[]]
        absolute, *columns = zip(*rows, strict=True)
        touched = 0
        mixed: list[list[int]] = []
        values: Columns = []
        for column, bit, form in zip(columns, self._bits, self._forms, strict=True):
            kinds = set(map(type, column))
            if Untouched not in kinds:
                touched |= bit
            elif len(kinds) > 1:
                mixed.append([0 if value is UNTOUCHED else bit for value in column])
            values.append(form.texts(column, kinds, style))
        masks = [*self._words(_sums(touched, mixed, len(rows))), *self._words(absolute)]
        return [flags, *masks, *self._keys(keys, style), *values]

    def _keys(self, keys: Sequence[Key], style: Style) -> Columns:
        columns = zip(*keys, strict=True)
        return [form.texts(c, set(map(type, c)), style) for c, form in zip(columns, self._key_forms, strict=True)]

    def _words(self, masks: Sequence[int]) -> Columns:
        if self._layout.words == 1:
            same = len(set(masks)) == 1
            return [[str(masks[0])] * len(masks) if same else list(map(str, masks))]
        low = (1 << WORD) - 1
        return [[str(mask >> WORD * word & low) for mask in masks] for word in range(self._layout.words)]

    def _encoded(self, text: str, deltas: Writes, keys: Sequence[Key]) -> bytes:
        try:
            return text.encode()
        except UnicodeEncodeError as error:
            raise BadRow(self._said(error, ((key, deltas[key]) for key in keys))) from None

    def _said(self, error: Exception, rows: "Iterator[tuple[Key, Upsert | Delta]] | zip[tuple[Key, Any]]") -> str:
        """Which value has no text form, in words."""
        for key, change in rows:
            for column, value in zip(self._layout.key, key, strict=True):
                if why := _unfit(column.type, value):
                    return f"key column {column.name}: {why}"
            for name, value in self._values(change):
                if value is not None and (why := _unfit(_travels(self._layout.slots[name], value), value)):
                    return f"column {name} of key {key!r}: {why}"
        return str(error)

    def misfit(self, deltas: Writes) -> str | None:
        """The first value that is out of its column's range, in words; the server does not say which it was."""
        slots = self._layout.slots
        for key, change in deltas.items():
            for name, value in self._values(change):
                if out_of_range(slots[name].column.type, value):
                    return f"column {name} of key {key!r}: {value} is out of range for {slots[name].column.type}"
        return None

    def _values(self, change: Upsert | Delta) -> Iterator[tuple[str, Value]]:
        if isinstance(change, list):
            pairs = zip(self._layout.slots, change[1:], strict=False)
            yield from ((name, value) for name, value in pairs if value is not UNTOUCHED)
            return
        yield from (change.absent or {}).items()
        if change.row is not None:
            yield from ((name, value) for name, (_, value) in change.row.ops.items())

    @property
    def sums(self) -> tuple[str, ...]:
        """Columns that add up, and so may run out of their range at the server."""
        return tuple(name for name, slot in self._layout.slots.items() if slot.accumulates is Kind.ADD)

    def column(self, source_name: str) -> str:
        """Name in the definition of a source column (`v3`, `k0`), for messages."""
        return self._layout.described(source_name)


def _travels(slot: Slot, value: Value) -> ColumnType:
    """Type of the text of a value: an instant is a moment in a Delta, and milliseconds in an Upsert."""
    return slot.column.type if isinstance(value, datetime) else slot.travels_as


def _blocks(keys: Sequence[Key], size: int) -> Iterator[Sequence[Key]]:
    for first in range(0, len(keys), size):
        yield keys[first : first + size]


def _sums(touched: int, mixed: list[list[int]], count: int) -> Sequence[int]:
    return list(map(sum, zip(repeat(touched, count), *mixed, strict=True))) if mixed else [touched] * count


def _unfit(kind: ColumnType, value: Value) -> str:
    """Why a value has no text form; empty where it has."""
    if value is None:
        return ""
    try:
        text = FORMS[kind](value)
        if "\0" in text:
            return "PostgreSQL text cannot hold a NUL character"
        text.encode()
    except _UNFIT as error:
        return str(error)
    return ""
