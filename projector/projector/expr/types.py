"""Static types, and what names and operators mean to them."""

from collections.abc import Iterable
from difflib import get_close_matches
from enum import StrEnum


class Type(StrEnum):
    """What is known of a value before an event is seen. DYN: nothing; the value's own type decides."""

    INT = "int"
    DOUBLE = "double"
    STRING = "text"
    BOOL = "bool"
    TIMESTAMP = "timestamp"
    DURATION = "duration"
    NULL = "null"
    LIST = "list"
    MAP = "object"
    DYN = "dyn"


NUMBERS = frozenset({Type.INT, Type.DOUBLE})
ORDERED = NUMBERS | {Type.STRING, Type.BOOL, Type.TIMESTAMP, Type.DURATION}

META: dict[str, Type] = {
    "topic": Type.STRING,
    "partition": Type.INT,
    "offset": Type.INT,
    "timestamp": Type.TIMESTAMP,
    "key": Type.STRING,
    "headers": Type.MAP,
    "type": Type.STRING,
}
"""Fields of `meta`. `key` and a header may be null at run time."""

VARIABLES = ("event", "meta")
"""Names that every expression may use; no macro binds them anew."""

_SAME_NUMBERS = ((Type.INT, Type.INT, Type.INT), (Type.DOUBLE, Type.DOUBLE, Type.DOUBLE))
ARITHMETIC: dict[str, tuple[tuple[Type, Type, Type], ...]] = {
    "+": (
        *_SAME_NUMBERS,
        (Type.STRING, Type.STRING, Type.STRING),
        (Type.LIST, Type.LIST, Type.LIST),
        (Type.TIMESTAMP, Type.DURATION, Type.TIMESTAMP),
        (Type.DURATION, Type.TIMESTAMP, Type.TIMESTAMP),
        (Type.DURATION, Type.DURATION, Type.DURATION),
    ),
    "-": (
        *_SAME_NUMBERS,
        (Type.TIMESTAMP, Type.TIMESTAMP, Type.DURATION),
        (Type.TIMESTAMP, Type.DURATION, Type.TIMESTAMP),
        (Type.DURATION, Type.DURATION, Type.DURATION),
    ),
    "*": _SAME_NUMBERS,
    "/": _SAME_NUMBERS,
    "%": _SAME_NUMBERS[:1],
}
"""What each operator takes: left, right, and what comes of it."""


def common(types: Iterable[Type]) -> Type:
    """The one type that all are of, else DYN."""
    found = set(types)
    return found.pop() if len(found) == 1 else Type.DYN


def near(name: str, names: Iterable[str]) -> str:
    """`; did you mean …?` where a known name is close, else nothing."""
    matches = get_close_matches(name, list(names), n=1)
    return f"; did you mean `{matches[0]}`?" if matches else ""


def listing(types: Iterable[Type]) -> str:
    """Types in words: `text, list or object`."""
    *others, last = [str(known) for known in Type if known in set(types)]
    return f"{', '.join(others)} or {last}" if others else last
