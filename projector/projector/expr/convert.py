"""Functions of the language at run time: conversions, `size` and tests of text. They raise EvalError."""

import math
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from projector.expr.errors import EvalError
from projector.expr.literals import INT64_MAX, INT64_MIN
from projector.expr.runtime import Operands, wrong
from projector.spec.values import parse_timestamp

_INT = re.compile(r"[+-]?[0-9]{1,19}")
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
        if not math.isfinite(value):
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
    return float(value)


def to_string(value: Any, what: str) -> str:
    """`string(value)`: doubles in the shortest notation that reads back, timestamps in RFC 3339."""
    if type(value) is str:
        return value
    if type(value) is bool:
        return "true" if value else "false"
    if type(value) is int:
        return str(value)
    if type(value) is float:
        return repr(value).removesuffix(".0")
    if type(value) is datetime:
        text = value.isoformat(timespec="microseconds").removesuffix("+00:00")
        return f"{text.rstrip('0').rstrip('.')}Z"
    raise wrong(value, what, "text, int, double, bool or timestamp")


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
    try:
        return parse_timestamp(value)
    except ValueError as error:
        raise EvalError(f"{what} {error}") from None


def _texts(test: Callable[[str, str], bool]) -> Callable[[Any, Any, Operands], bool]:
    def call(value: Any, part: Any, names: Operands) -> bool:
        for operand, what in ((value, names.left), (part, names.right)):
            if type(operand) is not str:
                raise wrong(operand, what, "text")
        return test(value, part)

    return call


starts_with = _texts(str.startswith)
ends_with = _texts(str.endswith)
contains = _texts(str.__contains__)
