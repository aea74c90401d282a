"""Expressions of the reference interpreter: a walk over the grammar's own tree, for each event anew."""

import json
import math
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Decimal
from fractions import Fraction
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import re2
from celpy.celparser import CELParser
from lark import Tree

INT64 = range(-(2**63), 2**63)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


class Refused(Exception):
    """The event cannot be applied."""


def check(holds: bool, value: Any) -> Any:
    """The value, where the condition holds. Raises Refused."""
    if not holds:
        raise Refused
    return value


def timestamp(text: str) -> datetime:
    """RFC 3339 with an offset."""
    if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)", text):
        raise Refused
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        raise Refused from None


@cache
def _tree(text: str) -> Tree[Any]:
    return CELParser().parse(text)


def evaluate(text: str, scope: dict[str, Any]) -> Any:
    """The value of an expression. Raises Refused."""
    return _Walk(scope).at(_tree(text))


def boolean(value: Any) -> bool:
    """A value that must be true or false."""
    return bool(check(type(value) is bool, value))


class _Walk:
    def __init__(self, scope: dict[str, Any]) -> None:
        self.scope = scope

    def at(self, tree: Any) -> Any:
        name, parts = tree.data, tree.children
        method = getattr(self, name, None)
        if method is not None and (len(parts) != 1 or name not in _PASSING):
            return method(*parts)
        return self.at(parts[0])

    def expr(self, condition: Any, then: Any, otherwise: Any) -> Any:
        return self.at(then if boolean(self.at(condition)) else otherwise)

    def conditionalor(self, left: Any, right: Any) -> Any:
        return self._logic(left, right, decides=True)

    def conditionaland(self, left: Any, right: Any) -> Any:
        return self._logic(left, right, decides=False)

    def _logic(self, left: Any, right: Any, decides: bool) -> bool:
        results = [self._try_bool(side) for side in (left, right)]
        if decides in results:
            return decides
        if None in results:
            raise Refused
        return not decides

    def _try_bool(self, tree: Any) -> bool | None:
        try:
            return boolean(self.at(tree))
        except Refused:
            return None

    def relation(self, operator: Any, right_tree: Any) -> bool:
        left, right = self.at(operator.children[0]), self.at(right_tree)
        sign = operator.data.removeprefix("relation_")
        if sign in ("eq", "ne"):
            return same(left, right) is (sign == "eq")
        if sign == "in":
            if isinstance(right, dict):
                return isinstance(left, str) and left in right
            return any(same(left, item) for item in check(isinstance(right, list), right))
        ordered = (int, float, str, bool, datetime, timedelta)
        check(type(left) in ordered and (type(left) is type(right) or _numbers(left, right)), None)
        results = {"lt": left < right, "le": left <= right, "gt": left > right, "ge": left >= right}
        return bool(results[sign])

    def addition(self, operator: Any, right: Any) -> Any:
        return self._arithmetic(operator, right)

    def multiplication(self, operator: Any, right: Any) -> Any:
        return self._arithmetic(operator, right)

    def _arithmetic(self, operator: Any, right_tree: Any) -> Any:
        left, right = self.at(operator.children[0]), self.at(right_tree)
        sign = operator.data.split("_")[1]
        if sign == "add" and (isinstance(left, str) and isinstance(right, str)):
            return left + right
        if sign == "add" and (isinstance(left, list) and isinstance(right, list)):
            return left + right
        if isinstance(left, datetime | timedelta):
            return _moved(sign, left, right)
        check(_numbers(left, right) and type(left) is type(right), None)
        return _doubles(sign, left, right) if isinstance(left, float) else _ints(sign, left, right)

    def unary(self, operator: Any, operand: Any) -> Any:
        value = self.at(operand)
        if operator.data == "unary_not":
            return not boolean(value)
        check(_numbers(value, value), None)
        return _in_range(-value) if isinstance(value, int) else -value

    def member_dot(self, operand: Any, name: Any) -> Any:
        return _field(self.at(operand), str(name))

    def member_index(self, operand: Any, index_tree: Any) -> Any:
        container, index = self.at(operand), self.at(index_tree)
        if isinstance(container, dict):
            return _field(container, check(isinstance(index, str), index))
        check(isinstance(container, list) and type(index) is int and 0 <= index < len(container), None)
        return container[index]

    def member_dot_arg(self, operand: Any, name: Any, arguments: Any = None) -> Any:
        if name in ("map", "filter", "exists", "all", "exists_one"):
            return self._macro(str(name), self.at(operand), *arguments.children)
        values = [self.at(argument) for argument in (arguments.children if arguments else ())]
        return self._function(str(name), [self.at(operand), *values])

    def _macro(self, name: str, items: Any, variable: Any, *parts: Any) -> Any:
        """Parts are the condition, the value, or both."""
        bound = str(next(variable.scan_values(lambda _: True)))
        check(isinstance(items, list | dict), items)
        walks = [_Walk({**self.scope, bound: item}) for item in items]
        if name == "map":
            condition, value = parts if len(parts) > 1 else (None, parts[0])
            return [walk.at(value) for walk in walks if condition is None or boolean(walk.at(condition))]
        if name in ("exists", "all"):
            results = [walk._try_bool(parts[0]) for walk in walks]
            decides = name == "exists"
            check(decides in results or None not in results, results)
            return decides if decides in results else not decides
        chosen = [item for item, walk in zip(items, walks, strict=True) if boolean(walk.at(parts[0]))]
        return chosen if name == "filter" else len(chosen) == 1

    def ident_arg(self, name: Any, arguments: Any) -> Any:
        if name == "has":
            select = arguments.children[0]
            while select.data != "member_dot":
                select = select.children[0]
            container = self.at(select.children[0])
            return str(select.children[1]) in check(isinstance(container, dict), container)
        return self._function(str(name), [self.at(argument) for argument in arguments.children])

    def _function(self, name: str, values: list[Any]) -> Any:
        if name == "size":
            return len(check(isinstance(values[0], str | list | dict), values[0]))
        if name in _CONVERSIONS:
            return _CONVERSIONS[name](values[0])
        if name in _PARTS:
            return _part(name, *values)
        kinds, function = _TEXTS[name]
        for kind, value in zip(kinds, values, strict=False):
            check(type(value) is kind, value)
        return function(*values)

    def list_lit(self, items: Any = None) -> list[Any]:
        return [self.at(item) for item in (items.children if items else ())]

    def ident(self, name: Any) -> Any:
        return self.scope[str(name)]

    def literal(self, token: Any) -> Any:
        if token.type == "STRING_LIT":
            return json.loads('"' + token[1:-1] + '"')
        return json.loads(token)


