"""Protobuf events: what they become, over all types, versions and faults."""

import base64
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from google.protobuf import descriptor_pb2, duration_pb2, struct_pb2, timestamp_pb2, wrappers_pb2
from google.protobuf.message_factory import GetMessageClass
from hypothesis import given, settings
from hypothesis import strategies as st

from projector.formats.errors import SchemaRegistryUnavailable, Undecodable
from projector.formats.protobuf import Protobuf
from projector.formats.registry import SchemaRegistry
from tests.support.schema_registry import SchemaRegistryServer, protobuf_value, zigzag
from tests.unit.formats.exactly import exactly
from tests.unit.formats.protobuf_cases import Drawn, F, built, events, proto3

EXAMPLES = max(1_000, settings().max_examples)


@pytest.fixture(scope="module")
def protobuf(registry: SchemaRegistry) -> Protobuf:
    return Protobuf(registry)


def head(number: int, indexes: bytes = b"\0") -> bytes:
    return b"\0" + number.to_bytes(4, "big") + indexes


def field(name: str, number: int, kind: Any, type_name: str | None = None, label: Any = F.LABEL_OPTIONAL) -> Any:
    return F(name=name, number=number, type=kind, type_name=type_name, label=label)


def described(name: str, *fields: Any) -> descriptor_pb2.DescriptorProto:
    return descriptor_pb2.DescriptorProto(name=name, field=fields)


def text_of(file: descriptor_pb2.FileDescriptorProto) -> str:
    return base64.b64encode(file.SerializeToString()).decode()


@settings(max_examples=EXAMPLES)
@given(drawn=events())
def test_what_was_written_is_read(server: SchemaRegistryServer, protobuf: Protobuf, drawn: Drawn) -> None:
    event = protobuf.decode(server.protobuf("t-value", drawn.file)(drawn.message))
    assert exactly(event, drawn.expected), event


@settings(max_examples=EXAMPLES)
@given(drawn=events(), garbage=st.binary(max_size=200))
def test_garbage_is_an_event_or_refused(
    server: SchemaRegistryServer, protobuf: Protobuf, drawn: Drawn, garbage: bytes
) -> None:
    with suppress(Undecodable):
        assert type(protobuf.decode(head(server.register_file(drawn.file), b"") + garbage)) is dict


def test_each_event_is_read_by_its_own_schema(server: SchemaRegistryServer, protobuf: Protobuf) -> None:
    old = built(proto3(described("Placed", field("order_id", 1, F.TYPE_STRING))))
    new = built(proto3(described("Placed", field("order_id", 1, F.TYPE_STRING), field("total_cents", 2, F.TYPE_INT64))))
    first = server.protobuf("orders-value", old)
    second = server.protobuf("orders-value", new)
    before = GetMessageClass(old.message_types_by_name["Placed"])(order_id="o1")
    after = GetMessageClass(new.message_types_by_name["Placed"])(order_id="o2")
    assert [protobuf.decode(value) for value in (first(before), second(after), first(before))] == [
        {"order_id": "o1"},
        {"order_id": "o2", "total_cents": 0},
        {"order_id": "o1"},
    ]


def test_a_schema_is_asked_for_once(server: SchemaRegistryServer, registry: SchemaRegistry) -> None:
    file = built(proto3(described("A", field("x", 1, F.TYPE_INT32)), described("B")))
    write = server.protobuf("t-value", file)
    first, second = (GetMessageClass(file.message_types_by_name[name])() for name in ("A", "B"))
    protobuf, before = Protobuf(registry), len(server.paths)
    assert [protobuf.decode(write(message)) for message in (first, second, first)] == [{"x": 0}, {}, {"x": 0}]
    assert len(server.paths) == before + 1


def test_files_that_references_give(server: SchemaRegistryServer, protobuf: Protobuf) -> None:
    money = proto3(described("Money", field("cents", 1, F.TYPE_INT64)))
    line = descriptor_pb2.FileDescriptorProto(name="shop/line.proto", package="shop", syntax="proto3")
    line.dependency.append(money.name)
    line.message_type.append(described("Line", field("price", 1, F.TYPE_MESSAGE, ".shop.Money")))
    order = descriptor_pb2.FileDescriptorProto(name="shop/order.proto", package="shop", syntax="proto3")
    order.dependency.extend([line.name, money.name])
    lines = field("lines", 1, F.TYPE_MESSAGE, ".shop.Line", F.LABEL_REPEATED)
    order.message_type.append(described("Order", lines, field("sum", 2, F.TYPE_MESSAGE, ".shop.Money")))
    server.register("money", text_of(money), "PROTOBUF")
    refer_money = (money.name, "money", 1)
    server.register("a line/1", text_of(line), "PROTOBUF", [refer_money])
    number = server.register("order", text_of(order), "PROTOBUF", [(line.name, "a line/1", 1), refer_money])
    five = b"\x08\x05"  # field 1 is 5
    value = head(number) + b"\x0a\x04\x0a\x02" + five + b"\x12\x02" + five
    assert protobuf.decode(value) == {"lines": [{"price": {"cents": 5}}], "sum": {"cents": 5}}


