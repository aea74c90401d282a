"""Which events a rule is for: a type, or some schema versions of it, as in `OrderPlaced@>=2`."""

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

TOMBSTONE = "(tombstone)"
"""Selects records without a value, whatever type their headers name."""

FIRST_VERSION = 1
"""Schema version of an event that names none."""

Comparison = Literal["==", ">=", ">", "<=", "<"]

_COMPARE: dict[Comparison, Callable[[int, int], bool]] = {
    "==": operator.eq,
    ">=": operator.ge,
    ">": operator.gt,
    "<=": operator.le,
    "<": operator.lt,
}
_VERSIONED = re.compile(r"(?P<name>.+)@(?P<op>>=|<=|>|<)?(?P<version>[0-9]{1,9})", re.DOTALL)
_MEANT = re.compile(r".*@[<>=0-9]", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Selector:
    """One of a rule's `events`. Without an `op`, every version of the type is meant and `version` is 0."""

    name: str
    op: Comparison | None = None
    version: int = 0

    @classmethod
    def parse(cls, text: str) -> "Selector":
        """`Name`, `Name@2`, `Name@>=2`, `Name@>2`, `Name@<=2` or `Name@<2`. Raises ValueError.

        An `@` before anything else is part of the name.
        """
        found = _VERSIONED.fullmatch(text)
        if found is None:
            if _MEANT.match(text):
                raise ValueError(f"`{text}` names no version: write Name@2, Name@>=2, Name@>2, Name@<=2 or Name@<2")
            return cls(text)
        if found["name"] == TOMBSTONE:
            raise ValueError(f"{TOMBSTONE} has no versions: there is no value that could have one")
        return cls(found["name"], _op(found["op"]), int(found["version"]))

    @property
    def tombstone(self) -> bool:
        """Whether records without a value are meant."""
        return self.name == TOMBSTONE

    def matches(self, version: int) -> bool:
        """Whether an event of the type `name` with this schema version is meant."""
        return self.op is None or _COMPARE[self.op](version, self.version)

    def __str__(self) -> str:
        """As in YAML."""
        if self.op is None:
            return self.name
        return f"{self.name}@{'' if self.op == '==' else self.op}{self.version}"


def _op(text: str | None) -> Comparison:
    return next((known for known in get_args(Comparison) if known == text), "==")
