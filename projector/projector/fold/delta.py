"""Deltas: what events do to one row key.

The state of a row is absent (`None`), a row, or parked. A delta has a branch for each, so that "create where missing",
"ignore where missing", "park where missing" and "delete" all compose: doing `compose(a, b)` is doing `a`, then `b`,
whatever the state. See `projector.fold.algebra`.

Nearly every delta does the same to an absent row as to one that is there: it creates the row from the defaults first.
Such a delta is an `Upsert`, a plain list, because the hot path makes and changes one per event. Any other is a `Delta`.
"""

from enum import IntEnum
from typing import Any

import msgspec

from projector.fold.record import Record

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
    APPEND = 4


Upsert = list[Any]
"""`[*key, bits, v0, v1, …]`: one place per non-key column in the definition's order; None where no rule touched it.

`bits` holds ABSENT and PRESENT, since it does the same to both; then, for each column, whether it is touched; then, for
each column, whether it accumulates by some rule (increment, min, max, append) but its value is set and not accumulated.
Under `ordering: Guarded` two more places follow: the guard and whether the row is deleted. So an upsert is what a store
may write down as it is.
"""

ABSENT, PRESENT, DELETE = 1, 2, 4
"""Lowest bits: it applies where the row is absent; where there is one; stores only: and then deletes it."""
EITHER = ABSENT | PRESENT
FIRST_BIT = 3
"""Of the columns."""

ColumnOp = tuple[Kind, Value]


class Update(msgspec.Struct, frozen=True):
    """Changes to an existing row. With `replace`, every op is SET and columns not named go back to their default."""

    ops: dict[str, ColumnOp]
    replace: bool = False


class Delta(msgspec.Struct, frozen=True):
    """Branches of what happens: `absent` gives the row to create (None: none), `row` the update (None: delete)."""

    absent: Row | None
    row: Update | None


class ParkedEvent(msgspec.Struct, frozen=True):
    """An event that waits with its key. `reason` is empty where it only waits behind another one of its key."""

    record: Record
    reason: str


class Parked(msgspec.Struct):
    """Whatever the state, after `before` (None: nothing happens before) the row is parked with `events`."""

    before: Upsert | Delta | None
    events: list[ParkedEvent]


class Forked(msgspec.Struct):
    """An absent row is parked with `events`; one that is there changes as `present` says."""

    events: list[ParkedEvent]
    present: "Upsert | Delta | Parked"


AnyDelta = Upsert | Delta | Parked | Forked

Deltas = dict[Key, AnyDelta]
"""One composed delta per key, key values in the order of the definition's `key`."""

Writes = dict[Key, Upsert | Delta]
"""What a store gets: parked and forked deltas are resolved before."""
