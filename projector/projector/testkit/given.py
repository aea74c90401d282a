"""The events of a test as records of a log."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from projector.expr.errors import EvalError
from projector.spec.models import Case, GivenEvent, KafkaSource
from projector.spec.selectors import TOMBSTONE
from projector.spec.values import parse_timestamp

FIRST = datetime(2026, 1, 1, tzinfo=UTC)
"""Timestamp of a test's first event where it names none."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CREATED = 1
"""Kind of a timestamp that the producer gave."""


@dataclass(frozen=True, slots=True)
class GivenRecord:
    """A record made of a test's event; satisfies `projector.fold.record.Record`. `number` counts events from 1."""

    number: int
    event: GivenEvent
    of_topic: str
    at_offset: int
    at_ms: int
    content: bytes | None
    header_list: tuple[tuple[str, bytes], ...]

    def topic(self) -> str:
        """See Record."""
        return self.of_topic

    def partition(self) -> int:
        """See Record."""
        return self.event.partition

    def offset(self) -> int:
        """See Record."""
        return self.at_offset

    def timestamp(self) -> tuple[int, int]:
        """See Record."""
        return _CREATED, self.at_ms

    def key(self) -> bytes | None:
        """See Record."""
        return None if self.event.key is None else self.event.key.encode()

    def value(self) -> bytes | None:
        """See Record; JSON, whatever the source's format is."""
        return self.content

    def headers(self) -> list[tuple[str, bytes | None]]:
        """See Record."""
        return list(self.header_list)

    def __str__(self) -> str:
        """What reports call it."""
        return f"event {self.number} ({self.event.type})"


def records(case: Case, source: KafkaSource) -> list[GivenRecord]:
    """The events in their order. Offsets count from 0 in each partition; the value is JSON."""
    offsets = Counter[tuple[str, int]]()
    made = []
    for number, (event, at_ms) in enumerate(zip(case.given, _times(case), strict=True), start=1):
        topic = event.topic or source.topics[0]
        place = topic, event.partition
        made.append(_record(number, event, topic, offsets[place], at_ms, source))
        offsets[place] += 1
    return made


def decode(value: bytes) -> dict[str, Any]:
    """The decoder of given values for sources that are not JSON. Raises EvalError."""
    try:
        return msgspec.json.decode(value, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise EvalError(f"the value is no object: {error}") from None


def _times(case: Case) -> Iterator[int]:
    at = FIRST - timedelta(seconds=1)
    for event in case.given:
        at = at + timedelta(seconds=1) if event.timestamp is None else parse_timestamp(event.timestamp)
        yield (at - _EPOCH) // timedelta(milliseconds=1)


def _record(number: int, event: GivenEvent, topic: str, offset: int, at_ms: int, source: KafkaSource) -> GivenRecord:
    headers = dict(event.headers or {})
    value = event.value
    tombstone = event.type == TOMBSTONE
    told: list[tuple[str, str | int]] = [] if tombstone else [(source.type, event.type)]
    if source.event_version and event.version is not None:
        told.append((source.event_version, event.version))
    for place, content in told:
        kind, name = place.split(".", 1)
        if kind == "header":
            headers.setdefault(name, str(content))
        elif isinstance(value, dict):
            value = {name: content, **value}
    return GivenRecord(
        number,
        event,
        topic,
        offset,
        at_ms,
        None if tombstone else msgspec.json.encode(value),
        tuple((name, text.encode()) for name, text in headers.items()),
    )
