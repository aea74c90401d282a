"""Values of one column as PostgreSQL writes them: in lines of COPY, or in the literal of an array."""

import json
from collections.abc import Callable, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final, Protocol
from uuid import UUID

import msgspec

from projector.fold.delta import UNTOUCHED, Untouched
from projector.spec.models import ColumnType

HOLES: Final = frozenset({type(None), Untouched})
"""Types of what is written as NULL."""

QUOTED: frozenset[ColumnType] = frozenset({"text", "jsonb"})
"""Types whose text may hold what an array literal or COPY gives a meaning to."""

_BOOLEANS = {True: "t", False: "f"}


def _json(value: Any) -> str:
    try:
        return msgspec.json.encode(value).decode()
    except (OverflowError, msgspec.MsgspecError):
        # Whole numbers beyond 64 bits.
        return json.dumps(value, separators=(",", ":"))


FORMS: dict[ColumnType, Callable[[Any], str]] = {
    "text": str.__str__,
    "smallint": str,
    "integer": str,
    "bigint": str,
    "numeric": str,
    "double precision": repr,
    "boolean": _BOOLEANS.__getitem__,
    "timestamptz": datetime.isoformat,
    "date": date.isoformat,
    "uuid": str,
    "jsonb": _json,
}
"""What turns a value into PostgreSQL's text."""


class Style(Protocol):
    """How texts stand in what is sent."""

    null: str

    def quoted(self, texts: Sequence[str]) -> Sequence[str]:
        """Texts that may hold anything, made safe. Raises ValueError where one holds NUL."""
        ...


class CopyStyle:
    """Fields of COPY in text form."""

    null = "\\N"

    def quoted(self, texts: Sequence[str]) -> Sequence[str]:
        """Backslash, tab and line ends escaped."""
        # NUL can stand in none of them, so all may be treated as one text.
        whole = "\0".join(texts)
        _require_no_nul(whole, texts)
        if not ("\\" in whole or "\n" in whole or "\t" in whole or "\r" in whole):
            return texts
        whole = whole.replace("\\", "\\\\").replace("\n", "\\n").replace("\t", "\\t").replace("\r", "\\r")
        return whole.split("\0")


class ArrayStyle:
    """Elements of an array literal."""

    null = "NULL"

    def quoted(self, texts: Sequence[str]) -> Sequence[str]:
        """In quotes, with quotes and backslashes escaped."""
        whole = "\0".join(texts)
        _require_no_nul(whole, texts)
        whole = whole.replace("\\", "\\\\").replace('"', '\\"').replace("\0", '"\0"')
        return f'"{whole}"'.split("\0")


COPY, ARRAY = CopyStyle(), ArrayStyle()


def _require_no_nul(whole: str, texts: Sequence[str]) -> None:
    if whole.count("\0") != len(texts) - 1:
        raise ValueError("PostgreSQL text cannot hold a NUL character")


class Form:
    """One column's type."""

    def __init__(self, kind: ColumnType) -> None:
        self._text = FORMS[kind]
        self._is_text = kind == "text"
        self._quoted = kind in QUOTED
        self._whole = _WHOLE.get(kind)

    def texts(self, values: Sequence[Any], kinds: set[type], style: Style) -> Sequence[str]:
        """A text for each value. `kinds` are the types of the values. Raises ValueError, TypeError, KeyError."""
        if not kinds & HOLES:
            return self._full(values, kinds, style)
        if kinds <= HOLES:
            return [style.null] * len(values)
        present = [value for value in values if value is not None and value is not UNTOUCHED]
        texts = iter(self._full(present, kinds - HOLES, style))
        null = style.null
        return [null if value is None or value is UNTOUCHED else next(texts) for value in values]

    def _full(self, values: Sequence[Any], kinds: set[type], style: Style) -> Sequence[str]:
        if self._is_text:
            return style.quoted(values)
        if self._whole is not None and kinds == {self._whole}:
            texts = _by_msgspec(values, quotes=self._whole not in _BARE)
            if texts is not None:
                return texts
        texts = list(map(self._text, values))
        return style.quoted(texts) if self._quoted else texts


_WHOLE: dict[ColumnType, type] = {
    "smallint": int,
    "integer": int,
    "bigint": int,
    "numeric": Decimal,
    "double precision": float,
    "boolean": bool,
    "timestamptz": datetime,
    "date": date,
    "uuid": UUID,
}
"""Types whose JSON is their text in PostgreSQL, in quotes or bare, where all values are of that very class."""
_BARE = {int, float, bool}


def _by_msgspec(values: Sequence[Any], *, quotes: bool) -> list[str] | None:
    """Texts of a whole column by one call of the JSON encoder; None where it would not do."""
    try:
        text = msgspec.json.encode(values).decode()
    except OverflowError:
        return None  # beyond 64 bits
    if quotes:
        return text[2:-2].split('","')
    # A double that is not finite has no JSON.
    return None if "null" in text else text[1:-1].split(",")
