"""Values to columns: what each column type takes of a value that an expression gave, at fold time.

Every function takes the value and the source text that gave it, passes None (NULL), and raises EvalError otherwise.
"""

import math
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from projector.expr.errors import EvalError
from projector.expr.runtime import parsed, wrong
from projector.spec.values import INT_RANGES, NUMERIC_LIMIT, parse_date, parse_timestamp, parse_uuid

Fit = Callable[[Any, str], Any]

_NUMERIC_BOUND = int(NUMERIC_LIMIT)


def required(value: Any, what: str, why: str) -> Any:
    """A value that must not be null."""
    if value is None:
        raise EvalError(f"{what} is null; {why}")
    return value


def own_list(value: Any, what: str) -> list[Any] | None:
    """A list of its own for a column that is appended to, since appending changes it."""
    if value is None:
        return None
    if type(value) is list:
        return [*value]
    raise wrong(value, what, "a list, since other rules append to the column")


def items(value: Any, what: str) -> list[Any]:
    """The elements that a rule is applied to."""
    if type(value) is list:
        return value
    raise wrong(value, what, "a list")


def utc(value: datetime | None, what: str) -> datetime | None:
    """A decoded timestamp in UTC."""
    if value is None or value.tzinfo is UTC:
        return value
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise EvalError(f"{what} is beyond the years 1 to 9999") from None


def fit_text(value: Any, what: str) -> str | None:
    """Text without NUL."""
    if type(value) is str:
        if "\0" in value:
            raise EvalError(f"{what} holds a NUL character, which text cannot")
        return value
    if value is None:
        return None
    raise EvalError(f"{wrong(value, what, 'text')}: use string({what})")


def _integer(column_type: str) -> Fit:
    low, high = INT_RANGES[column_type]

    def fit(value: Any, what: str) -> Any:
        if type(value) is int:
            if low <= value <= high:
                return value
            raise EvalError(f"{what} is out of range for {column_type} ({low} to {high})")
        if value is None:
            return None
        raise wrong(value, what, column_type)

    return fit


def fit_numeric(value: Any, what: str) -> Decimal | None:
    """An int or a decimal exactly, a double by its shortest decimal notation."""
    if value is None:
        return None
    if type(value) is int:
        if abs(value) < _NUMERIC_BOUND:
            return Decimal(value)
        raise EvalError(f"{what} is out of range for numeric (below 10^400)")
    if type(value) is float:
        if math.isfinite(value):
            return Decimal(repr(value))
        raise EvalError(f"{what} is not a finite number")
    if type(value) is Decimal:
        if value.is_finite() and abs(value) < NUMERIC_LIMIT:
            return value
        raise EvalError(f"{what} is out of range for numeric (below 10^400)")
    raise wrong(value, what, "numeric")


def fit_double(value: Any, what: str) -> float | None:
    """A finite double; an int becomes one, since JSON writes 1.0 as 1."""
    if type(value) is float:
        if math.isfinite(value):
            return value
        raise EvalError(f"{what} is not a finite number")
    if value is None:
        return None
    if type(value) is int:
        try:
            return float(value)
        except OverflowError:
            raise EvalError(f"{what} is out of range for double precision") from None
    raise wrong(value, what, "double precision")


def fit_boolean(value: Any, what: str) -> bool | None:
    """True or false."""
    if value is None or type(value) is bool:
        return value
    raise wrong(value, what, "boolean")


def fit_timestamptz(value: Any, what: str) -> datetime | None:
    """A timestamp, or text in RFC 3339 with an offset; in UTC."""
    if value is None or type(value) is datetime:
        return value
    if type(value) is str:
        result: datetime = parsed(parse_timestamp, value, what)
        return result
    raise wrong(value, what, "timestamptz")


def fit_date(value: Any, what: str) -> date | None:
    """A date, or text that is one in ISO 8601."""
    if value is None or type(value) is date:
        return value
    if type(value) is str:
        result: date = parsed(parse_date, value, what)
        return result
    raise wrong(value, what, "date")


def fit_uuid(value: Any, what: str) -> UUID | None:
    """Text that is a UUID."""
    if value is None:
        return None
    if type(value) is str:
        result: UUID = parsed(parse_uuid, value, what)
        return result
    raise wrong(value, what, "uuid")


def fit_jsonb(value: Any, what: str) -> Any:
    """Any JSON value without NUL characters; null is NULL."""
    _check_json(value, what)
    return value


def _check_json(value: Any, what: str) -> None:
    if type(value) is list:
        for item in value:
            _check_json(item, what)
    elif type(value) is dict:
        for name, item in value.items():
            _check_json(name, what)
            _check_json(item, what)
    elif type(value) is str:
        if "\0" in value:
            raise EvalError(f"{what} holds a NUL character, which jsonb cannot")
    elif type(value) is float:
        fit_double(value, what)
    elif type(value) is datetime:
        raise EvalError(f"{what} is timestamp, not jsonb: use string({what})")
    elif type(value) not in _JSON:
        raise wrong(value, what, "jsonb")


_JSON = frozenset({int, bool, type(None)})

FITS: dict[str, Fit] = {
    "text": fit_text,
    "smallint": _integer("smallint"),
    "integer": _integer("integer"),
    "bigint": _integer("bigint"),
    "numeric": fit_numeric,
    "double precision": fit_double,
    "boolean": fit_boolean,
    "timestamptz": fit_timestamptz,
    "date": fit_date,
    "uuid": fit_uuid,
    "jsonb": fit_jsonb,
}
"""Column type to the function that makes a value fit."""
