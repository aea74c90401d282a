"""What generated code calls where the type of a value is known only when the event is there.

Values are JSON's: int, float, str, bool, None, list, dict; and datetime (UTC) and timedelta. Every function raises
EvalError with the source text of the operand that is at fault; texts are passed in as `what`, or as `Operands` of a
binary operator.
"""

from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from operator import add as plus
from operator import ge, gt, le, lt
from operator import sub as minus
from typing import Any, NamedTuple, NoReturn, TypeVar

from projector.expr.errors import EvalError
from projector.expr.literals import INT64_MAX, INT64_MIN

T = TypeVar("T")


class Operands(NamedTuple):
    """Source texts of a binary operator: left, right, and the whole."""

    left: str
    right: str
    whole: str


_WORDS: dict[type, str] = {
    str: "text",
    int: "int",
    float: "double",
    bool: "bool",
    type(None): "null",
    list: "list",
    dict: "object",
    datetime: "timestamp",
    timedelta: "duration",
}

MAX_DURATION = timedelta(microseconds=INT64_MAX // 1000)
"""Durations reach as far either way as 64 bits of nanoseconds do, as in CEL: about 292 years."""


def word(value: object) -> str:
    """The type of a value, in the words of the language; of what only Python handlers give, in those of Python."""
    return _WORDS.get(type(value), type(value).__name__)


def missing(what: str) -> NoReturn:
    """A field that is not there."""
    raise EvalError(f"{what} is missing")


def overflow(what: str) -> NoReturn:
    """A result beyond 64 bits."""
    raise EvalError(f"{what} overflows a 64-bit int")


def wrong(value: object, what: str, wanted: str) -> EvalError:
    """A value of another type than the one that serves."""
    return EvalError(f"{what} is {word(value)}, not {wanted}")


def parsed(parse: Callable[[str], T], text: str, what: str) -> T:
    """What `parse` makes of text; its ValueError says in words what the text is not. Raises EvalError."""
    try:
        return parse(text)
    except ValueError as error:
        raise EvalError(f"{what} {error}") from None


def select(value: Any, field: str, operand: str, what: str) -> Any:
    """A field of an object."""
    if type(value) is not dict:
        raise wrong(value, operand, "object")
    try:
        return value[field]
    except KeyError:
        missing(what)


def has(value: Any, field: str, operand: str) -> bool:
    """Whether an object has a field; null counts as being there."""
    if type(value) is not dict:
        raise wrong(value, operand, "object")
    return field in value


def index(value: Any, key: Any, names: Operands) -> Any:
    """An element of a list by position, or a field of an object by name."""
    if type(value) is list:
        if type(key) is not int:
            raise wrong(key, names.right, "int")
        if not 0 <= key < len(value):
            raise EvalError(f"{names.whole} is beyond the list of {len(value)}")
        return value[key]
    if type(value) is not dict:
        raise wrong(value, names.left, "list or object")
    if type(key) is not str:
        raise wrong(key, names.right, "text")
    return select(value, key, names.left, names.whole)


def _unfit(left: object, right: object, names: Operands, taken: frozenset[type], wanted: str) -> EvalError:
    for value, what in ((left, names.left), (right, names.right)):
        if type(value) not in taken:
            return wrong(value, what, wanted)
    hint = ": convert with int(), double() or string()" if {type(left), type(right)} <= _CONVERTIBLE else ""
    return EvalError(f"{names.whole} mixes {word(left)} and {word(right)}{hint}")


_NUMBERS = frozenset({int, float})
_CONVERTIBLE = _NUMBERS | {str}
_TIMES = frozenset({datetime, timedelta})
_SUMS = frozenset({(timedelta, timedelta), (datetime, timedelta), (timedelta, datetime)})
_DIFFERENCES = frozenset({(timedelta, timedelta), (datetime, timedelta), (datetime, datetime)})


def add(left: Any, right: Any, names: Operands) -> Any:
    """`left + right`: numbers of one type, text, lists, durations; a duration onto a timestamp."""
    kind = type(left)
    if kind is type(right):
        if kind is int:
            return _int64(left + right, names.whole)
        if kind is float or kind is str or kind is list:
            return left + right
    if (kind, type(right)) in _SUMS:
        return _time(plus, left, right, names.whole)
    taken = _CONVERTIBLE | _TIMES | {list}
    raise _unfit(left, right, names, taken, "int, double, text, list, timestamp or duration")


def subtract(left: Any, right: Any, names: Operands) -> Any:
    """`left - right`: numbers of one type, times, durations."""
    kind = type(left)
    if kind is type(right):
        if kind is int:
            return _int64(left - right, names.whole)
        if kind is float:
            return left - right
    if (kind, type(right)) in _DIFFERENCES:
        return _time(minus, left, right, names.whole)
    raise _unfit(left, right, names, _NUMBERS | _TIMES, "int, double, timestamp or duration")


def _time(operator: Callable[[Any, Any], Any], left: Any, right: Any, what: str) -> Any:
    try:
        result = operator(left, right)
    except OverflowError:
        raise EvalError(f"{what} is beyond the years 1 to 9999") from None
    if type(result) is timedelta and abs(result) > MAX_DURATION:
        raise EvalError(f"{what} is beyond the longest duration, about 292 years")
    return result


def multiply(left: Any, right: Any, names: Operands) -> Any:
    """`left * right` of numbers of one type."""
    kind = type(left)
    if kind is type(right):
        if kind is int:
            return _int64(left * right, names.whole)
        if kind is float:
            return left * right
    raise _unfit(left, right, names, _NUMBERS, "int or double")


def divide(left: Any, right: Any, names: Operands) -> Any:
    """`left / right` of numbers of one type; ints truncate toward zero, doubles follow IEEE 754."""
    kind = type(left)
    if kind is type(right):
        if kind is int:
            return _divide_ints(left, right, names.whole)
        if kind is float:
            return _divide_doubles(left, right)
    raise _unfit(left, right, names, _NUMBERS, "int or double")


def _divide_ints(left: int, right: int, what: str) -> int:
    if right == 0:
        raise EvalError(f"{what} divides by zero")
    quotient = abs(left) // abs(right)
    return _int64(quotient if (left < 0) == (right < 0) else -quotient, what)


def _divide_doubles(left: float, right: float) -> float:
    if right != 0:
        return left / right
    if left == 0 or left != left:  # noqa: PLR0124 - only NaN differs from itself
        return float("nan")
    return float("inf") if (left > 0) == (str(right) == "0.0") else float("-inf")


def modulo(left: Any, right: Any, names: Operands) -> int:
    """`left % right` of ints; the sign is the left one's. Overflows where `left / right` does, as in CEL."""
    for value, what in ((left, names.left), (right, names.right)):
        if type(value) is not int:
            raise wrong(value, what, "int")
    if right == 0:
        raise EvalError(f"{names.whole} divides by zero")
    if left == INT64_MIN and right == -1:
        overflow(names.whole)
    remainder: int = abs(left) % abs(right)
    return -remainder if left < 0 else remainder


def negate(value: Any, names: Operands) -> Any:
    """`-value` of a number."""
    if type(value) is int:
        return _int64(-value, names.whole)
    if type(value) is float:
        return -value
    raise wrong(value, names.left, "int or double")


def _int64(value: int, what: str) -> int:
    return value if INT64_MIN <= value <= INT64_MAX else overflow(what)


def truth(value: Any, what: str) -> bool:
    """A value that must be true or false."""
    if value is True or value is False:
        return bool(value)
    raise wrong(value, what, "bool")


def both(left: Callable[[], Any], right: Callable[[], Any], names: Operands) -> bool:
    """`left && right`: false wins over an error of the other side, as in CEL."""
    return _logic(left, right, names, decides=False)


def either(left: Callable[[], Any], right: Callable[[], Any], names: Operands) -> bool:
    """`left || right`: true wins over an error of the other side, as in CEL."""
    return _logic(left, right, names, decides=True)


def _logic(left: Callable[[], Any], right: Callable[[], Any], names: Operands, decides: bool) -> bool:
    try:
        if truth(left(), names.left) is decides:
            return decides
    except EvalError:
        if _or_none(right) is decides:
            return decides
        raise
    return truth(right(), names.right)


def _or_none(value: Callable[[], Any]) -> object:
    try:
        return value()
    except EvalError:
        return None


def equals(left: Any, right: Any) -> bool:
    """`left == right`: ints and doubles by value, other types never across."""
    kind = type(left)
    if kind is type(right):
        if kind is list:
            return len(left) == len(right) and all(map(equals, left, right))
        if kind is dict:
            return left.keys() == right.keys() and all(equals(left[name], right[name]) for name in left)
        return bool(left == right)
    return kind in _NUMBERS and type(right) in _NUMBERS and bool(left == right)


_ORDER: dict[str, Callable[[Any, Any], bool]] = {"<": lt, "<=": le, ">": gt, ">=": ge}


def compare(op: str, left: Any, right: Any, names: Operands) -> bool:
    """`left op right` for an order; ints and doubles compare by value."""
    kind, other = type(left), type(right)
    if (kind is other and kind in _ORDERED) or (kind in _NUMBERS and other in _NUMBERS):
        return bool(_ORDER[op](left, right))
    for value, what in ((left, names.left), (right, names.right)):
        if type(value) not in _ORDERED:
            raise wrong(value, what, "int, double, text, bool, timestamp or duration")
    raise EvalError(f"{names.whole} compares {word(left)} with {word(right)}")


_ORDERED = _NUMBERS | _TIMES | {str, bool}


def within(value: Any, container: Any, names: Operands) -> bool:
    """`value in container`: an element of a list, or a name in an object."""
    if type(container) is list:
        return any(equals(value, item) for item in container)
    if type(container) is not dict:
        raise wrong(container, names.right, "list or object")
    return type(value) is str and value in container


def elements(value: Any, what: str) -> Collection[Any]:
    """What a macro goes over: elements of a list, names of an object's fields."""
    if type(value) is list or type(value) is dict:
        return value
    raise wrong(value, what, "list or object")


def exists(items: Collection[Any], test: Callable[[Any], bool]) -> bool:
    """Whether the test holds for some item; that wins over an error of another one, as in CEL."""
    return _any_is(items, test, decides=True)


def for_all(items: Collection[Any], test: Callable[[Any], bool]) -> bool:
    """Whether the test holds for every item; one that fails it wins over an error of another one, as in CEL."""
    return _any_is(items, test, decides=False)


def _any_is(items: Collection[Any], test: Callable[[Any], bool], decides: bool) -> bool:
    failed: EvalError | None = None
    for item in items:
        try:
            if test(item) is decides:
                return decides
        except EvalError as error:
            failed = failed or error
    if failed is not None:
        raise failed
    return not decides
