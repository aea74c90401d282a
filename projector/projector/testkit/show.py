"""Values and rows in reports, and whether two values are the same."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import Any

import msgspec

WIDTH = 88
"""Characters of a line with two values; longer ones stand below each other."""


def same(left: Any, right: Any) -> bool:
    """Equality as columns see it: numbers by value, truth values only with each other."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(left[name], right[name]) for name in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    return bool(left == right)


def text(value: Any) -> str:
    """A value as one would write it in a test, on one line."""
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if value is None or isinstance(value, str | bool | list | dict):
        return msgspec.json.encode(value).decode()
    return value.isoformat() if isinstance(value, date) else str(value)


def named(names: Sequence[str], values: Sequence[Any]) -> str:
    """`order_id=o-1, line=2`."""
    return ", ".join(
        f"{name}={value if isinstance(value, str) else text(value)}" for name, value in zip(names, values, strict=True)
    )


def cells(row: Mapping[str, Any]) -> str:
    """A row's values, those that say something."""
    return ", ".join(f"{name}: {text(value)}" for name, value in row.items() if value is not None) or "nothing in it"


def difference(name: str, expected: Any, got: Any, words: tuple[str, str]) -> Iterator[str]:
    """One line, or three where the values are long."""
    first, second = text(expected), text(got)
    line = f"  {name}: {words[0]} {first}, {words[1]} {second}"
    if len(line) <= WIDTH:
        yield line
        return
    width = max(map(len, words))
    yield f"  {name}:"
    yield f"    {words[0]:{width}} {first}"
    yield f"    {words[1]:{width}} {second}"
