"""Deltas as source rows on their way to PostgreSQL: lines of COPY, or one array literal for each column.

Each step on the hot path is one call that works on a whole block of rows. Where such a call fails nobody knows which
value it was; only then the values are looked at one by one.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from operator import itemgetter

from projector.fold.delta import Delta, Kind, Upsert, Value, Writes
from projector.ports import BadRow
from projector.spec.models import ColumnType
from projector.spec.values import out_of_range
from projector.stores.postgres.general import Parts
from projector.stores.postgres.layout import WORD, Layout
from projector.stores.postgres.lines import Lines
from projector.stores.postgres.texts import FORMS, NUL, Form

BLOCK_ROWS = 5_000
"""Rows that are encoded at a time: what they need stays in the processor's cache, and the server reads meanwhile."""

_UNFIT = (ValueError, TypeError, KeyError)


class Encoder:
    """Makes source rows of deltas for one definition."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._parts = Parts(layout)
        self._lines = Lines(layout.types)
        self._forms = [Form(kind) for kind in layout.types]
        self._key = itemgetter(*range(len(layout.key)))

    def lines(self, rows: Sequence[Upsert]) -> Iterator[bytes]:
        """Rows as COPY reads them, a block at a time. Raises BadRow."""
        for block in self._blocks(rows, BLOCK_ROWS):
            with self._blamed(block):
                lines = self._lines.of(block)
            yield lines

    def arrays(self, rows: Sequence[Upsert], size: int) -> Iterator[list[bytes]]:
        """One array literal per source column, for about `size` rows at a time. Raises BadRow."""
        for block in self._blocks(rows, size):
            columns = zip(*block, strict=True)
            with self._blamed(block):
                arrays = [_literal(form.texts(column)) for column, form in zip(columns, self._forms, strict=True)]
            yield arrays

    def rows(self, deltas: Writes) -> list[Upsert]:
        """Source rows in the order of keys: the index is gone through once, and workers that meet do not deadlock."""
        rows = [delta for delta in deltas.values() if delta.__class__ is list]
        if len(rows) < len(deltas):
            for key, delta in deltas.items():
                if isinstance(delta, Delta):
                    rows += self._parts.of(key, delta)
        rows.sort(key=self._key)
        return rows if self._layout.words == 1 else list(map(self._in_words, rows))

    def _blocks(self, rows: Sequence[Upsert], size: int) -> Iterator[Sequence[Upsert]]:
        """The rows of one key stay together: what one statement creates, the next would change."""
        first = 0
        while first < len(rows):
            end = first + size
            while end < len(rows) and self._key(rows[end]) == self._key(rows[end - 1]):
                end += 1
            yield rows[first:end]
            first = end

    def _in_words(self, row: Upsert) -> Upsert:
        place, low = len(self._layout.key), (1 << WORD) - 1
        words = [row[place] >> WORD * word & low for word in range(self._layout.words)]
        return [*row[:place], *words, *row[place + 1 :]]

    @contextmanager
    def _blamed(self, rows: Sequence[Upsert]) -> Iterator[None]:
        """Say which of the values cannot be encoded."""
        try:
            yield
        except _UNFIT as error:
            raise BadRow(self._said(error, rows)) from None

    def _said(self, error: Exception, rows: Sequence[Upsert]) -> str:
        """Which value has no text form, in words."""
        layout = self._layout
        for row in rows:
            key = tuple(row[: len(layout.key)])
            for place, (name, kind) in enumerate(zip(layout.names, layout.types, strict=True)):
                if why := _unfit(kind, row[place]):
                    column, of_key = layout.described(name), place < len(key)
                    return f"key column {column}: {why}" if of_key else f"column {column} of key {key!r}: {why}"
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
            pairs = zip(self._layout.slots, change[len(self._layout.key) + 1 :], strict=False)
            yield from ((name, value) for name, value in pairs if value is not None)
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


def _literal(texts: Sequence[str]) -> bytes:
    return ("{" + ",".join(texts) + "}").encode()


def _unfit(kind: ColumnType, value: Value) -> str:
    """Why a value has no text form; empty where it has."""
    if value is None:
        return ""
    try:
        text = FORMS[kind](value)
        if "\0" in text:
            return NUL
        text.encode()
    except _UNFIT as error:
        return str(error)
    return ""
