"""Random Avro schemas with random data, and what the data must become, said without the code under test."""

import base64
import itertools
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, time
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

Pair = tuple[Any, Any]
"""A value as fastavro writes it, and what it must be read as."""


@dataclass(frozen=True)
class Case:
    schema: Any
    values: st.SearchStrategy[Pair]


_numbers = itertools.count()


def _name(prefix: str) -> str:
    return f"{prefix}{next(_numbers)}"


def _same(value: Any) -> Pair:
    return value, value


def _as_text(value: bytes) -> Pair:
    return value, base64.b64encode(value).decode()


def _cut(value: datetime) -> datetime:
    return value.replace(microsecond=value.microsecond // 1000 * 1000)


_INSTANTS = st.datetimes(timezones=st.just(UTC))
_LOCALS = st.datetimes()


def _leaf(schema: Any, values: st.SearchStrategy[Any], pair: Callable[[Any], Pair] = _same) -> Case:
    return Case(schema, values.map(pair))


def _logical(stored: str, logical: str, values: st.SearchStrategy[Any], pair: Callable[[Any], Pair]) -> Case:
    return _leaf({"type": stored, "logicalType": logical}, values, pair)


PLAIN = [
    _leaf("null", st.none()),
    _leaf("boolean", st.booleans()),
    _leaf("int", st.integers(-(2**31), 2**31 - 1)),
    _leaf("long", st.integers(-(2**63), 2**63 - 1)),
    _leaf("float", st.floats(width=32)),
    _leaf("double", st.floats()),
    _leaf("string", st.text()),
    _leaf({"type": "string"}, st.text()),
    _leaf("bytes", st.binary(), _as_text),
    _leaf({"type": "bytes"}, st.binary(), _as_text),
    _logical("int", "date", st.dates(), _same),
    _logical("int", "time-millis", st.times(), lambda v: (v, _millis(v))),
    _logical("long", "time-micros", st.times(), lambda v: (v, v.isoformat())),
    _logical("long", "timestamp-millis", _INSTANTS, lambda v: (v, _cut(v))),
    _logical("long", "timestamp-micros", _INSTANTS, _same),
    _logical("long", "local-timestamp-millis", _LOCALS, lambda v: (v, _cut(v).isoformat())),
    _logical("long", "local-timestamp-micros", _LOCALS, lambda v: (v, v.isoformat())),
    _logical("string", "uuid", st.uuids(), lambda v: (v, str(v))),
    _logical("long", "unheard-of", st.integers(0, 9), _same),
    _logical("string", "unheard-of", st.text(), _same),
    _logical("bytes", "unheard-of", st.binary(), _as_text),
]


def _millis(value: time) -> str:
    return value.replace(microsecond=value.microsecond // 1000 * 1000).isoformat()


@st.composite
def _decimals(draw: st.DrawFn) -> Case:
    size = draw(st.integers(1, 16))
    precision = len(str(2 ** (8 * size - 1))) - 1
    scale = draw(st.integers(0, precision))
    unscaled = st.integers(-(10**precision) + 1, 10**precision - 1)
    schema: dict[str, Any] = {"logicalType": "decimal", "precision": precision, "scale": scale}
    if draw(st.booleans()):
        schema |= {"type": "fixed", "name": _name("Fixed"), "size": size}
    else:
        schema |= {"type": "bytes"}
    return _leaf(schema, unscaled.map(lambda number: Decimal(f"{number}e-{scale}")))


@st.composite
def _named(draw: st.DrawFn) -> Case:
    match draw(st.sampled_from(["enum", "fixed", "uuid"])):
        case "enum":
            symbols = draw(st.lists(st.from_regex(r"[A-Z][A-Z0-9_]{0,5}", fullmatch=True), min_size=1, unique=True))
            return _leaf({"type": "enum", "name": _name("Enum"), "symbols": symbols}, st.sampled_from(symbols))
        case "fixed":
            size = draw(st.integers(1, 20))
            data = st.binary(min_size=size, max_size=size)
            return _leaf({"type": "fixed", "name": _name("Fixed"), "size": size}, data, _as_text)
        case _:
            stored = st.uuids().map(lambda value: (value.bytes, str(uuid.UUID(bytes=value.bytes))))
            return Case({"type": "fixed", "name": _name("Uuid"), "size": 16, "logicalType": "uuid"}, stored)


def _takes_bytes(schema: Any) -> bool:
    if isinstance(schema, dict) and schema["type"] == "record":
        return any(_takes_bytes(field["type"]) for field in schema["fields"])
    return bool(schema != "null")


def _array(item: Case) -> Case:
    if not _takes_bytes(item.schema):  # refused: test_a_list_whose_items_have_no_bytes_is_refused
        return item
    pairs = st.lists(item.values, max_size=3)
    both = pairs.map(lambda found: ([value for value, _ in found], [want for _, want in found]))
    return Case({"type": "array", "items": item.schema}, both)


def _map(item: Case) -> Case:
    pairs = st.dictionaries(st.text(), item.values, max_size=3)
    both = pairs.map(
        lambda found: ({n: pair[0] for n, pair in found.items()}, {n: pair[1] for n, pair in found.items()})
    )
    return Case({"type": "map", "values": item.schema}, both)


def _optional(item: Case) -> Case:
    if item.schema == "null" or isinstance(item.schema, list):
        return item
    return Case(["null", item.schema], st.none().map(_same) | item.values)


def record(fields: list[Case]) -> Case:
    names = [f"field_{number}" for number in range(len(fields))]
    schema = {
        "type": "record",
        "name": _name("Record"),
        "fields": [{"name": name, "type": case.schema} for name, case in zip(names, fields, strict=True)],
    }
    together = st.tuples(*(case.values for case in fields))
    both = together.map(
        lambda pairs: (
            dict(zip(names, [pair[0] for pair in pairs], strict=True)),
            dict(zip(names, [pair[1] for pair in pairs], strict=True)),
        )
    )
    return Case(schema, both)


def _deeper(cases: st.SearchStrategy[Case]) -> st.SearchStrategy[Case]:
    wrapped = st.one_of(cases.map(_array), cases.map(_map), cases.map(_optional))
    return wrapped | st.lists(cases, max_size=4).map(record)


cases = st.recursive(st.one_of(st.sampled_from(PLAIN), _decimals(), _named()), _deeper, max_leaves=8)
events = st.lists(cases, max_size=8).map(record)