_PASSING = {"expr", "conditionalor", "conditionaland", "relation", "addition", "multiplication", "unary"}


def _numbers(*values: Any) -> bool:
    return all(type(value) in (int, float) for value in values)


def same(left: Any, right: Any) -> bool:
    """Equality without truth values being numbers."""
    if _numbers(left, right):
        return bool(left == right)
    if type(left) is not type(right):
        return False
    if isinstance(left, list):
        return len(left) == len(right) and all(same(a, b) for a, b in zip(left, right, strict=True))
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[name], right[name]) for name in left)
    return bool(left == right)


def _field(container: Any, name: str) -> Any:
    if not isinstance(container, dict) or name not in container:
        raise Refused
    return container[name]


def _in_range(value: int) -> int:
    return int(check(value in INT64, value))


def _ints(sign: str, left: int, right: int) -> int:
    if sign in ("div", "mod"):
        quotient = _in_range(math.trunc(Fraction(left, check(right != 0, right))))
        return quotient if sign == "div" else left - quotient * right
    return _in_range({"add": left + right, "sub": left - right, "mul": left * right}[sign])


def _doubles(sign: str, left: float, right: float) -> float:
    check(sign != "mod", None)
    if sign == "div":
        if right == 0:
            sign_of = math.copysign(1, left) * math.copysign(1, right)
            return math.nan if left == 0 or math.isnan(left) else sign_of * math.inf
        return left / right
    return {"add": left + right, "sub": left - right, "mul": left * right}[sign]


