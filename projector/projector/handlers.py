"""What a Python handler is written with: `spec.handler: package.module:function` instead of `spec.rules`.

The function takes an `Event` and its `Meta`, and returns the changes that the event makes to rows:

    from collections.abc import Iterator

    from projector.handlers import Change, Delete, Event, Meta, Upsert

    def orders(event: Event, meta: Meta) -> Iterator[Change]:
        if event.type == "OrderPlaced":
            yield Upsert(key={"order_id": event["order_id"]}, set={"placed_at": meta.timestamp})
        elif event.type == "OrderCancelled":
            yield Delete(key={"order_id": event["order_id"]})

It must be pure: what it returns depends on its arguments alone, and it changes nothing. An event may be given to it
several times, by several processes. See docs/handlers.md.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal

__all__ = ["TOMBSTONE", "Change", "Delete", "Event", "Handler", "Meta", "Upsert"]

TOMBSTONE: Final = "(tombstone)"
"""Type of a record without a value."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event. `event["order_id"]` is `event.value["order_id"]`."""

    type: str | None
    """Event type; None where the record names none."""
    value: dict[str, Any] | None
    """The decoded value; None where the record has none: its type is TOMBSTONE."""
    version: int = 1
    """Schema version; 1 where the record names none, or the spec has no `eventVersion`."""

    def __getitem__(self, name: str) -> Any:
        """A field of the value. Raises KeyError where it is missing."""
        return (self.value or {})[name]

    def __contains__(self, name: object) -> bool:
        """Whether the value has a field."""
        return name in (self.value or {})


@dataclass(frozen=True, slots=True)
class Meta:
    """Where an event stands in the log.

    Key and headers are text; bytes that are not UTF-8 come as lone surrogates, which no column takes:
    `meta.key.encode(errors="surrogateescape")` gives the bytes.
    """

    topic: str
    partition: int
    offset: int
    timestamp: datetime | None = None
    """In UTC; None where the log has none."""
    key: str | None = None
    headers: Mapping[str, str | None] = field(default_factory=dict)
    """Of headers with the same name, the last one."""


@dataclass(frozen=True, slots=True)
class Upsert:
    """Changes columns of the row with `key`, which names all key columns.

    `set` takes any value of the column's type, None for NULL. `increment`, `min`, `max` and `append` (one more element
    of a jsonb column's list) serve columns that `spec.accumulate` gives the same word. Types: text is str; smallint,
    integer and bigint int; numeric int, float or Decimal; double precision float or int; timestamptz datetime with a
    time zone, or RFC 3339 text; date date or ISO text; uuid UUID or text; jsonb dict, list, str, int, float, bool.

    `on_missing` tells what happens where there is no such row: `Create` makes it of the columns' defaults first,
    `Ignore` does nothing, `Park` keeps the event aside until somebody decides, and the row's later events behind it.
    """

    key: Mapping[str, Any]
    set: Mapping[str, Any] = field(default_factory=dict)
    increment: Mapping[str, Any] = field(default_factory=dict)
    min: Mapping[str, Any] = field(default_factory=dict)
    max: Mapping[str, Any] = field(default_factory=dict)
    append: Mapping[str, Any] = field(default_factory=dict)
    on_missing: Literal["Create", "Ignore", "Park"] = "Create"


@dataclass(frozen=True, slots=True)
class Delete:
    """Deletes the row with `key`. Where there is none, `Ignore` does nothing and `Park` keeps the event aside."""

    key: Mapping[str, Any]
    on_missing: Literal["Ignore", "Park"] = "Ignore"


Change = Upsert | Delete

Handler = Callable[[Event, Meta], Iterable[Change]]
"""What `spec.handler` names. Changes to the same row are made in their order."""
