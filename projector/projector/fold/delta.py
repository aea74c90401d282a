"""Deltas: what events do to one row key.

The state of a row is absent (`None`) or a row. A delta has a branch for each, so that "create where missing",
"ignore where missing" and "delete" all compose: `apply(compose(a, b), s) == apply(b, apply(a, s))` for every state.
"""

from dataclasses import dataclass
from enum import IntEnum

Value = object
"""A value of a column: str, int, float, bool, Decimal, datetime, date, UUID, JSON data, or None for NULL."""

Key = tuple[Value, ...]
Row = dict[str, Value]
"""Non-key columns of a concrete row; a column not named holds its default."""


class Kind(IntEnum):
    """How one column of an existing row changes."""

    SET = 0
    ADD = 1
    MIN = 2
    MAX = 3


ColumnOp = tuple[Kind, Value]


@dataclass(frozen=True, slots=True)
class Update:
    """Changes to an existing row. With `replace`, every op is SET and columns not named go back to their default."""

    ops: dict[str, ColumnOp]
    replace: bool = False


@dataclass(frozen=True, slots=True)
class Delta:
    """Branches of what happens: `absent` gives the row to create (None: none), `row` the update (None: delete)."""

    absent: Row | None
    row: Update | None


Deltas = dict[Key, Delta]
"""One composed delta per key, key values in the order of the definition's `key`."""
