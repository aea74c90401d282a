"""How deltas compose and what they do to a state.

`compose` is associative and `apply` is its action: fold(events) = apply(compose(deltas)) for any split of a log.
`follow` composes one more event onto what a batch has for a key, in place where it can: it knows parked keys too.
"""

from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal, Inexact, InvalidOperation, Overflow
from typing import Any

from projector.fold.columns import Columns
from projector.fold.delta import (
    AnyDelta,
    ColumnOp,
    Delta,
    Forked,
    Key,
    Kind,
    Parked,
    ParkedEvent,
    Row,
    Update,
    Upsert,
)
from projector.fold.folded import Folded
from projector.fold.record import Record, moment

SET, ADD, MIN, MAX, APPEND = Kind.SET, Kind.ADD, Kind.MIN, Kind.MAX, Kind.APPEND

EXACT = Context(prec=2000, Emax=MAX_EMAX, Emin=MIN_EMIN, traps=[Inexact, InvalidOperation, Overflow])
"""Sums of numeric values: wide enough for every sum of values below 10^400; a rounded sum would be an error."""

NOTHING = Delta(None, Update({}))
"""Leaves every state as it is."""

ERASED = Delta(None, None)
"""Leaves no row, whatever there was."""


def compose(first: Delta, second: Delta) -> Delta:
    """The delta that does `first`, then `second`. Neither is changed; parts of them may be shared with the result.

    Whoever creates a row (`Delta.absent`, or an `Update` with `replace`) names every column that some rule accumulates
    and that has a default: so composition needs to know no defaults.
    """
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


def general(columns: Columns, upsert: Upsert) -> Delta:
    """The same change with a branch for each state."""
    absent: Row = {}
    ops: dict[str, ColumnOp] = {}
    bits, *values = upsert[columns.key :]
    places = zip(columns.names, columns.kinds, columns.defaults, values, strict=False)
    for index, (name, kind, default, value) in enumerate(places):
        if not bits & columns.touched(index):
            if kind is not None and default is not None:
                absent[name] = default
            continue
        given = moment(value) if columns.instants[index] and type(value) is int else value
        if kind is None or bits & columns.absolute(index):
            absent[name], ops[name] = given, (SET, given)
        else:
            absent[name], ops[name] = accumulate(kind, default, given), (kind, given)
    return Delta(absent, Update(ops))


def follow(columns: Columns, folded: Folded, key: Key, change: AnyDelta, record: Record) -> None:
    """Compose what `record` does to `key` onto what the batch has for it."""
    folded.put(key, _after(columns, folded.deltas.get(key), change, record))


def _after(columns: Columns, before: AnyDelta | None, change: AnyDelta, record: Record) -> AnyDelta:
    if before is None:
        return change
    if isinstance(before, Parked | Forked):
        return _behind(columns, before, change, record)
    if isinstance(change, Parked):
        return Parked(before, change.events)
    if isinstance(change, Forked):
        return _forked(columns, before, change, record)
    if isinstance(before, list) and isinstance(change, list):
        return _joined(columns, before, change)
    return compose(_general(columns, before), _general(columns, change))


def _behind(columns: Columns, before: Parked | Forked, change: AnyDelta, record: Record) -> AnyDelta:
    _wait(before.events, record, change)
    if isinstance(before, Parked):
        return before
    return Forked(before.events, _present(columns, before.present, change, record))


def _present(columns: Columns, before: Upsert | Delta | Parked, change: AnyDelta, record: Record) -> Any:
    """The same for a row that was there before: it still is, unless `before` deleted it. So that never forks."""
    if not isinstance(change, Forked) or isinstance(before, Parked):
        return _after(columns, before, change, record)
    if isinstance(before, Delta) and before.row is None:
        return Parked(before, change.events)
    return _after(columns, before, change.present, record)


def _wait(events: list[ParkedEvent], record: Record, change: AnyDelta) -> None:
    """An event waits once, however many rules it meets."""
    if events and events[-1].record is record:
        return
    events.append(change.events[-1] if isinstance(change, Parked) else ParkedEvent(record, ""))


def _forked(columns: Columns, before: Upsert | Delta, change: Forked, record: Record) -> AnyDelta:
    """After `before`, a row is surely there, surely not, or there if it was: nothing else composes of rules."""
    if isinstance(before, list) or before.absent is not None:
        return _after(columns, before, change.present, record)
    if before.row is None:
        return Parked(before, change.events)
    return Forked(change.events, _present(columns, before, change.present, record))


def _general(columns: Columns, delta: Upsert | Delta) -> Delta:
    return general(columns, delta) if isinstance(delta, list) else delta


def _joined(columns: Columns, before: Upsert, change: Upsert) -> Upsert:
    """`change` merged into `before`, in place."""
    if columns.guarded:
        return change if change[-2] > before[-2] else before
    bits = change[columns.key]
    for index, kind in enumerate(columns.kinds):
        if not bits & columns.touched(index):
            continue
        place = columns.key + 1 + index
        if kind is None or bits & columns.absolute(index):
            before[place] = change[place]
        else:
            before[place] = accumulate(kind, before[place], change[place])
    before[columns.key] |= bits
    return before


def merged(columns: Columns, into: dict[Key, Upsert | Delta], deltas: dict[Key, Upsert | Delta]) -> None:
    """Compose the deltas of one more partition onto those of others, in place."""
    for key in into.keys() & deltas.keys():
        before, change = into[key], deltas[key]
        if isinstance(before, list) and isinstance(change, list):
            deltas[key] = _joined(columns, before, change)
        else:
            deltas[key] = compose(_general(columns, before), _general(columns, change))
    into |= deltas


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
    """A column's value after an op other than SET: from NULL sums count from zero, the others take the value."""
    if before is None:
        return value
    if kind is ADD:
        return EXACT.add(before, value) if type(before) is Decimal else before + value
    if kind is APPEND:
        return [*before, *value]
    return min(before, value) if kind is MIN else max(before, value)
