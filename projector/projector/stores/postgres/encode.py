"""Deltas as source rows of the MERGE, in PostgreSQL's own text forms.

A delta whose new row is what its update makes of the defaults is one source row that applies either way: nearly every
delta is. Any other is two, one for each state of the row.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from projector.fold.algebra import apply
from projector.fold.delta import ColumnOp, Delta, Deltas, Key, Kind, Row, Update, Value
from projector.ports import BadRow
from projector.spec.models import ColumnType
from projector.spec.values import INT_RANGES, default_value
from projector.stores.postgres.layout import ABSENT, DELETE, PRESENT, WORD, Layout, Slot

SourceRow = list[str | None]
"""Texts of one source row; None is NULL."""

_SET, _ADD = Kind.SET, Kind.ADD


def _text(value: str) -> str:
    if "\0" in value:
        raise ValueError("PostgreSQL text cannot hold a NUL character")
    if not value.isascii():
        value.encode()
    return value


def _json(value: Value) -> str:
    return json.dumps(value, separators=(",", ":"))


def _boolean(value: Value) -> str:
    return "t" if value else "f"


_FORMS: dict[ColumnType, Callable[[Any], str]] = {
    "text": _text,
    "smallint": str,
    "integer": str,
    "bigint": str,
    "numeric": str,
    "double precision": repr,
    "boolean": _boolean,
    "timestamptz": datetime.isoformat,
    "date": date.isoformat,
    "uuid": str,
    "jsonb": _json,
}

_QUOTED: frozenset[ColumnType] = frozenset({"text", "jsonb"})
"""Types whose text may hold what an array literal or COPY gives a meaning to."""


class Encoder:
    """Makes source rows of deltas for one definition."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._types = layout.types
        self._key_forms = [_FORMS[column.type] for column in layout.key]
        self._slots = layout.slots
        self._places = {
            name: (slot.index, slot.bit, slot.accumulated_bit, _FORMS[slot.column.type])
            for name, slot in layout.slots.items()
        }
        self._defaults = {name: default_value(slot.column) for name, slot in layout.slots.items()}

    def rows(self, deltas: Deltas) -> list[SourceRow]:
        """Source rows in the order of the keys, so that transactions which meet lock in the same order."""
        rows: list[SourceRow] = []
        for key in sorted(deltas):
            delta = deltas[key]
            try:
                rows += self._delta(key, delta)
            except (ValueError, TypeError) as error:
                raise BadRow(f"{self._place(key, delta)}: {error}") from None
        return rows

    def _delta(self, key: Key, delta: Delta) -> Iterable[SourceRow]:
        absent, row = delta.absent, delta.row
        if row is None:
            if absent is None:
                return (self._row(key, PRESENT | DELETE, {}),)
            return (self._row(key, ABSENT | PRESENT | DELETE, _sets(absent)),)
        ops = self._replaced(row) if row.replace else row.ops
        if absent is not None and self._same(absent, ops):
            return (self._row(key, ABSENT | PRESENT, ops),)
        rows = []
        if absent is not None:
            rows.append(self._row(key, ABSENT, _sets(absent)))
        if ops:
            rows.append(self._row(key, PRESENT, ops))
        return rows

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
        if len(absent) <= len(ops) and absent.keys() <= ops.keys():
            return True
        return all(name in ops or _equal(value, defaults[name]) for name, value in absent.items())

    def _row(self, key: Key, flags: int, ops: dict[str, ColumnOp]) -> SourceRow:
        layout, places = self._layout, self._places
        row: SourceRow = [None] * layout.width
        for index, form in enumerate(self._key_forms):
            row[index] = form(key[index])
        touched = added = 0
        for name, (kind, value) in ops.items():
            index, bit, accumulated_bit, form = places[name]
            touched |= bit
            if kind is not _SET:
                added |= accumulated_bit
            if value is not None:
                row[index] = form(value)
        row[layout.flags] = str(flags)
        row[layout.flags + 1 : layout.first_value] = [
            *_words(touched, layout.words),
            *_words(added, layout.accumulated_words),
        ]
        return row

    def arrays(self, rows: Sequence[SourceRow]) -> list[str]:
        """One array literal per source column."""
        return [
            _array(texts, kind in _QUOTED) for texts, kind in zip(zip(*rows, strict=True), self._types, strict=True)
        ]

    def lines(self, rows: Sequence[SourceRow]) -> str:
        """Rows as COPY reads them."""
        quoted = [index for index, kind in enumerate(self._types) if kind in _QUOTED]
        return "".join([_line(row, quoted) for row in rows])

    def _place(self, key: Key, delta: Delta) -> str:
        """Where in a row the value stands that has no text form."""
        for column, value in zip(self._layout.key, key, strict=True):
            if not _has_form(column.type, value):
                return f"key column {column.name}"
        for name, value in _values(delta):
            if value is not None and not _has_form(self._slots[name].column.type, value):
                return f"column {name} of key {key!r}"
        return f"the row of key {key!r}"

    def misfit(self, deltas: Deltas) -> str | None:
        """The first value that is out of its column's range, in words; the server does not say which it was."""
        for key, delta in deltas.items():
            for name, value in _values(delta):
                if _out_of_range(self._slots[name], value):
                    return f"column {name} of key {key!r}: {value} is out of range for {self._slots[name].column.type}"
        return None

    @property
    def sums(self) -> tuple[str, ...]:
        """Columns that add up, and so may run out of their range at the server."""
        return tuple(name for name, slot in self._slots.items() if slot.accumulates is Kind.ADD)

    def column(self, source_name: str) -> str:
        """Name in the definition of a source column (`v3`, `k0`), for messages."""
        place = self._layout.names.index(source_name)
        names = {slot.index: name for name, slot in self._slots.items()}
        return names.get(place) or self._layout.key[place].name


