"""Changes that a handler returned, checked against the columns, to deltas.

Messages say which of the returned changes is at fault, and where in it: `(change 0, set total)`.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, NoReturn
from uuid import UUID

from projector.expr.errors import EvalError
from projector.fold import algebra, fit
from projector.fold.columns import KINDS, Columns
from projector.fold.delta import EITHER, AnyDelta, ColumnOp, Delta, Forked, Key, Kind, ParkedEvent, Update, Upsert
from projector.fold.generate import WHY
from projector.fold.record import Record
from projector.handlers import Change
from projector.handlers import Delete as ReturnedDelete
from projector.spec.check_policy import creates_only, unserved
from projector.spec.definition import Definition
from projector.spec.problems import near

DECIMALS = 400
"""Digits after the point of a numeric value: sums of such values are exact in bounded space."""

_WHAT = "the value"
_MISSING = {True: ("Ignore", "Park"), False: ("Create", "Ignore", "Park")}
"""Words for `on_missing`; True: of a Delete."""


class Returned:
    """Reads the changes of a definition's handler."""

    def __init__(self, definition: Definition, columns: Columns) -> None:
        self._mode = definition.ordering.mode
        self._key = definition.key
        self._columns = columns
        self._types: dict[str, str] = {column.name: column.type for column in definition.columns}
        self._kinds = dict(zip(columns.names, columns.kinds, strict=True))
        self._places = columns.places

    def key(self, number: int, change: Change) -> Key:
        """The row key of a change. Raises EvalError."""
        where = f"change {number}, key"
        given = _mapping(change.key, where)
        for name in given:
            if name not in self._key:
                _refuse(f"{name!r} is not a key column{_near(name, self._key)}", where)
        for name in self._key:
            if name not in given:
                _refuse(f"the key column `{name}` is missing", where)
        return tuple(self._value("key", name, given[name], f"{where} {name}") for name in self._key)

    def delta(self, number: int, key: Key, change: Change, record: Record, guard: int | None) -> AnyDelta:
        """What a change does to the row with `key`. `guard` is given where the ordering is Guarded."""
        deletes = isinstance(change, ReturnedDelete)
        self._check_missing(number, change.on_missing, deletes=deletes)
        if isinstance(change, ReturnedDelete):
            if reason := unserved(self._mode, "delete"):
                _refuse(reason, f"change {number}")
            present: Delta = algebra.ERASED
            if guard is not None:
                return [*key, EITHER, *(None for _ in self._columns.names), guard, True]
        else:
            ops = self._ops(number, change)
            if change.on_missing == "Create":
                return self._upsert(key, ops, guard)
            present = Delta(None, Update(ops))
        if change.on_missing == "Park":
            return Forked([ParkedEvent(record, f"the row does not exist (change {number})")], present)
        return present

    def _check_missing(self, number: int, on_missing: str, *, deletes: bool) -> None:
        where, words = f"change {number}, on_missing", _MISSING[deletes]
        if on_missing not in words:
            _refuse(f"{on_missing!r} is none of {', '.join(words)}", where)
        if self._mode != "PerKey" and on_missing != words[0]:
            _refuse(creates_only(self._mode), where)

    def _ops(self, number: int, change: Change) -> dict[str, ColumnOp]:
        ops: dict[str, ColumnOp] = {}
        for operation, name, value in _given(number, change):
            where = f"change {number}, {operation} {name}"
            self._check_column(operation, name, where)
            if name in ops:
                _refuse(f"column `{name}` is changed twice", where)
            fitted = self._value(operation, name, value, where)
            ops[name] = KINDS[operation], [fitted] if operation == "append" else fitted
        if not ops:
            _refuse("it changes no column: give it set, increment, min, max or append", f"change {number}")
        if self._mode == "Guarded" and (missing := [name for name in self._columns.names if name not in ops]):
            _refuse(
                f"with ordering Guarded a change sets every column, since only the newest event counts: `{missing[0]}` "
                "is missing",
                f"change {number}",
            )
        return ops

    def _check_column(self, operation: str, name: Any, where: str) -> None:
        if name in self._key:
            _refuse(f"`{name}` is a key column: its value is given under key", where)
        if name not in self._kinds:
            _refuse(f"column {name!r} is not declared{_near(name, self._kinds)}", where)
        if reason := unserved(self._mode, operation):
            _refuse(reason, where)
        if operation != "set" and self._kinds[name] is not KINDS[operation]:
            _refuse(f"spec.accumulate does not give column `{name}` {operation}", where)

    def _upsert(self, key: Key, ops: Mapping[str, ColumnOp], guard: int | None) -> Upsert:
        bits = self._columns.bits((name, kind) for name, (kind, _) in ops.items())
        made: Upsert = [*key, bits, *(None for _ in self._columns.names)]
        for name, (_, value) in ops.items():
            made[self._places[name]] = value
        return made if guard is None else [*made, guard, False]

    def _value(self, operation: str, name: str, value: Any, where: str) -> Any:
        try:
            fitted = _fitted("jsonb" if operation == "append" else self._types[name], value)
            if operation == "set" and self._kinds[name] is Kind.APPEND:
                fitted = fit.own_list(fitted, _WHAT)
            elif operation not in ("set", "append"):
                fitted = fit.required(fitted, _WHAT, WHY[operation])
        except EvalError as error:
            # What follows is advice for expressions.
            _refuse(str(error).partition(": use ")[0], where)
        except RecursionError:
            _refuse("the value is nested too deeply", where)
        return fitted


def _given(number: int, change: Change) -> Iterator[tuple[str, Any, Any]]:
    for operation in KINDS:
        for name, value in _mapping(getattr(change, operation), f"change {number}, {operation}").items():
            yield operation, name, value


def _mapping(found: Any, where: str) -> Mapping[Any, Any]:
    if not isinstance(found, Mapping):
        _refuse(f"is {type(found).__name__}, not a dict of column names and values", where)
    return found


def _near(name: Any, names: Any) -> str:
    return near(name, names) if isinstance(name, str) else ""


def _refuse(message: str, where: str) -> NoReturn:
    raise EvalError(f"{message} ({where})") from None


def _fitted(column_type: str, value: Any) -> Any:
    """A value as its column holds it. Python code may give what no expression does."""
    if isinstance(value, datetime) and value.tzinfo is None:
        raise EvalError("the value is a datetime without a time zone")
    if column_type == "uuid" and type(value) is UUID:
        return value
    if type(value) is Decimal and value.is_finite() and int(value.as_tuple().exponent) < -DECIMALS:
        raise EvalError(f"the value has more than {DECIMALS} digits after the point")
    fitted = fit.FITS[column_type](value, _WHAT)
    if column_type == "timestamptz":
        return fit.utc(fitted, _WHAT)
    if column_type in ("text", "jsonb"):
        _check_text(fitted)
    return fitted


def _check_text(value: Any) -> None:
    """Names in objects are text, and all text has a place in UTF-8."""
    if type(value) is str:
        try:
            value.encode()
        except UnicodeEncodeError:
            raise EvalError("the value holds a lone surrogate, which is no text") from None
    elif type(value) is list:
        for item in value:
            _check_text(item)
    elif type(value) is dict:
        for name, item in value.items():
            if type(name) is not str:
                raise EvalError(f"the value holds an object with a name that is {type(name).__name__}, not text")
            _check_text(name)
            _check_text(item)
