"""Values as PostgreSQL writes them in text."""

import json
from collections.abc import Callable, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec

from projector.spec.models import ColumnType

_BOOLEANS = {True: "t", False: "f"}


def json_text(value: Any) -> str:
    """A value of a jsonb column."""
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
    "jsonb": json_text,
}
"""What turns a value into PostgreSQL's text."""

QUOTED: frozenset[ColumnType] = frozenset({"text", "jsonb"})
"""Types whose text may hold what an array literal gives a meaning to."""


class Form:
    """The elements of an array literal, for values of one column."""

    def __init__(self, kind: ColumnType) -> None:
        self._text = FORMS[kind]
        self._is_text = kind == "text"
        self._quoted = kind in QUOTED
        self._whole = _WHOLE.get(kind)

    def texts(self, values: Sequence[Any]) -> Sequence[str]:
        """A text for each value. Raises ValueError, TypeError, KeyError."""
        kinds = set(map(type, values))
        if type(None) not in kinds:
            return self._full(values, kinds)
        present = [value for value in values if value is not None]
        texts = iter(self._full(present, kinds - {type(None)}) if present else ())
        return ["NULL" if value is None else next(texts) for value in values]

    def _full(self, values: Sequence[Any], kinds: set[type]) -> Sequence[str]:
        if self._is_text:
            return _in_quotes(values)
        if self._whole is not None and kinds == {self._whole}:
            texts = _by_msgspec(values, quotes=self._whole not in _BARE)
            if texts is not None:
                return texts
        texts = list(map(self._text, values))
        return _in_quotes(texts) if self._quoted else texts


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


def _in_quotes(texts: Sequence[str]) -> Sequence[str]:
    """Quotes and backslashes escaped. NUL can stand in none of them, so all may be treated as one text."""
    whole = "\0".join(texts)
    if whole.count("\0") != len(texts) - 1:
        raise ValueError(NUL)
    whole = whole.replace("\\", "\\\\").replace('"', '\\"').replace("\0", '"\0"')
    return f'"{whole}"'.split("\0")


NUL = "PostgreSQL text cannot hold a NUL character"


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