def _values(delta: Delta) -> Iterator[tuple[str, Value]]:
    yield from (delta.absent or {}).items()
    if delta.row is not None:
        yield from ((name, value) for name, (_, value) in delta.row.ops.items())


def _has_form(kind: ColumnType, value: Value) -> bool:
    try:
        _FORMS[kind](value)
    except (ValueError, TypeError):
        return False
    return True


def _sets(row: Row) -> dict[str, ColumnOp]:
    return {name: (Kind.SET, value) for name, value in row.items()}


def _over(name: str, before: Value, op: ColumnOp) -> Value:
    return (apply(Delta(None, Update({name: op})), {name: before}, {}) or {})[name]


def _words(mask: int, words: int) -> list[str]:
    if words == 1:
        return [str(mask)]
    return [str(mask >> WORD * word & (1 << WORD) - 1) for word in range(words)]


def _equal(one: Value, other: Value) -> bool:
    if type(one) is not type(other):
        return False
    # True equals 1 inside JSON, and 1.0 equals 1.00, but they are not written the same.
    return one == other and (not isinstance(one, dict | list | Decimal) or repr(one) == repr(other))


def _out_of_range(slot: Slot, value: Value) -> bool:
    low, high = INT_RANGES.get(slot.column.type, (0, 0))
    return low < high and isinstance(value, int) and not low <= value <= high


def _array(texts: Sequence[str | None], quoted: bool) -> str:
    if quoted:
        return "{" + ",".join([_quote(text) for text in texts]) + "}"
    return "{" + ",".join(["NULL" if text is None else text for text in texts]) + "}"


def _quote(text: str | None) -> str:
    if text is None:
        return "NULL"
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _line(row: SourceRow, quoted: Sequence[int]) -> str:
    texts = row.copy()
    for index in quoted:
        text = texts[index]
        if text is not None:
            escaped = text.replace("\\", "\\\\").replace("\n", "\\n")
            texts[index] = escaped.replace("\r", "\\r").replace("\t", "\\t")
    return "\t".join(["\\N" if text is None else text for text in texts]) + "\n"