def test_an_import_for_options_only_may_be_unknown(server: SchemaRegistryServer, protobuf: Protobuf) -> None:
    file = proto3(described("Placed", field("order_id", 1, F.TYPE_STRING)))
    file.dependency.append("confluent/meta.proto")
    number = server.register("t-value", text_of(file), "PROTOBUF")
    assert protobuf.decode(head(number)) == {"order_id": ""}


def test_types_of_a_file_that_nobody_gives(server: SchemaRegistryServer, protobuf: Protobuf) -> None:
    file = proto3(described("Placed", field("total", 1, F.TYPE_MESSAGE, ".confluent.type.Decimal")))
    file.dependency.append("confluent/type/decimal.proto")
    number = server.register("t-value", text_of(file), "PROTOBUF")
    with pytest.raises(Undecodable, match=rf"schema {number} cannot be used: .*confluent\.type\.Decimal"):
        protobuf.decode(head(number))


WELL_KNOWN: list[tuple[Any, Any]] = [
    (timestamp_pb2.Timestamp(seconds=1, nanos=1_999), datetime(1970, 1, 1, 0, 0, 1, 1, UTC)),
    (timestamp_pb2.Timestamp(seconds=-1, nanos=999_999_999), datetime(1969, 12, 31, 23, 59, 59, 999999, UTC)),
    (timestamp_pb2.Timestamp(), datetime(1970, 1, 1, tzinfo=UTC)),
    (duration_pb2.Duration(seconds=90), "90s"),
    (duration_pb2.Duration(seconds=-1, nanos=-500_000_000), "-1.5s"),
    (duration_pb2.Duration(nanos=-1), "-0.000000001s"),
    (duration_pb2.Duration(), "0s"),
    (wrappers_pb2.Int64Value(value=2**62), 2**62),
    (wrappers_pb2.UInt64Value(value=2**64 - 1), 2**64 - 1),
    (wrappers_pb2.BoolValue(value=False), False),
    (wrappers_pb2.DoubleValue(value=0.1), 0.1),
    (wrappers_pb2.BytesValue(value=b"\xff"), "/w=="),
    (wrappers_pb2.StringValue(), ""),
]


@pytest.mark.parametrize(("message", "expected"), WELL_KNOWN)
def test_well_known_types_to_the_letter(
    server: SchemaRegistryServer, protobuf: Protobuf, message: Any, expected: Any
) -> None:
    file = proto3(described("One", field("x", 1, F.TYPE_MESSAGE, f".{message.DESCRIPTOR.full_name}")))
    if message.DESCRIPTOR.file.name not in file.dependency:
        file.dependency.append(message.DESCRIPTOR.file.name)
    stored = message.SerializeToString()
    value = head(server.register_file(built(file))) + b"\x0a" + bytes([len(stored)]) + stored
    event = protobuf.decode(value)
    assert exactly(event, {"x": expected}), event


def test_any_json_in_a_struct(server: SchemaRegistryServer, protobuf: Protobuf) -> None:
    json: dict[str, Any] = {"a": None, "b": [1.5, "x", {"c": True}], "d": {}}
    message = struct_pb2.Struct()
    message.update(json)
    file = proto3(described("One", field("x", 1, F.TYPE_MESSAGE, ".google.protobuf.Struct")))
    file.dependency.append(struct_pb2.DESCRIPTOR.name)
    stored = message.SerializeToString()
    value = head(server.register_file(built(file))) + b"\x0a" + bytes([len(stored)]) + stored
    assert exactly(protobuf.decode(value), {"x": json})


def test_members_of_a_oneof_are_missing_or_there(server: SchemaRegistryServer, protobuf: Protobuf) -> None:
    choice = described("Paid", field("card", 1, F.TYPE_STRING), field("cash", 2, F.TYPE_INT32))
    choice.oneof_decl.add(name="how")
    for one in choice.field:
        one.oneof_index = 0
    file = built(proto3(choice))
    write, made = server.protobuf("t-value", file), GetMessageClass(file.message_types_by_name["Paid"])
    assert [protobuf.decode(write(made(**how))) for how in ({}, {"cash": 0}, {"card": "c"})] == [
        {},
        {"cash": 0},
        {"card": "c"},
    ]


