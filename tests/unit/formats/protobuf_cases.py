"""Random Protobuf files with random messages, and what these must become, said without the code under test."""

import base64
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, timestamp_pb2, wrappers_pb2
from google.protobuf.descriptor import FileDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from hypothesis import strategies as st

F = descriptor_pb2.FieldDescriptorProto
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Pair = tuple[Any, Any]
"""A value as the Protobuf library takes it, and what it must be read as."""


@dataclass(frozen=True)
class Kind:
    """A type of a field. `zero` is what a field without presence is read as where nothing was written."""

    number: Any
    values: st.SearchStrategy[Pair]
    zero: Any = None
    type_name: str | None = None


def _same(value: Any) -> Pair:
    return value, value


def _signed(bits: int) -> st.SearchStrategy[Pair]:
    return st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1).map(_same)


def _unsigned(bits: int) -> st.SearchStrategy[Pair]:
    return st.integers(0, 2**bits - 1).map(_same)


def _as_text(value: bytes) -> Pair:
    return value, base64.b64encode(value).decode()


def _timestamp(value: datetime) -> Pair:
    since = value - _EPOCH
    seconds = since // timedelta(seconds=1)
    return timestamp_pb2.Timestamp(seconds=seconds, nanos=value.microsecond * 1000 + 999), value


COLOURS = {"NONE": 0, "RED": 1, "BLUE": -5}
_COLOUR = st.sampled_from(sorted(COLOURS)).map(lambda name: (COLOURS[name], name))
_UNKNOWN_COLOUR = st.sampled_from([2, 77]).map(_same)

SCALARS = [
    Kind(F.TYPE_DOUBLE, st.floats().map(_same), 0.0),
    Kind(F.TYPE_FLOAT, st.floats(width=32).map(_same), 0.0),
    Kind(F.TYPE_INT32, _signed(32), 0),
    Kind(F.TYPE_SINT32, _signed(32), 0),
    Kind(F.TYPE_SFIXED32, _signed(32), 0),
    Kind(F.TYPE_INT64, _signed(64), 0),
    Kind(F.TYPE_SINT64, _signed(64), 0),
    Kind(F.TYPE_SFIXED64, _signed(64), 0),
    Kind(F.TYPE_UINT32, _unsigned(32), 0),
    Kind(F.TYPE_FIXED32, _unsigned(32), 0),
    Kind(F.TYPE_UINT64, _unsigned(64), 0),
    Kind(F.TYPE_FIXED64, _unsigned(64), 0),
    Kind(F.TYPE_BOOL, st.booleans().map(_same), False),
    Kind(F.TYPE_STRING, st.text().map(_same), ""),
    Kind(F.TYPE_BYTES, st.binary().map(_as_text), ""),
    Kind(F.TYPE_ENUM, _COLOUR | _UNKNOWN_COLOUR, "NONE", ".shop.Colour"),
]
MESSAGES = [
    Kind(F.TYPE_MESSAGE, st.datetimes(timezones=st.just(UTC)).map(_timestamp), type_name=".google.protobuf.Timestamp"),
    Kind(
        F.TYPE_MESSAGE,
        st.text().map(lambda value: (wrappers_pb2.StringValue(value=value), value)),
        type_name=".google.protobuf.StringValue",
    ),
]
KEYS: list[tuple[Any, st.SearchStrategy[Any], Callable[[Any], str]]] = [
    (F.TYPE_STRING, st.text(), str),
    (F.TYPE_INT64, st.integers(-(2**63), 2**63 - 1), str),
    (F.TYPE_UINT32, st.integers(0, 2**32 - 1), str),
    (F.TYPE_BOOL, st.booleans(), lambda key: {True: "true", False: "false"}[key]),
]

Set = Callable[[Message], None]


@dataclass
class Case:
    """A message type being made: its descriptor, and for one random message how to fill it and what to expect."""

    descriptor: descriptor_pb2.DescriptorProto
    expected: dict[str, Any] = field(default_factory=dict)
    sets: list[Set] = field(default_factory=list)

    def fill(self, message: Message) -> None:
        message.SetInParent()
        for setter in self.sets:
            setter(message)

    def fill_several(self, messages: Any, count: int) -> None:
        for _ in range(count):
            self.fill(messages.add())


@dataclass(frozen=True)
class Drawn:
    file: FileDescriptor
    message: Message
    expected: dict[str, Any]


_numbers = itertools.count()


def built(file: descriptor_pb2.FileDescriptorProto) -> FileDescriptor:
    """The file in a pool of its own, with the well-known ones that it imports."""
    pool = descriptor_pool.DescriptorPool()
    for name in file.dependency:
        imported = descriptor_pb2.FileDescriptorProto()
        descriptor_pool.Default().FindFileByName(name).CopyToProto(imported)
        pool.Add(imported)
    pool.Add(file)
    return pool.FindFileByName(file.name)


def proto3(*messages: descriptor_pb2.DescriptorProto) -> descriptor_pb2.FileDescriptorProto:
    """A file of package shop with the messages and an enum Colour."""
    file = descriptor_pb2.FileDescriptorProto(name=f"shop/{next(_numbers)}.proto", package="shop", syntax="proto3")
    file.dependency.extend([timestamp_pb2.DESCRIPTOR.name, wrappers_pb2.DESCRIPTOR.name])
    colour = file.enum_type.add(name="Colour")
    for name, number in COLOURS.items():
        colour.value.add(name=name, number=number)
    file.message_type.extend(messages)
    return file