def _to_int(value: Any) -> int:
    if isinstance(value, datetime):
        return math.floor(Fraction((value - EPOCH) // timedelta(microseconds=1), 10**6))
    if isinstance(value, str):
        return _in_range(int(check(re.fullmatch("[+-]?[0-9]+", value) is not None, value)))
    check(_numbers(value) and math.isfinite(value), value)
    return _in_range(int(check(type(value) is int or value != -(2.0**63), value)))


def _to_double(value: Any) -> float:
    if isinstance(value, str):
        check(re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", value) is not None, None)
        return float(check(not math.isinf(float(value)), value))
    return float(check(_numbers(value), value))


def _to_string(value: Any) -> str:
    if isinstance(value, datetime):
        text = value.replace(tzinfo=None).isoformat()
        return f"{text.rstrip('0') if '.' in text else text}Z"
    if isinstance(value, timedelta):
        return f"{re.sub(r'[.]?0*$', '', f'{Decimal(value // MICROSECOND) / 10**6:.6f}')}s"
    if isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            return {"nan": "NaN", "inf": "+Inf", "-inf": "-Inf"}[str(value)]
        return re.sub(r"\.0$", "", str(value))
    return str(check(isinstance(value, str | int), value))


def _to_timestamp(value: Any) -> datetime:
    if isinstance(value, str):
        return timestamp(value)
    if isinstance(value, datetime):
        return value
    try:
        return EPOCH + timedelta(seconds=check(type(value) is int, value))
    except OverflowError:
        raise Refused from None


def _to_bool(value: Any) -> bool:
    if isinstance(value, str):
        check(value in ("1", "t", "T", "true", "TRUE", "True", "0", "f", "F", "false", "FALSE", "False"), value)
        return value[0] in "1tT"
    return boolean(value)


def _to_duration(value: Any) -> timedelta:
    if isinstance(value, timedelta):
        return value
    text = check(isinstance(value, str), value)
    parts = re.findall(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|ms|s|m|h)", text)
    check(re.sub("^[+-]", "", text) in ("".join(map("".join, parts)) or "0", "0"), text)
    total: Decimal = sum((Decimal(number) * _MICROSECONDS[unit] for number, unit in parts), Decimal(0))
    return _bounded(timedelta(microseconds=int(-total if text[0] == "-" else total)))


_MICROSECONDS: dict[str, Any] = {
    "ns": Decimal("0.001"),
    "us": 1,
    "ms": 10**3,
    "s": 10**6,
    "m": 60 * 10**6,
    "h": 3600 * 10**6,
}


def _bounded(value: timedelta) -> timedelta:
    check(abs(value // MICROSECOND) <= (2**63 - 1) // 1000, value)
    return value


def _moved(sign: str, left: Any, right: Any) -> Any:
    """Sums and differences of times and durations."""
    allowed = {("add", "dt"), ("add", "td"), ("add", "dd"), ("sub", "tt"), ("sub", "td"), ("sub", "dd")}
    kinds = "".join({datetime: "t", timedelta: "d"}.get(type(value), "?") for value in (left, right))
    check((sign, kinds) in allowed, kinds)
    try:
        result = left + right if sign == "add" else left - right
    except OverflowError:
        raise Refused from None
    return _bounded(result) if isinstance(result, timedelta) else result


_PARTS: dict[str, Callable[[datetime], int]] = {
    "getFullYear": lambda time: time.year,
    "getMonth": lambda time: time.month - 1,
    "getDate": lambda time: time.day,
    "getDayOfMonth": lambda time: time.day - 1,
    "getDayOfWeek": lambda time: int(time.strftime("%w")),
    "getDayOfYear": lambda time: int(time.strftime("%j")) - 1,
    "getHours": lambda time: time.hour,
    "getMinutes": lambda time: time.minute,
    "getSeconds": lambda time: time.second,
    "getMilliseconds": lambda time: time.microsecond // 1000,
}
_UNITS = {"getHours": "h", "getMinutes": "m", "getSeconds": "s", "getMilliseconds": "ms"}


def _part(name: str, value: Any, zone: Any = "UTC") -> int:
    """A part of a timestamp in a zone by its name, or of a duration."""
    if isinstance(value, timedelta):
        return math.trunc(Fraction(value // MICROSECOND, int(_MICROSECONDS[_UNITS[check(name in _UNITS, name)]])))
    check(isinstance(value, datetime), value)
    try:
        return _PARTS[name](value.astimezone(_zone(check(isinstance(zone, str), zone))))
    except (ZoneInfoNotFoundError, ValueError, OverflowError):
        raise Refused from None


def _zone(name: str) -> tzinfo | None:
    if ":" not in name:
        return ZoneInfo(name)
    return datetime.strptime(name if name[0] in "+-" else f"+{name}", "%z").tzinfo


def _split(text: str, separator: str, limit: int = -1) -> list[str]:
    parts = text.split(separator) if separator else list(text)
    if limit < 0 or len(parts) <= limit:
        return parts
    return [*parts[: limit - 1], separator.join(parts[limit - 1 :])] if limit else []


def _substring(text: str, start: int, end: int | None = None) -> str:
    end = len(text) if end is None else end
    check(0 <= start <= end <= len(text), text)
    return text[start:end]


def _index(text: str, part: str, offset: int = 0) -> int:
    places = range(check(offset >= 0, offset), len(text) + 1)
    if not part:
        return min(offset, len(text))
    return next((place for place in places if text[place : place + len(part)] == part), -1)


_WHITE = r"[\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]*"
_TEXTS: dict[str, tuple[tuple[type, ...], Callable[..., Any]]] = {
    "startsWith": ((str, str), lambda text, part: text[: len(part)] == part),
    "endsWith": ((str, str), lambda text, part: text[::-1][: len(part)] == part[::-1]),
    "contains": ((str, str), lambda text, part: part in text),
    "matches": ((str, str), lambda text, pattern: re2.search(pattern, text) is not None),
    "lowerAscii": ((str,), lambda text: "".join(letter.lower() if letter.isascii() else letter for letter in text)),
    "upperAscii": ((str,), lambda text: "".join(letter.upper() if letter.isascii() else letter for letter in text)),
    "trim": ((str,), lambda text: re.sub(rf"\A{_WHITE}|{_WHITE}\Z", "", text)),
    "split": ((str, str, int), _split),
    "replace": ((str, str, str, int), lambda text, old, new, limit=-1: text.replace(old, new, limit)),
    "substring": ((str, int, int), _substring),
    "indexOf": ((str, str, int), _index),
    "join": ((list, str), lambda parts, between="": between.join(check(isinstance(part, str), part) for part in parts)),
}
_CONVERSIONS: dict[str, Callable[[Any], Any]] = {
    "int": _to_int,
    "double": _to_double,
    "string": _to_string,
    "timestamp": _to_timestamp,
    "bool": _to_bool,
    "duration": _to_duration,
}
