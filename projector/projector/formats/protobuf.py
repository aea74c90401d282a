"""Events in Protobuf, each read by the schema that it was written with."""

from typing import Any

from google.protobuf.descriptor import FileDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from projector.formats import protobuf_schema, protobuf_values
from projector.formats.errors import Undecodable
from projector.formats.registry import SchemaRegistry
from projector.formats.wire import message_indexes, schema_id

_Reader = tuple[type[Message], protobuf_values.Read]


class Protobuf:
    """Values in the wire format of a schema registry. See docs/formats.md for what maps to what."""

    def __init__(self, registry: SchemaRegistry) -> None:
        self._registry = registry
        self._files: dict[int, FileDescriptor] = {}
        self._readers: dict[tuple[int, tuple[int, ...]], _Reader] = {}

    def decode(self, value: bytes) -> dict[str, Any]:
        """The event. Raises Undecodable or SchemaRegistryUnavailable."""
        number = schema_id(value)
        indexes, position = message_indexes(value)
        found = self._readers.get((number, indexes))
        if found is None:
            found = self._readers[number, indexes] = self._reader(number, indexes)
        made, read = found
        try:
            message = made.FromString(value[position:])
        except DecodeError:
            raise Undecodable(f"the value does not fit schema {number}, message {made.DESCRIPTOR.full_name}") from None
        event = read(message)
        if type(event) is not dict:
            raise Undecodable(f"message {made.DESCRIPTOR.full_name} of schema {number} is a single value, no event")
        return event

    def _reader(self, number: int, indexes: tuple[int, ...]) -> _Reader:
        try:
            descriptor = protobuf_schema.message(self._file(number), indexes)
        except IndexError:
            path = ".".join(map(str, indexes))
            raise Undecodable(f"schema {number} has no message {path}, which the value names") from None
        made = GetMessageClass(descriptor)
        return made, protobuf_values.reader(descriptor, {})

    def _file(self, number: int) -> FileDescriptor:
        file = self._files.get(number)
        if file is None:
            try:
                file = protobuf_schema.parsed(self._registry.schema(number, serialized=True), f"schema-{number}.proto")
            except Undecodable as error:
                raise Undecodable(f"schema {number} cannot be used: {error}") from None
            self._files[number] = file
        return file
