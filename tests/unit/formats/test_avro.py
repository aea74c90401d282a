"""Avro events: what they become, over all types, versions and faults."""

import json
from contextlib import suppress
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from projector.formats.avro import Avro
from projector.formats.errors import Undecodable
from projector.formats.registry import SchemaRegistry
from tests.support.schema_registry import SchemaRegistryServer, avro_value, zigzag
from tests.unit.formats.avro_cases import Case, events
from tests.unit.formats.exactly import exactly

EXAMPLES = max(1_000, settings().max_examples)

ORDER = {
    "type": "record",
    "name": "OrderPlaced",
    "namespace": "shop",
    "fields": [
        {"name": "order_id", "type": "string"},
        {"name": "total", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}},
        {"name": "note", "type": ["null", "string"], "default": None},
    ],
}


@pytest.fixture(scope="module")
def avro(registry: SchemaRegistry) -> Avro:
    return Avro(registry)


def head(number: int) -> bytes:
    return b"\0" + number.to_bytes(4, "big")


def one(of: Any) -> dict[str, Any]:
    """A record of one field `x`."""
    return {"type": "record", "name": "One", "fields": [{"name": "x", "type": of}]}


@settings(max_examples=EXAMPLES)
@given(data=st.data(), case=events)
def test_what_was_written_is_read(server: SchemaRegistryServer, avro: Avro, data: st.DataObject, case: Case) -> None:
    written, expected = data.draw(case.values)
    event = avro.decode(server.avro("t-value", case.schema)(written))
    assert exactly(event, expected), event


@settings(max_examples=EXAMPLES)
@given(data=st.data(), case=events)
def test_bytes_cut_short_are_refused(server: SchemaRegistryServer, avro: Avro, data: st.DataObject, case: Case) -> None:
    value = server.avro("t-value", case.schema)(data.draw(case.values)[0])
    cut = data.draw(st.integers(0, len(value) - 1))
    with pytest.raises(Undecodable):
        avro.decode(value[:cut])


@settings(max_examples=EXAMPLES)
@given(case=events, garbage=st.binary(max_size=200))
def test_garbage_is_an_event_or_refused(server: SchemaRegistryServer, avro: Avro, case: Case, garbage: bytes) -> None:
    value = head(server.register("t-value", json.dumps(case.schema))) + garbage
    with suppress(Undecodable):
        assert type(avro.decode(value)) is dict


def test_an_order(server: SchemaRegistryServer, avro: Avro) -> None:
    value = server.avro("orders-value", ORDER)({"order_id": "o1", "total": Decimal("12.50"), "note": None})
    assert avro.decode(value) == {"order_id": "o1", "total": Decimal("12.50"), "note": None}


def test_each_event_is_read_by_its_own_schema(server: SchemaRegistryServer, avro: Avro) -> None:
    later = {**ORDER, "fields": [ORDER["fields"][0], {"name": "weight", "type": "double", "default": 1.0}]}
    old = server.avro("orders-value", ORDER)({"order_id": "o1", "total": Decimal(1), "note": "n"})
    new = server.avro("orders-value", later)({"order_id": "o2", "weight": 0.5})
    assert [avro.decode(value) for value in (old, new, old)] == [
        {"order_id": "o1", "total": Decimal("1.00"), "note": "n"},
        {"order_id": "o2", "weight": 0.5},
        {"order_id": "o1", "total": Decimal("1.00"), "note": "n"},
    ]


def test_a_schema_is_asked_for_once(server: SchemaRegistryServer, registry: SchemaRegistry) -> None:
    write = server.avro("orders-value", one("int"))
    avro, before = Avro(registry), len(server.paths)
    assert [avro.decode(write({"x": number}))["x"] for number in range(5)] == list(range(5))
    assert len(server.paths) == before + 1


def test_types_that_references_define(server: SchemaRegistryServer, avro: Avro) -> None:
    money = one("bytes") | {"name": "shop.Money"}
    line = {"type": "record", "name": "shop.Line", "fields": [{"name": "price", "type": "Money"}]}
    order = {
        "type": "record",
        "name": "shop.Order",
        "fields": [{"name": "lines", "type": {"type": "array", "items": "Line"}}, {"name": "sum", "type": "Money"}],
    }
    refer_money, refer_line = ("shop.Money", "money", 1), ("shop.Line", "a line/1", 1)
    server.register("money", json.dumps(money))
    server.register("a line/1", json.dumps(line), references=[refer_money])
    number = server.register("order", json.dumps(order), references=[refer_line, refer_money])
    paid = {"x": b"\1"}
    inlined = json.loads(json.dumps(order).replace('"Line"', json.dumps(line).replace('"Money"', json.dumps(money))))
    value = avro_value(number, inlined, {"lines": [{"price": paid}, {"price": paid}], "sum": paid})
    assert avro.decode(value) == {"lines": [{"price": {"x": "AQ=="}}] * 2, "sum": {"x": "AQ=="}}


