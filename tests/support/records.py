"""Records without a log."""

import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class FakeRecord:
    """A record of a log that is not there; satisfies `projector.ports.Record`."""

    value_bytes: bytes | None
    header_list: tuple[tuple[str, bytes | None], ...] = ()
    key_bytes: bytes | None = None
    at_ms: int | None = 1_700_000_000_000
    at_offset: int = 0
    of_topic: str = "orders"
    of_partition: int = 0

    def topic(self) -> str:
        return self.of_topic

    def partition(self) -> int:
        return self.of_partition

    def offset(self) -> int:
        return self.at_offset

    def timestamp(self) -> tuple[int, int]:
        return (0, -1) if self.at_ms is None else (1, self.at_ms)

    def key(self) -> bytes | None:
        return self.key_bytes

    def value(self) -> bytes | None:
        return self.value_bytes

    def headers(self) -> list[tuple[str, bytes | None]] | None:
        return list(self.header_list) or None


def event(event_type: str, data: Any, offset: int = 0, at_ms: int | None = 1_700_000_000_000) -> FakeRecord:
    """A record whose type stands in header `ce_type` and whose value is `data` as JSON."""
    return raw(event_type, json.dumps(data).encode(), offset, at_ms)


def raw(event_type: str, value: bytes | None, offset: int = 0, at_ms: int | None = 1_700_000_000_000) -> FakeRecord:
    """A record whose type stands in header `ce_type` and whose value is given as bytes."""
    return FakeRecord(value, (("ce_type", event_type.encode()),), at_offset=offset, at_ms=at_ms)
