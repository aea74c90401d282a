"""The wire format of a schema registry: a zero byte, the schema's id in 4 bytes (big-endian), then the payload."""

from projector.formats.errors import Undecodable

HEADER = 5
"""Bytes before the payload."""

_VARINT_BITS = 35
"""A 32-bit number takes five bytes of seven bits."""


def schema_id(value: bytes) -> int:
    """Id of the schema that a value was written with. Raises Undecodable."""
    if len(value) < HEADER:
        raise Undecodable(f"the value has {len(value)} bytes, too few to name the schema it was written with")
    if value[0] != 0:
        raise Undecodable(
            f"the value begins with byte {value[0]}, not 0: no producer that uses a schema registry wrote it"
        )
    return int.from_bytes(value[1:HEADER], "big")


def message_indexes(value: bytes) -> tuple[tuple[int, ...], int]:
    """Path of a Protobuf message within its schema, outermost first, and the position of the payload.

    Raises Undecodable.
    """
    count, position = _varint(value, HEADER)
    if count == 0:
        return (0,), position
    if not 0 < count <= len(value) - position:
        raise Undecodable("the value does not name the Protobuf message that it holds")
    indexes = []
    for _ in range(count):
        index, position = _varint(value, position)
        indexes.append(index)
    return tuple(indexes), position


def _varint(value: bytes, position: int) -> tuple[int, int]:
    """A zigzag number, and the position after it."""
    number = 0
    for shift in range(0, _VARINT_BITS, 7):
        if position == len(value):
            break
        byte = value[position]
        position += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:  # noqa: PLR2004 - the bit that says that more follows
            return (number >> 1) ^ -(number & 1), position
    raise Undecodable("the value does not name the Protobuf message that it holds")