def test_several_event_types_in_one_topic(server: SchemaRegistryServer, avro: Avro) -> None:
    placed, paid = (one("int") | {"name": name} for name in ("Placed", "Paid"))
    server.register("placed", json.dumps(placed))
    server.register("paid", json.dumps(paid))
    references = [("Placed", "placed", 1), ("Paid", "paid", 1)]
    number = server.register("t-value", json.dumps(["Placed", "Paid"]), references=references)
    assert avro.decode(head(number) + zigzag(1) + zigzag(7)) == {"x": 7}


@pytest.mark.parametrize(
    ("of", "stored", "expected"),
    [
        ({"type": "long", "logicalType": "timestamp-nanos"}, zigzag(1_999), datetime(1970, 1, 1, 0, 0, 0, 1, UTC)),
        (
            {"type": "long", "logicalType": "timestamp-micros"},
            zigzag(-1),
            datetime(1969, 12, 31, 23, 59, 59, 999999, UTC),
        ),
        ({"type": "long", "logicalType": "local-timestamp-nanos"}, zigzag(10**9), "1970-01-01T00:00:01"),
        ({"type": "int", "logicalType": "date"}, zigzag(-719162), date(1, 1, 1)),
        (
            {"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2},
            b"\x06\x01\x00\x01",
            Decimal("655.37"),
        ),
        (
            {"type": "bytes", "logicalType": "decimal", "precision": 2, "scale": 1},
            b"\x06\x7f\xff\xff",
            Decimal("838860.7"),
        ),
        ({"type": "bytes", "logicalType": "decimal", "precision": 2}, b"\x02\xff", Decimal(-1)),
        ({"type": "bytes", "logicalType": "decimal", "precision": 2, "scale": 3}, b"\x02\x01", "AQ=="),
        ({"type": "bytes", "logicalType": "decimal", "precision": "2"}, b"\x02\x01", "AQ=="),
        ({"type": "fixed", "name": "F", "size": 12, "logicalType": "duration"}, bytes(12), "AAAAAAAAAAAAAAAA"),
        ({"type": "fixed", "name": "F", "size": 2, "logicalType": "uuid"}, b"\0\1", "AAE="),
    ],
)
def test_logical_types_to_the_letter(
    server: SchemaRegistryServer, avro: Avro, of: Any, stored: bytes, expected: Any
) -> None:
    event = avro.decode(head(server.register("t-value", json.dumps(one(of)))) + stored)
    assert exactly(event, {"x": expected}), event


@pytest.mark.parametrize(
    ("of", "stored", "complaint"),
    [
        (
            {"type": "bytes", "logicalType": "decimal", "precision": 9},
            zigzag(1_000_000) + b"\x7f" * 1_000_000,
            "it holds a decimal of more than 512 bytes",
        ),
        ("string", b"", "it ends too early"),
        ("string", zigzag(-2) + b"abc", "it ends too early"),
        ("string", b"\x04\xff\xff", "it holds text that is not UTF-8"),
        ("int", zigzag(1) + b"x", "it is longer than the schema says"),
        ("long", b"\xff" * 30, ""),
        ({"type": "enum", "name": "E", "symbols": ["A"]}, zigzag(1), ""),
        (["null", "int"], zigzag(2), ""),
        ({"type": "long", "logicalType": "timestamp-millis"}, zigzag(2**62), "a date beyond the years 1 to 9999"),
        ({"type": "int", "logicalType": "date"}, zigzag(-719163), "ordinal must be >= 1"),
        ({"type": "int", "logicalType": "time-millis"}, zigzag(86_400_000), "it holds a time of day beyond the day"),
        ({"type": "long", "logicalType": "time-micros"}, zigzag(-1), "it holds a time of day beyond the day"),
    ],
)
def test_what_does_not_fit_its_schema_is_said(
    server: SchemaRegistryServer, avro: Avro, of: Any, stored: bytes, complaint: str
) -> None:
    number = server.register("t-value", json.dumps(one(of)))
    with pytest.raises(Undecodable) as refused:
        avro.decode(head(number) + stored)
    assert str(refused.value).startswith(f"the value does not fit schema {number}: ")
    assert complaint in str(refused.value)


def test_nesting_has_an_end(server: SchemaRegistryServer, avro: Avro) -> None:
    node = {"type": "record", "name": "Node", "fields": [{"name": "next", "type": ["null", "Node"]}]}
    number = server.register("t-value", json.dumps(node))
    assert avro.decode(head(number) + zigzag(1) + zigzag(0)) == {"next": {"next": None}}
    with pytest.raises(Undecodable, match="it is nested too deeply"):
        avro.decode(head(number) + zigzag(1) * 1_000_000 + zigzag(0))


def test_types_that_hold_each_other_by_way_of_lists_and_maps(server: SchemaRegistryServer, avro: Avro) -> None:
    leaf = {"type": "record", "name": "B", "fields": [{"name": "a", "type": {"type": "map", "values": "A"}}]}
    tree = {"type": "record", "name": "A", "fields": [{"name": "b", "type": {"type": "array", "items": leaf}}]}
    number = server.register("t-value", json.dumps(tree))
    assert avro.decode(head(number) + b"\2\0\0") == {"b": [{"a": {}}]}
    with pytest.raises(Undecodable, match="it is nested too deeply"):
        avro.decode(head(number) + (b"\2" + b"\2\2x") * 100_000)


EMPTY = {"type": "record", "name": "Empty", "fields": []}


@pytest.mark.parametrize(
    "items",
    [
        "null",
        {"type": "null"},
        EMPTY,
        {"type": "fixed", "name": "Nothing", "size": 0},
        one("null") | {"name": "Inner"},
        one(EMPTY) | {"name": "Inner"},
        {"type": "array", "items": "null"},
        {"type": "map", "values": {"type": "array", "items": "null"}},
        one(["int", {"type": "array", "items": "null"}]) | {"name": "Inner"},
    ],
)
def test_a_list_whose_items_have_no_bytes_is_refused(server: SchemaRegistryServer, avro: Avro, items: Any) -> None:
    """Eleven bytes could say that it holds 2**60 of them: the process would die of it, and again at each restart."""
    number = server.register("t-value", json.dumps(one({"type": "array", "items": items})))
    with pytest.raises(Undecodable, match=f"schema {number} cannot be used: the items of a list have no bytes"):
        avro.decode(head(number) + zigzag(2**60))


def test_a_list_of_a_referenced_type_without_bytes_is_refused(server: SchemaRegistryServer, avro: Avro) -> None:
    server.register("empty", json.dumps(EMPTY))
    of_empty = json.dumps(one({"type": "array", "items": "Empty"}))
    number = server.register("t-value", of_empty, references=[("Empty", "empty", 1)])
    with pytest.raises(Undecodable, match="the items of a list have no bytes"):
        avro.decode(head(number) + zigzag(2**60))


def test_what_has_no_bytes_is_read_outside_of_lists(server: SchemaRegistryServer, avro: Avro) -> None:
    number = server.register("t-value", json.dumps(one(EMPTY)))
    assert avro.decode(head(number)) == {"x": {}}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{", "it is no Avro schema"),
        ('"Nosuch"', "it names the type Nosuch, which neither it nor its references define"),
        ('{"type": "record"}', "it is no Avro schema"),
        ('{"type": "record", "name": "A", "fields": 3}', "it is no Avro schema"),
        ('{"type": {"type": "int"}}', "it is no Avro schema"),
        ("5", "it is no Avro schema"),
        ('{"type":"array","items":' * 3_000 + '"int"' + "}" * 3_000, "it is nested too deeply"),
    ],
)
def test_a_schema_that_does_not_parse(server: SchemaRegistryServer, avro: Avro, text: str, complaint: str) -> None:
    number = server.register("t-value", text)
    with pytest.raises(Undecodable) as refused:
        avro.decode(head(number) + b"\0")
    assert str(refused.value).startswith(f"schema {number} cannot be used: {complaint}")


def test_a_schema_of_another_format(server: SchemaRegistryServer, avro: Avro) -> None:
    number = server.register("t-value", "{}", "JSON")
    with pytest.raises(Undecodable, match=f"schema {number} cannot be used: it is JSON, not AVRO"):
        avro.decode(head(number))


def test_a_value_that_is_no_record(server: SchemaRegistryServer, avro: Avro) -> None:
    number = server.register("t-value", '"int"')
    with pytest.raises(Undecodable, match=f"schema {number} is not of a record"):
        avro.decode(head(number) + zigzag(1))