def test_proto2_has_what_was_written(server: SchemaRegistryServer, protobuf: Protobuf) -> None:
    file = proto3(described("Old", field("a", 1, F.TYPE_INT32), field("b", 2, F.TYPE_INT32)))
    file.syntax = "proto2"
    file.message_type[0].field[1].default_value = "7"
    made = built(file)
    message = GetMessageClass(made.message_types_by_name["Old"])(a=0)
    assert protobuf.decode(server.protobuf("t-value", made)(message)) == {"a": 0}


def test_the_message_may_stand_anywhere_in_the_file(server: SchemaRegistryServer, protobuf: Protobuf) -> None:
    outer = described("Outer")
    outer.nested_type.extend([described("First"), described("Second", field("x", 1, F.TYPE_INT32))])
    number = server.register_file(built(proto3(described("Before"), outer)))
    assert protobuf.decode(head(number, zigzag(2) + zigzag(1) + zigzag(1)) + b"\x08\x05") == {"x": 5}
    assert protobuf.decode(head(number, zigzag(1) + zigzag(0))) == {}
    for path in ([2], [1, 2], [0, 0], [-1], [1, -1]):
        value = head(number, b"".join(zigzag(step) for step in (len(path), *path)))
        with pytest.raises(Undecodable, match=f"schema {number} has no message {'.'.join(map(str, path))}, which"):
            protobuf.decode(value)


@pytest.mark.parametrize(
    "indexes", [b"", b"\x80", zigzag(1), zigzag(3) + b"\0\0", zigzag(-1), b"\xff" * 9, zigzag(2**30)]
)
def test_the_message_must_be_named(server: SchemaRegistryServer, protobuf: Protobuf, indexes: bytes) -> None:
    number = server.register_file(built(proto3(described("A"))))
    with pytest.raises(Undecodable, match="the value does not name the Protobuf message that it holds"):
        protobuf.decode(head(number, indexes))


def test_what_does_not_fit_its_schema_is_said(server: SchemaRegistryServer, protobuf: Protobuf) -> None:
    one = described("One", field("x", 1, F.TYPE_STRING), field("at", 2, F.TYPE_MESSAGE, ".google.protobuf.Timestamp"))
    file = built(proto3(one))
    number = server.register_file(file)
    for stored in (b"\x0a\x05abc", b"\x0a\x01\xff", b"\xff", b"\x0b"):
        with pytest.raises(Undecodable, match=rf"the value does not fit schema {number}, message shop\.One"):
            protobuf.decode(head(number) + stored)
    late: Any = GetMessageClass(file.message_types_by_name["One"])()
    late.at.seconds = 2**50
    with pytest.raises(Undecodable, match="the value holds a timestamp beyond the years 1 to 9999"):
        protobuf.decode(protobuf_value(number, late))


def test_nesting_has_an_end(server: SchemaRegistryServer, protobuf: Protobuf) -> None:
    number = server.register_file(built(proto3(described("Node", field("next", 1, F.TYPE_MESSAGE, ".shop.Node")))))
    assert protobuf.decode(head(number) + b"\x0a\x02\x0a\x00") == {"next": {"next": {}}}
    stored = b""
    for _ in range(2_000):
        size = len(stored)
        stored = b"\x0a" + bytes([size & 0x7F | 0x80, size >> 7 & 0x7F | 0x80, size >> 14]) + stored
    with pytest.raises(Undecodable, match="does not fit"):
        protobuf.decode(head(number) + stored)


def test_a_schema_that_is_none(server: SchemaRegistryServer, protobuf: Protobuf) -> None:
    file = proto3(described("A", field("x", 1, F.TYPE_MESSAGE, ".shop.Nosuch")))
    number = server.register("t-value", text_of(file), "PROTOBUF")
    with pytest.raises(Undecodable, match=rf"schema {number} cannot be used: it is no Protobuf schema: .*Nosuch"):
        protobuf.decode(head(number))


def test_a_schema_of_another_format(server: SchemaRegistryServer, protobuf: Protobuf) -> None:
    number = server.register("t-value", '"int"')
    with pytest.raises(Undecodable, match=f"schema {number} cannot be used: it is AVRO, not PROTOBUF"):
        protobuf.decode(head(number))


def test_a_message_that_is_a_single_value(server: SchemaRegistryServer, protobuf: Protobuf) -> None:
    number = server.register_file(timestamp_pb2.DESCRIPTOR)
    with pytest.raises(Undecodable, match=r"message google\.protobuf\.Timestamp of schema \d+ is a single value"):
        protobuf.decode(head(number))


def test_a_registry_that_compiles_nothing_is_no_fault_of_the_data() -> None:
    with SchemaRegistryServer() as old:
        old.compiles = False
        number = old.register_file(built(proto3(described("A"))))
        with pytest.raises(SchemaRegistryUnavailable, match="format=serialized"):
            Protobuf(SchemaRegistry(old.url)).decode(head(number))
