"""Deltas: what events do to one row key.

The state of a row is absent (`None`) or a row. A delta has a branch for each, so that "create where missing",
"ignore where missing" and "delete" all compose: `apply(compose(a, b), s) == apply(b, apply(a, s))` for every state.

Whoever creates a row (`Delta.absent`, or an `Update` with `replace`) names every column that some rule accumulates
(increment, min, max) and that has a default: so composition needs to know no defaults. See `projector.fold.algebra`.
"""

from enum import IntEnum

import msgspec

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


class Update(msgspec.Struct, frozen=True):
    """Changes to an existing row. With `replace`, every op is SET and columns not named go back to their default."""

    ops: dict[str, ColumnOp]
    replace: bool = False


class Delta(msgspec.Struct, frozen=True):
    """Branches of what happens: `absent` gives the row to create (None: none), `row` the update (None: delete)."""

    absent: Row | None
    row: Update | None


Deltas = dict[Key, Delta]
"""One composed delta per key, key values in the order of the definition's `key`."""
