"""Writer schemas of Protobuf, from descriptors that the registry compiled: no compiler is needed here."""

import base64
import binascii
from collections.abc import Iterator

from google.protobuf import (
    any_pb2,
    api_pb2,
    descriptor_pb2,
    descriptor_pool,
    duration_pb2,
    empty_pb2,
    field_mask_pb2,
    source_context_pb2,
    struct_pb2,
    timestamp_pb2,
    type_pb2,
    wrappers_pb2,
)
from google.protobuf.descriptor import Descriptor, FileDescriptor
from google.protobuf.message import DecodeError

from projector.formats.errors import SchemaRegistryUnavailable, Undecodable
from projector.formats.registry import Schema

_WELL_KNOWN: dict[str, FileDescriptor] = {
    module.DESCRIPTOR.name: module.DESCRIPTOR
    for module in (
        any_pb2,
        api_pb2,
        descriptor_pb2,
        duration_pb2,
        empty_pb2,
        field_mask_pb2,
        source_context_pb2,
        struct_pb2,
        timestamp_pb2,
        type_pb2,
        wrappers_pb2,
    )
}
"""Files that every schema may import without a reference."""


def parsed(schema: Schema, name: str) -> FileDescriptor:
    """The file of a schema, in a pool of its own: versions of a schema define the same names.

    Raises Undecodable without naming the schema, or SchemaRegistryUnavailable where the registry compiles nothing.
    """
    if schema.kind != "PROTOBUF":
        raise Undecodable(f"it is {schema.kind}, not PROTOBUF")
    files = {found.name: found for found in _files(name, schema)}
    pool = descriptor_pool.DescriptorPool()
    try:
        _add(pool, files, name, set())
        return pool.FindFileByName(name)
    except (TypeError, KeyError) as error:
        raise Undecodable(f"it is no Protobuf schema: {error}") from None


def message(file: FileDescriptor, indexes: tuple[int, ...]) -> Descriptor:
    """The message at a path. Raises IndexError."""
    if min(indexes) < 0:
        raise IndexError
    found = list(file.message_types_by_name.values())[indexes[0]]
    for index in indexes[1:]:
        found = found.nested_types[index]
    return found


def _files(name: str, schema: Schema) -> Iterator[descriptor_pb2.FileDescriptorProto]:
    yield _file(name, schema.text)
    for imported, reference in schema.references:
        yield from _files(imported, reference)


def _file(name: str, text: str) -> descriptor_pb2.FileDescriptorProto:
    try:
        file = descriptor_pb2.FileDescriptorProto.FromString(base64.b64decode(text, validate=True))
    except (binascii.Error, DecodeError, ValueError):
        raise SchemaRegistryUnavailable(
            "the schema registry does not give Protobuf schemas as descriptors (format=serialized)"
        ) from None
    file.name = name
    return file


def _add(
    pool: descriptor_pool.DescriptorPool,
    files: dict[str, descriptor_pb2.FileDescriptorProto],
    name: str,
    added: set[str],
) -> None:
    """Add a file after those that it imports."""
    if name in added:
        return
    added.add(name)
    file = files.get(name)
    if file is None:
        file = descriptor_pb2.FileDescriptorProto(name=name)
        if name in _WELL_KNOWN:
            _WELL_KNOWN[name].CopyToProto(file)
        # Any other is one that registries know by themselves. Most serve options only, for which an empty file will
        # do; where a type of it is used, the pool says which.
    for imported in file.dependency:
        _add(pool, files, imported, added)
    pool.Add(file)
