"""Reference interpreter of rules: the simplest program that says what the rows are.

It walks the grammar's own tree for every expression and every event, on plain dicts, one event at a time, one row at a
time. It shares no code with `projector.expr` and `projector.fold`: what both agree on is right, or wrong twice.
"""

import json
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any
from uuid import UUID

from projector.spec.definition import Definition
from projector.spec.models import Column, Rule
from tests.support.oracle_expressions import EPOCH, Refused, boolean, check, evaluate, timestamp
from tests.support.records import FakeRecord

WIDTH = {"smallint": 15, "integer": 31, "bigint": 63}


Key = tuple[Any, ...]


@dataclass(frozen=True)
class Change:
    """What one rule does to one row; `bad` says that it cannot be done."""

    rule: Rule
    key: Key
    values: tuple[tuple[str, str, Any], ...] = ()
    guard: int | None = None
    bad: bool = False


@dataclass
class Reference:
    """Rows by key after a log: numeric columns as fractions.

    With `parks`, `parked` gives the offsets of the events that wait, by the row key that they wait for. `refused` lists
    offsets that were passed over: of events that cannot be applied and cannot be parked.
    """

    definition: Definition
    parks: bool = False
    rows: dict[Key, dict[str, Any]] = field(default_factory=dict)
    parked: dict[Key, list[int]] = field(default_factory=dict)
    guards: dict[Key, int] = field(default_factory=dict)
    ignored: dict[str, int] = field(default_factory=dict)
    refused: list[int] = field(default_factory=list)

    def fold(self, records: Iterable[FakeRecord]) -> None:
        for record in records:
            try:
                changes = self._changes(record)
            except Refused:
                self.refused.append(record.offset())
                continue
            bad = {change.key for change in changes if change.bad}
            if bad and not self.parks:
                self.refused.append(record.offset())
                continue
            for change in changes:
                self._do(change, record.offset(), change.key in bad)

    def _do(self, change: Change, offset: int, bad: bool) -> None:
        missing = change.key not in self.rows and change.rule.on_missing == "Park"
        if bad or missing or change.key in self.parked:
            waiting = self.parked.setdefault(change.key, [])
            if offset not in waiting:
                waiting.append(offset)
        elif change.guard is None:
            self._apply(change)
        elif change.key not in self.guards or change.guard > self.guards[change.key]:
            self.guards[change.key] = change.guard
            self._apply(change)

    def _changes(self, record: FakeRecord) -> list[Change]:
        """What the rules do with a record. Raises Refused where a row key cannot be told."""
        name = self._type(record)
        rules = [] if name is None else self._rules(name, record)
        if name is None:
            raise Refused
        if not rules:
            self.ignored[name] = self.ignored.get(name, 0) + 1
            return []
        bad = False
        try:
            event = {} if record.value_bytes is None else _decode(record.value_bytes)
        except Refused:
            event, bad = {}, True
        scope = {"event": event, "meta": _meta(record, name)}
        return [change for rule in rules for change in self._rule(rule, scope, bad)]

    def _rules(self, name: str, record: FakeRecord) -> list[Rule]:
        found = [rule for rule in self.definition.rules if any(event.split("@")[0] == name for event in rule.events)]
        if not any(event.startswith(f"{name}@") for rule in found for event in rule.events):
            return found
        version = self._version(record)
        return [rule for rule in found if any(_selects(event, name, version) for event in rule.events)]

    def _version(self, record: FakeRecord) -> int:
        found = self._at(self.definition.event_version or "header.", record)
        text = found.decode() if isinstance(found, bytes) else "1" if found is None else str(found)
        return int(check(text.isdecimal(), text))

    def _type(self, record: FakeRecord) -> str | None:
        if record.value_bytes is None:
            return "(tombstone)"
        found = self._at(self.definition.type, record)
        if isinstance(found, bytes):
            return found.decode(errors="replace")
        if self.definition.type.startswith("event.") and not isinstance(found, str):
            raise Refused
        return None if found is None else str(found)

    @staticmethod
    def _at(place: str, record: FakeRecord) -> Any:
        kind, name = place.split(".", 1)
        return dict(record.header_list).get(name) if kind == "header" else _decode(record.value_bytes).get(name)

    def _rule(self, rule: Rule, scope: dict[str, Any], bad: bool) -> list[Change]:
        items = (
            [None] if rule.for_each is None else check(isinstance(found := evaluate(rule.for_each, scope), list), found)
        )
        scopes = [scope if rule.for_each is None else {**scope, "item": item} for item in items]
        try:
            check(not bad, None)
            return [change for one in scopes for change in self._change(rule, one)]
        except Refused:
            return [Change(rule, self._key(rule, one), bad=True) for one in scopes]

    def _key(self, rule: Rule, scope: dict[str, Any]) -> Key:
        return tuple(_required(self._value(rule.key[name], name, scope)) for name in self.definition.key)

    def _change(self, rule: Rule, scope: dict[str, Any]) -> list[Change]:
        if rule.when is not None and not boolean(evaluate(rule.when, scope)):
            return []
        key = self._key(rule, scope)
        values: list[tuple[str, str, Any]] = []
        for operation in ("set", "increment", "min", "max", "append"):
            for name, text in (getattr(rule, operation) or {}).items():
                value = self._value(text, name, scope)
                if operation == "set" and name in self._appended:
                    check(value is None or isinstance(value, list), value)
                values.append((operation, name, value if operation in ("set", "append") else _required(value)))
        by = self.definition.ordering.by
        guard = None
        if by is not None:
            guard = evaluate(by, scope)
            check(type(guard) is int and -(2**63) <= guard < 2**63, guard)
        return [Change(rule, key, tuple(values), guard)]

    @property
    def _appended(self) -> set[str]:
        return {name for rule in self.definition.rules for name in rule.append or ()}

    def _apply(self, change: Change) -> None:
        key, rule = change.key, change.rule
        if rule.delete:
            self.rows.pop(key, None)
            return
        if key not in self.rows:
            if rule.on_missing == "Ignore":
                return
            self.rows[key] = {
                column.name: fit(column, _default(column))
                for column in self.definition.columns
                if column.name not in self.definition.key
            }
        row = self.rows[key]
        for operation, name, value in change.values:
            old = row[name]
            if operation == "append":
                row[name] = [*(old or ()), value]
            else:
                row[name] = value if operation == "set" or old is None else _ACCUMULATE[operation](old, value)

    def _value(self, text: str, name: str, scope: dict[str, Any]) -> Any:
        column = next(column for column in self.definition.columns if column.name == name)
        return fit(column, evaluate(text, scope))


