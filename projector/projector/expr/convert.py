"""Functions of the language at run time: `size` and conversions. They raise EvalError."""

import math
import re
from datetime import UTC, datetime, timedelta
from typing import Any

from projector.expr.errors import EvalError
from projector.expr.literals import INT64_MAX, INT64_MIN
from projector.expr.runtime import parsed, wrong
from projector.expr.times import duration_text, parse_duration
from projector.spec.values import parse_timestamp

_INT = re.compile(r"[+-]?0*[0-9]{1,19}")
_DOUBLE = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,4})?")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def size(value: Any, what: str) -> int:
    """Characters of text, elements of a list, fields of an object."""
    if type(value) in (str, list, dict):
        return len(value)
    raise wrong(value, what, "text, list or object")


def to_int(value: Any, what: str) -> int:
    """`int(value)`: doubles truncate toward zero, timestamps give seconds since the epoch."""
    result = _int_of(value, what)
    if not INT64_MIN <= result <= INT64_MAX:
        raise EvalError(f"{what} does not fit a 64-bit int")
    return result


def _int_of(value: Any, what: str) -> int:
    if type(value) is int:
        return value
    if type(value) is float:
        if not math.isfinite(value) or value <= INT64_MIN:  # CEL leaves out the least one, which is exact
            raise EvalError(f"{what} does not fit a 64-bit int")
        return int(value)
    if type(value) is datetime:
        return (value - _EPOCH) // timedelta(seconds=1)
    if type(value) is not str:
        raise wrong(value, what, "int, double, text or timestamp")
    if not _INT.fullmatch(value):
        raise EvalError(f"{what} is text that holds no int")
    return int(value)


def to_double(value: Any, what: str) -> float:
    """`double(value)` of a number or of text in decimal notation."""
    if type(value) is float:
        return value
    if type(value) is int:
        try:
            return float(value)
        except OverflowError:
            raise EvalError(f"{what} does not fit a double") from None
    if type(value) is not str:
        raise wrong(value, what, "int, double or text")
    if not _DOUBLE.fullmatch(value):
        raise EvalError(f"{what} is text that holds no double")
    result = float(value)
    if math.isinf(result):
        raise EvalError(f"{what} does not fit a double")
    return result


_TRUTH = {
    **dict.fromkeys(("true", "True", "TRUE", "t", "T", "1"), True),
    **dict.fromkeys(("false", "False", "FALSE", "f", "F", "0"), False),
}


def to_bool(value: Any, what: str) -> bool:
    """`bool(value)` of the words that CEL takes for truth values."""
    if type(value) is bool:
        return value
    if type(value) is not str:
        raise wrong(value, what, "text or bool")
    if value not in _TRUTH:
        raise EvalError(f"{what} is text that holds no bool")
    return _TRUTH[value]


def to_string(value: Any, what: str) -> str:
    """`string(value)`: doubles in the shortest notation that reads back, times in RFC 3339, durations in seconds."""
    if type(value) is str:
        return value
    if type(value) is bool:
        return "true" if value else "false"
    if type(value) is int:
        return str(value)
    if type(value) is float:
        text = repr(value)
        return _NOT_FINITE.get(text, text.removesuffix(".0"))
    if type(value) is timedelta:
        return duration_text(value)
    if type(value) is datetime:
        text = value.isoformat(timespec="microseconds").removesuffix("+00:00")
        return f"{text.rstrip('0').rstrip('.')}Z"
    raise wrong(value, what, "text, int, double, bool, timestamp or duration")


_NOT_FINITE = {"nan": "NaN", "inf": "+Inf", "-inf": "-Inf"}


def to_timestamp(value: Any, what: str) -> datetime:
    """`timestamp(value)` of RFC 3339 text or of seconds since the epoch."""
    if type(value) is datetime:
        return value
    if type(value) is int:
        try:
            return _EPOCH + timedelta(seconds=value)
        except OverflowError:
            raise EvalError(f"{what} is beyond the years 1 to 9999") from None
    if type(value) is not str:
        raise wrong(value, what, "text, int or timestamp")
    return parsed(parse_timestamp, value, what)


def to_duration(value: Any, what: str) -> timedelta:
    """`duration(value)` of text such as `1h30m`."""
    if type(value) is timedelta:
        return value
    if type(value) is not str:
        raise wrong(value, what, "text or duration")
    return parsed(parse_duration, value, what)
