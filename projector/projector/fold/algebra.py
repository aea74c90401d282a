"""How deltas compose and what they do to a state.

`compose` is associative and `apply` is its action: fold(events) = apply(compose(deltas)) for any split of a log.
"""

from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal, Inexact, InvalidOperation, Overflow
from typing import Any

from projector.fold.delta import ColumnOp, Delta, Deltas, Key, Kind, Row, Update

SET, ADD, MIN, MAX = Kind.SET, Kind.ADD, Kind.MIN, Kind.MAX

EXACT = Context(prec=2000, Emax=MAX_EMAX, Emin=MIN_EMIN, traps=[Inexact, InvalidOperation, Overflow])
"""Sums of numeric values: wide enough for every sum of values below 10^400; a rounded sum would be an error."""

NOTHING = Delta(None, Update({}))
"""Leaves every state as it is."""


def compose(first: Delta, second: Delta) -> Delta:
    """The delta that does `first`, then `second`. Neither is changed; parts of them may be shared with the result."""
    absent = second.absent if first.absent is None else _after_row(first.absent, second.row)
    return Delta(absent, _after_update(first.row, second))


def apply(delta: Delta, state: Row | None, defaults: Row) -> Row | None:
    """The state after `delta`. `defaults` gives the value of every non-key column that a new row does not name."""
    if state is None:
        return None if delta.absent is None else {**defaults, **delta.absent}
    if delta.row is None:
        return None
    if delta.row.replace:
        return {**defaults, **{column: value for column, (_, value) in delta.row.ops.items()}}
    return _changed(state, delta.row.ops)


def absorb(deltas: Deltas, key: Key, absent: Row | None, ops: dict[str, ColumnOp]) -> None:
    """Compose an update (and the row to create where there is none) onto what `deltas` has for `key`.

    The hot path: takes over `absent` and `ops`, and changes dicts that belong to `deltas` in place.
    """
    before = deltas.get(key)
    if before is None:
        deltas[key] = Delta(absent, Update(ops))
        return
    row, update = before.absent, before.row
    if row is None or update is None:
        deltas[key] = compose(before, Delta(absent, Update(ops)))
        return
    changes = update.ops
    for column, op in ops.items():
        kind, value = op
        if kind is SET:
            row[column] = value
            changes[column] = op
            continue
        row[column] = accumulate(kind, row.get(column), value)
        changes[column] = _merged(changes.get(column), op, update.replace)


def erase(deltas: Deltas, key: Key) -> None:
    """Compose a deletion onto what `deltas` has for `key`."""
    deltas[key] = _ERASED


_ERASED = Delta(None, None)


def _after_row(row: Row, update: Update | None) -> Row | None:
    if update is None:
        return None
    if update.replace:
        return {column: value for column, (_, value) in update.ops.items()}
    return _changed(row, update.ops)


def _after_update(update: Update | None, second: Delta) -> Update | None:
    if update is None:
        absent = second.absent
        return None if absent is None else Update({column: (SET, value) for column, value in absent.items()}, True)
    if second.row is None or second.row.replace:
        return second.row
    ops = dict(update.ops)
    for column, op in second.row.ops.items():
        ops[column] = _merged(ops.get(column), op, update.replace)
    return Update(ops, update.replace)


def _changed(row: Row, ops: dict[str, ColumnOp]) -> Row:
    changed = dict(row)
    for column, (kind, value) in ops.items():
        changed[column] = value if kind is SET else accumulate(kind, row.get(column), value)
    return changed


def _merged(before: ColumnOp | None, op: ColumnOp, replace: bool) -> ColumnOp:
    """One column's op after another's. A replaced row that does not name an accumulated column holds NULL there."""
    kind, value = op
    if kind is SET:
        return op
    if before is None:
        return (SET, value) if replace else op
    if before[0] is not SET and before[0] is not kind:
        raise ValueError(f"{before[0].name} and {kind.name} of one column do not compose")
    return (before[0], accumulate(kind, before[1], value))


def accumulate(kind: Kind, before: Any, value: Any) -> Any:
    """A column's value after an ADD, MIN or MAX: from NULL sums count from zero, min and max take the value."""
    if before is None:
        return value
    if kind is ADD:
        return EXACT.add(before, value) if type(before) is Decimal else before + value
    return min(before, value) if kind is MIN else max(before, value)
