"""What the fold needs of a record, and how `meta` reads it."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Protocol

from projector.expr.errors import EvalError

NO_TIMESTAMP = 0
"""Kind of a timestamp that the log does not have."""

FIRST_MS, LAST_MS = -62_135_596_800_000, 253_402_300_799_999
"""The years 1 to 9999, which a datetime can say, in milliseconds since the epoch."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Record(Protocol):
    """One record of the log, in the shape of the Kafka client's own message, so that none is copied on the hot path."""

    def topic(self) -> str:
        """Name of the topic."""
        ...

    def partition(self) -> int:
        """Number of the partition."""
        ...

    def offset(self) -> int:
        """Offset within the partition."""
        ...

    def timestamp(self) -> tuple[int, int]:
        """(kind, milliseconds since the epoch)."""
        ...

    def key(self) -> bytes | None:
        """Record key, not decoded."""
        ...

    def value(self) -> bytes | None:
        """Record value, not decoded; None is a tombstone."""
        ...

    def headers(self) -> list[tuple[str, bytes | None]] | None:
        """Headers in the order of the producer; a name may repeat, the last one counts."""
        ...


def instant(record: Record) -> datetime | None:
    """The record's timestamp in UTC; None where there is none that a calendar can say."""
    kind, milliseconds = record.timestamp()
    if kind == NO_TIMESTAMP or not FIRST_MS <= milliseconds <= LAST_MS:
        return None
    return moment(milliseconds)


def moment(milliseconds: int) -> datetime:
    """Milliseconds since the epoch, between `FIRST_MS` and `LAST_MS`, as a time in UTC."""
    return _EPOCH + timedelta(milliseconds=milliseconds)


def key_text(record: Record) -> str | None:
    """The record's key as text. Raises EvalError where it is not UTF-8."""
    return _decoded(record.key(), "meta.key")


def header_of(headers: Iterable[tuple[str, bytes | None]] | None, wanted: str) -> bytes | None:
    """The last header of a name; None where there is none."""
    found = None
    for name, content in headers or ():
        if name == wanted:
            found = content
    return found


def header(record: Record, name: str, what: str) -> str | None:
    """A header as text. Raises EvalError where it is missing or not UTF-8."""
    found: bytes | str | None = ""
    for candidate, content in record.headers() or ():
        if candidate == name:
            found = content
    if isinstance(found, str):
        raise EvalError(f"{what} is missing")
    return _decoded(found, what)


def headers(record: Record) -> dict[str, str | None]:
    """All headers as text. Raises EvalError where one is not UTF-8."""
    return {name: _decoded(content, f"meta.headers.{name}") for name, content in record.headers() or ()}


def _decoded(content: bytes | None, what: str) -> str | None:
    if content is None:
        return None
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise EvalError(f"{what} is not UTF-8 text") from None
