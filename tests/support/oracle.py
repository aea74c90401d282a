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


@dataclass
class Reference:
    """Rows by key after a log: numeric columns as fractions. `refused` lists offsets that were passed over."""

    definition: Definition
    rows: dict[tuple[Any, ...], dict[str, Any]] = field(default_factory=dict)
    ignored: dict[str, int] = field(default_factory=dict)
    refused: list[int] = field(default_factory=list)

    def fold(self, records: Iterable[FakeRecord]) -> None:
        for record in records:
            before = {key: dict(row) for key, row in self.rows.items()}
            try:
                self._event(record)
            except Refused:
                self.rows = before
                self.refused.append(record.offset())

    def _event(self, record: FakeRecord) -> None:
        name = self._type(record)
        rules = [rule for rule in self.definition.rules if name in rule.events]
        if name is None or not rules:
            if name is None and record.value_bytes is not None:
                raise Refused
            shown = "(tombstone)" if name is None else name
            self.ignored[shown] = self.ignored.get(shown, 0) + 1
            return
        event = _decode(record.value_bytes)
        for rule in rules:
            self._rule(rule, {"event": event, "meta": _meta(record, name)})

    def _type(self, record: FakeRecord) -> str | None:
        kind, name = self.definition.type.split(".", 1)
        if kind == "header":
            found = dict(record.header_list).get(name)
            return None if found is None else found.decode(errors="replace")
        if record.value_bytes is None:
            return None
        found = _decode(record.value_bytes).get(name)
        if not isinstance(found, str):
            raise Refused
        return found

    def _rule(self, rule: Rule, scope: dict[str, Any]) -> None:
        if rule.when is not None and not boolean(evaluate(rule.when, scope)):
            return
        key = tuple(_required(self._value(rule.key[name], name, scope)) for name in self.definition.key)
        changes: list[tuple[str, str, Any]] = []
        for operation in ("set", "increment", "min", "max"):
            for name, text in (getattr(rule, operation) or {}).items():
                value = self._value(text, name, scope)
                changes.append((operation, name, value if operation == "set" else _required(value)))
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
        for operation, name, value in changes:
            old = row[name]
            row[name] = value if operation == "set" or old is None else _ACCUMULATE[operation](old, value)

    def _value(self, text: str, name: str, scope: dict[str, Any]) -> Any:
        column = next(column for column in self.definition.columns if column.name == name)
        return fit(column, evaluate(text, scope))


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