def _selects(selector: str, name: str, version: int) -> bool:
    kind, _, wanted = selector.partition("@")
    if kind != name or not wanted:
        return kind == name
    for sign, holds in _SIGNS:
        if wanted.startswith(sign):
            return holds(version, int(wanted.removeprefix(sign)))
    raise AssertionError(selector)


_SIGNS: tuple[tuple[str, Callable[[int, int], bool]], ...] = (
    (">=", lambda a, b: a >= b),
    ("<=", lambda a, b: a <= b),
    (">", lambda a, b: a > b),
    ("<", lambda a, b: a < b),
    ("", lambda a, b: a == b),
)
_ACCUMULATE: dict[str, Callable[[Any, Any], Any]] = {"increment": lambda a, b: a + b, "min": min, "max": max}


def _required(value: Any) -> Any:
    if value is None:
        raise Refused
    return value


def _decode(value: bytes | None) -> dict[str, Any]:
    try:
        event = json.loads(value or b"")
    except ValueError:
        raise Refused from None
    if not isinstance(event, dict):
        raise Refused
    return event


def _meta(record: FakeRecord, name: str) -> dict[str, Any]:
    meta: dict[str, Any] = {
        "topic": record.of_topic,
        "partition": record.of_partition,
        "offset": record.at_offset,
        "key": record.key_bytes.decode() if record.key_bytes is not None else None,
        "headers": {name: content.decode() for name, content in record.header_list if content is not None},
        "type": name,
    }
    if record.at_ms is not None:
        meta["timestamp"] = EPOCH + timedelta(milliseconds=record.at_ms)
    return meta


def _default(column: Column) -> Any:
    text = column.default
    if text is None or column.type in ("text", "timestamptz", "date", "uuid"):
        return text
    if column.type == "numeric":
        return float(text) if "." in text else int(text)
    return json.loads(text)


def fit(column: Column, value: Any) -> Any:
    """The value as the column holds it."""
    if value is None:
        return None
    kind = type(value)
    if column.type in WIDTH:
        limit = 2 ** WIDTH[column.type]
        return check(kind is int and -limit <= value < limit, value)
    if column.type in ("numeric", "double precision"):
        check(kind is int or (kind is float and math.isfinite(value)), value)
        return Fraction(Decimal(repr(value))) if column.type == "numeric" else float(value)
    if column.type == "jsonb":
        return check(kind is not datetime and "\\u0000" not in json.dumps(value), value)
    if column.type == "boolean" or (column.type == "timestamptz" and kind is datetime):
        return check(kind in (bool, datetime), value)
    return _text_to(column.type, check(kind is str and "\0" not in value, value))


def _text_to(column_type: str, text: str) -> Any:
    try:
        if column_type == "timestamptz":
            return timestamp(text)
        if column_type == "date":
            return date.fromisoformat(text)
        return UUID(text) if column_type == "uuid" else text
    except ValueError:
        raise Refused from None