@st.composite
def events(draw: st.DrawFn) -> Drawn:
    """A message of a random type, which stands at a random place of its file."""
    case = draw(_case("Event", depth=2))
    before = [descriptor_pb2.DescriptorProto(name=f"Before{number}") for number in range(draw(st.integers(0, 2)))]
    descriptor, nested = case.descriptor, draw(st.booleans())
    if nested:
        outer = descriptor_pb2.DescriptorProto(name="Outer")
        outer.nested_type.add(name="First")
        outer.nested_type.append(descriptor)
        _move(outer.nested_type[1], ".shop.Event", ".shop.Outer.Event")
        descriptor = outer
    file = built(proto3(*before, descriptor))
    found = file.message_types_by_name[descriptor.name]
    message = GetMessageClass(found.nested_types_by_name["Event"] if nested else found)()
    case.fill(message)
    return Drawn(file, message, case.expected)


def _move(descriptor: descriptor_pb2.DescriptorProto, old: str, new: str) -> None:
    for one in descriptor.field:
        if one.type_name.startswith(f"{old}."):
            one.type_name = new + one.type_name[len(old) :]
    for inner in descriptor.nested_type:
        _move(inner, old, new)


@st.composite
def _case(draw: st.DrawFn, name: str, depth: int, path: str = ".shop") -> Case:
    case = Case(descriptor_pb2.DescriptorProto(name=name))
    own = f"{path}.{name}"
    for number in range(1, draw(st.integers(0, 5)) + 1):
        one = case.descriptor.field.add(name=f"field_{number}", number=number, label=F.LABEL_OPTIONAL)
        shape = draw(st.sampled_from(["plain", "optional", "repeated", "map", "message", "messages", "well_known"]))
        if shape in {"message", "messages"} and depth == 0:
            shape = "plain"
        if shape in {"message", "messages"}:
            _nested(draw, case, one, own, depth, many=shape == "messages")
        elif shape == "map":
            _mapped(draw, case, one, own)
        else:
            _single(draw, case, one, shape)
    return case


def _single(draw: st.DrawFn, case: Case, one: Any, shape: str) -> None:
    kind = draw(st.sampled_from(MESSAGES if shape == "well_known" else SCALARS))
    one.type = kind.number
    if kind.type_name:
        one.type_name = kind.type_name
    name = one.name
    if shape == "repeated":
        one.label = F.LABEL_REPEATED
        pairs = draw(st.lists(kind.values, max_size=3))
        case.sets.append(lambda message: getattr(message, name).extend([value for value, _ in pairs]))
        case.expected[name] = [want for _, want in pairs]
        return
    if shape == "optional":
        one.proto3_optional = True
        one.oneof_index = len(case.descriptor.oneof_decl)
        case.descriptor.oneof_decl.add(name=f"_{name}")
    if draw(st.booleans()):
        value, case.expected[name] = draw(kind.values)
        case.sets.append(lambda message: _put(message, name, value))
    elif shape == "plain":
        case.expected[name] = kind.zero


def _put(message: Message, name: str, value: Any) -> None:
    if isinstance(value, Message):
        # A message of another pool: the same bytes, not the same class.
        made = getattr(message, name)
        made.SetInParent()
        made.MergeFromString(value.SerializeToString())
    else:
        setattr(message, name, value)


def _mapped(draw: st.DrawFn, case: Case, one: Any, own: str) -> None:
    key_type, keys, text = draw(st.sampled_from(KEYS))
    kind = draw(st.sampled_from(SCALARS))
    camel = "".join(part.capitalize() for part in one.name.split("_"))
    entry = case.descriptor.nested_type.add(name=f"{camel}Entry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, label=F.LABEL_OPTIONAL, type=key_type)
    entry.field.add(name="value", number=2, label=F.LABEL_OPTIONAL, type=kind.number, type_name=kind.type_name)
    one.label, one.type, one.type_name = F.LABEL_REPEATED, F.TYPE_MESSAGE, f"{own}.{entry.name}"
    pairs = draw(st.dictionaries(keys, kind.values, max_size=3))
    name = one.name
    case.sets.append(lambda message: getattr(message, name).update({key: pair[0] for key, pair in pairs.items()}))
    case.expected[name] = {text(key): pair[1] for key, pair in pairs.items()}


def _nested(draw: st.DrawFn, case: Case, one: Any, own: str, depth: int, many: bool) -> None:
    inner = draw(_case(f"Inner{one.number}", depth - 1, own))
    case.descriptor.nested_type.append(inner.descriptor)
    one.type, one.type_name = F.TYPE_MESSAGE, f"{own}.{inner.descriptor.name}"
    name = one.name
    if many:
        one.label = F.LABEL_REPEATED
        count = draw(st.integers(0, 2))
        case.sets.append(lambda message: inner.fill_several(getattr(message, name), count))
        case.expected[name] = [inner.expected] * count
    elif draw(st.booleans()):
        case.sets.append(lambda message: inner.fill(getattr(message, name)))
        case.expected[name] = inner.expected
