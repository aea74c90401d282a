"""Messages of Protobuf to values of an event; the readers of a message type are made once."""

import base64
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.message import Message

from projector.formats.errors import Undecodable

Read = Callable[[Any], Any]
"""A value as the Protobuf library has it to the value of the event. Raises Undecodable."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NANOS = 10**9


class MessageReader:
    """Reads messages of one type: fields without a value are left out, unless their type gives them a default."""

    def __init__(self) -> None:
        self._fields: list[tuple[str, bool, Read | None]] = []

    def add(self, name: str, presence: bool, read: Read | None) -> None:
        """A field; `read` is None where the value is the event's as it is."""
        self._fields.append((name, presence, read))

    def __call__(self, message: Message) -> dict[str, Any]:
        """The message as a dict."""
        result = {}
        for name, presence, read in self._fields:
            if not presence or message.HasField(name):
                value = getattr(message, name)
                result[name] = value if read is None else read(value)
        return result


def reader(descriptor: Descriptor, known: dict[str, Read]) -> Read:
    """The reader of a message type; `known` keeps those made so far, by full name, within one schema."""
    made = known.get(descriptor.full_name) or _WELL_KNOWN.get(descriptor.full_name)
    if made is None:
        made = fields = MessageReader()
        known[descriptor.full_name] = made  # before its fields: one of them may hold the type again
        for field in descriptor.fields:
            fields.add(field.name, field.has_presence, _field(field, known))
    return made


def _field(field: FieldDescriptor, known: dict[str, Read]) -> Read | None:
    if not field.is_repeated:
        return _single(field, known)
    entry = field.message_type
    if entry is not None and entry.GetOptions().map_entry:
        return _map(entry.fields_by_name["key"], _single(entry.fields_by_name["value"], known))
    read = _single(field, known)
    return list if read is None else lambda values: [read(value) for value in values]


def _map(key: FieldDescriptor, read: Read | None) -> Read:
    name: Callable[[Any], str] = _bool_text if key.type == FieldDescriptor.TYPE_BOOL else str
    if read is None:
        return lambda values: {name(key): value for key, value in values.items()}
    return lambda values: {name(key): read(value) for key, value in values.items()}


def _single(field: FieldDescriptor, known: dict[str, Read]) -> Read | None:
    if field.message_type is not None:
        return reader(field.message_type, known)
    if field.enum_type is not None:
        return _enum(field.enum_type)
    return _text64 if field.type == FieldDescriptor.TYPE_BYTES else None


def _enum(descriptor: EnumDescriptor) -> Read:
    """The name; the number where the schema has no name for it."""
    # The first of several names of a number is the one to say.
    names = {value.number: value.name for value in reversed(descriptor.values)}
    return lambda number: names.get(number, number)


def _bool_text(value: bool) -> str:
    return "true" if value else "false"


def _text64(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _timestamp(message: Any) -> datetime:
    try:
        return _EPOCH + timedelta(seconds=message.seconds, microseconds=message.nanos // 1000)
    except OverflowError:
        raise Undecodable("the value holds a timestamp beyond the years 1 to 9999") from None


def _duration(message: Any) -> str:
    nanos = message.seconds * _NANOS + message.nanos
    seconds, rest = divmod(abs(nanos), _NANOS)
    fraction = f".{rest:09}".rstrip("0") if rest else ""
    return f"{'-' if nanos < 0 else ''}{seconds}{fraction}s"


def _wrapped(message: Any) -> Any:
    return message.value


def _wrapped_bytes(message: Any) -> str:
    return _text64(message.value)


def _struct(message: Any) -> dict[str, Any]:
    return {name: _value(value) for name, value in message.fields.items()}


def _list(message: Any) -> list[Any]:
    return [_value(value) for value in message.values]


def _value(message: Any) -> Any:
    """Any JSON value. One that is none of them is null."""
    kind = message.WhichOneof("kind")
    if kind is None or kind == "null_value":
        return None
    found = getattr(message, kind)
    read = {"struct_value": _struct, "list_value": _list}.get(kind)
    return found if read is None else read(found)


_WELL_KNOWN: dict[str, Read] = {
    "google.protobuf.Timestamp": _timestamp,
    "google.protobuf.Duration": _duration,
    "google.protobuf.Struct": _struct,
    "google.protobuf.ListValue": _list,
    "google.protobuf.Value": _value,
    "google.protobuf.BytesValue": _wrapped_bytes,
    **{
        f"google.protobuf.{name}Value": _wrapped
        for name in ("Double", "Float", "Int64", "UInt64", "Int32", "UInt32", "Bool", "String")
    },
}
