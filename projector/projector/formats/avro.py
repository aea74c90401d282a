"""Events in Avro, each read by the schema that it was written with."""

from collections.abc import Callable
from io import BytesIO
from typing import Any

import fastavro
from fastavro import _read_py as slow_read

from projector.formats.avro_schema import EVENT, parsed
from projector.formats.errors import Undecodable
from projector.formats.registry import SchemaRegistry
from projector.formats.wire import HEADER, schema_id

_Read = Callable[[BytesIO], Any]


class Avro:
    """Values in the wire format of a schema registry. See docs/formats.md for what maps to what."""

    def __init__(self, registry: SchemaRegistry) -> None:
        self._registry = registry
        self._readers: dict[int, _Read] = {}

    def decode(self, value: bytes) -> dict[str, Any]:
        """The event. Raises Undecodable or SchemaRegistryUnavailable."""
        number = schema_id(value)
        read = self._readers.get(number)
        if read is None:
            read = self._readers[number] = self._reader(number)
        stream = BytesIO(value)
        stream.seek(HEADER)
        try:
            event = read(stream)[EVENT]
        except Exception as error:  # noqa: BLE001 - fastavro has no error of its own for data that does not fit
            raise Undecodable(f"the value does not fit schema {number}: {_words(error)}") from None
        if stream.tell() != len(value):
            raise Undecodable(f"the value does not fit schema {number}: it is longer than the schema says")
        if type(event) is not dict:
            raise Undecodable(f"schema {number} is not of a record, so the value is no event")
        return event

    def _reader(self, number: int) -> _Read:
        try:
            schema, recursive = parsed(self._registry.schema(number))
        except Undecodable as error:
            raise Undecodable(f"schema {number} cannot be used: {error}") from None
        # fastavro's C code has no limit of depth: a few kilobytes of nested values would kill the process.
        function = slow_read.schemaless_reader if recursive else fastavro.schemaless_reader
        return lambda stream: function(stream, schema, None)


def _words(error: Exception) -> str:
    if isinstance(error, EOFError):
        return "it ends too early"
    if isinstance(error, UnicodeDecodeError):
        return "it holds text that is not UTF-8"
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, OverflowError):
        return "it holds a date beyond the years 1 to 9999"
    return str(error)
