"""Static types, and what a name or function means to them."""

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum


class Type(StrEnum):
    """What is known of a value before an event is seen. DYN: nothing; the value's own type decides."""

    INT = "int"
    DOUBLE = "double"
    STRING = "text"
    BOOL = "bool"
    TIMESTAMP = "timestamp"
    NULL = "null"
    LIST = "list"
    MAP = "object"
    DYN = "dyn"


NUMBERS = frozenset({Type.INT, Type.DOUBLE})
ORDERED = NUMBERS | {Type.STRING, Type.BOOL, Type.TIMESTAMP}

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


@dataclass(frozen=True, slots=True)
class Function:
    """A served function: the types that each argument accepts, and how it may be written."""

    params: tuple[frozenset[Type], ...]
    result: Type
    as_call: bool
    as_method: bool


def _types(*types: Type) -> frozenset[Type]:
    return frozenset(types)


_TEXT = _types(Type.STRING)
FUNCTIONS: dict[str, Function] = {
    "size": Function((_types(Type.STRING, Type.LIST, Type.MAP),), Type.INT, as_call=True, as_method=True),
    "startsWith": Function((_TEXT, _TEXT), Type.BOOL, as_call=False, as_method=True),
    "endsWith": Function((_TEXT, _TEXT), Type.BOOL, as_call=False, as_method=True),
    "contains": Function((_TEXT, _TEXT), Type.BOOL, as_call=False, as_method=True),
    "int": Function(
        (_types(Type.INT, Type.DOUBLE, Type.STRING, Type.TIMESTAMP),), Type.INT, as_call=True, as_method=False
    ),
    "double": Function((_types(Type.INT, Type.DOUBLE, Type.STRING),), Type.DOUBLE, as_call=True, as_method=False),
    "string": Function(
        (_types(Type.STRING, Type.INT, Type.DOUBLE, Type.BOOL, Type.TIMESTAMP),),
        Type.STRING,
        as_call=True,
        as_method=False,
    ),
    "timestamp": Function(
        (_types(Type.STRING, Type.INT, Type.TIMESTAMP),), Type.TIMESTAMP, as_call=True, as_method=False
    ),
}


def near(name: str, names: Iterable[str]) -> str:
    """`; did you mean …?` where a known name is close, else nothing."""
    matches = get_close_matches(name, list(names), n=1)
    return f"; did you mean `{matches[0]}`?" if matches else ""


def listing(types: Iterable[Type]) -> str:
    """Types in words: `text, list or object`."""
    *others, last = [str(known) for known in Type if known in set(types)]
    return f"{', '.join(others)} or {last}" if others else last
