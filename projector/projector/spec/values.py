"""Values of columns as text: defaults in a spec, and dates, times and ids in events."""

import math
import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from types import UnionType
from typing import Annotated, Any
from uuid import UUID

import msgspec

from projector.spec.models import Column

Value = object

INT_RANGES: dict[str, tuple[int, int]] = {
    "smallint": (-(2**15), 2**15 - 1),
    "integer": (-(2**31), 2**31 - 1),
    "bigint": (-(2**63), 2**63 - 1),
}
"""Smallest and largest value of each integer column type."""


def out_of_range(column_type: str, value: object) -> bool:
    """Whether a value is a whole number that the integer column cannot hold. Other types have no range here."""
    low, high = INT_RANGES.get(column_type, (0, 0))
    return low < high and isinstance(value, int) and not low <= value <= high


NUMERIC_TYPES = frozenset({*INT_RANGES, "numeric"})
"""Types that are summed exactly."""

ORDERED_TYPES = NUMERIC_TYPES | {"double precision", "timestamptz", "date"}
"""Types whose order is the same here and in any target, whatever its collation."""

NUMERIC_LIMIT = Decimal(10) ** 400
"""Numeric values stay below this, so that sums of them are exact in bounded space."""

_INTEGER = re.compile(r"[+-]?[0-9]{1,20}")
_AWARE = Annotated[datetime, msgspec.Meta(tz=True)]


def parse_timestamp(text: str) -> datetime:
    """An RFC 3339 timestamp with an offset, as UTC with microseconds. Raises ValueError."""
    try:
        return msgspec.convert(text, _AWARE).astimezone(UTC)
    except (msgspec.ValidationError, OverflowError):
        raise ValueError("is not an RFC 3339 timestamp with an offset, such as 2026-01-31T12:00:00Z") from None


def parse_date(text: str) -> date:
    """An ISO 8601 calendar date. Raises ValueError."""
    try:
        return msgspec.convert(text, date)
    except msgspec.ValidationError:
        raise ValueError("is not a date such as 2026-01-31") from None


def parse_uuid(text: str) -> UUID:
    """A UUID in hex, with or without hyphens. Raises ValueError."""
    try:
        return msgspec.convert(text, UUID)
    except msgspec.ValidationError:
        raise ValueError("is not a UUID") from None


def default_value(column: Column) -> Value:
    """The column's default, None for NULL. Raises ValueError where the text is no literal of the type."""
    if column.default is None:
        return None
    try:
        return _PARSERS[column.type](column.default)
    except ValueError as error:
        raise ValueError(f"{column.default!r} {error}") from None


def given_value(column: Column, value: object) -> Value:
    """A value as a test in YAML gives it, as the column holds it. Raises ValueError where the column cannot."""
    if value is None or column.type == "jsonb":
        return value
    if not isinstance(value, _WRITTEN_AS[column.type]) or isinstance(value, bool) != (column.type == "boolean"):
        hint = f"; put it in quotes: '{value}'" if isinstance(value, int | float) and column.type == "text" else ""
        raise ValueError(f"{value!r} is no value of a {column.type} column{hint}")
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return default_value(column.model_copy(update={"default": text}))


_WRITTEN_AS: dict[str, type | UnionType] = {
    **dict.fromkeys(("text", "timestamptz", "date", "uuid"), str),
    **dict.fromkeys(INT_RANGES, int),
    "numeric": int | float | str,
    "double precision": int | float,
    "boolean": bool,
}


def _text(text: str) -> str:
    if "\0" in text:
        raise ValueError("holds a NUL character, which PostgreSQL text cannot")
    return text


def _integer(name: str) -> Callable[[str], int]:
    low, high = INT_RANGES[name]

    def parse(text: str) -> int:
        if not _INTEGER.fullmatch(text):
            raise ValueError("is not an integer")
        if not low <= int(text) <= high:
            raise ValueError(f"is out of range for {name} ({low} to {high})")
        return int(text)

    return parse


def _numeric(text: str) -> Decimal:
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise ValueError("is not a number") from None
    if not value.is_finite() or abs(value) >= NUMERIC_LIMIT:
        raise ValueError("is not a finite number below 10^400")
    return value


def _double(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise ValueError("is not a number") from None
    if not math.isfinite(value):
        raise ValueError("is not a finite number")
    return value


def _boolean(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError("is neither true nor false")
    return text == "true"


def _json(text: str) -> Any:
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        raise ValueError("is not JSON") from None
    if "\\u0000" in text:
        raise ValueError("holds a NUL character, which PostgreSQL jsonb cannot")
    return value


_PARSERS: dict[str, Callable[[str], Value]] = {
    "text": _text,
    "smallint": _integer("smallint"),
    "integer": _integer("integer"),
    "bigint": _integer("bigint"),
    "numeric": _numeric,
    "double precision": _double,
    "boolean": _boolean,
    "timestamptz": parse_timestamp,
    "date": parse_date,
    "uuid": parse_uuid,
    "jsonb": _json,
}
