"""What a fold gives back, and the event that it stops at."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from projector.fold.delta import AnyDelta, Deltas, Forked, Key, Parked
from projector.fold.record import Record


@dataclass(slots=True)
class Folded:
    """Result of folding a batch of one partition: one composed delta per key, and counts."""

    deltas: Deltas = field(default_factory=dict)
    special: set[Key] = field(default_factory=set)
    """Keys whose delta is, or may be, `Parked` or `Forked`: those that are not for the store as they are."""
    events: int = 0
    """Events applied, whether or not a rule's `when` held."""
    ignored: dict[str, int] = field(default_factory=dict)
    """Event type that no rule names → how many were passed over."""
    last_timestamp_ms: int | None = None
    """Timestamp of the last record passed, in milliseconds since the epoch."""

    @classmethod
    def behind(cls, parked: Iterable[Key]) -> "Folded":
        """An empty one, where some keys are parked already: their events will wait behind those."""
        folded = cls()
        for key in parked:
            folded.put(key, Parked(None, []))
        return folded

    def put(self, key: Key, delta: AnyDelta) -> None:
        """Make `delta` the one of `key`."""
        self.deltas[key] = delta
        if isinstance(delta, Parked | Forked):
            self.special.add(key)


class BadEvent(Exception):
    """An event that cannot be applied; everything before it is in the `Folded`.

    `keys` are the row keys that it would have changed and cannot, with the reason of each; None where they can not be
    told. `message` names field and rule.
    """

    def __init__(self, record: Record, message: str, keys: Mapping[Key, str] | None) -> None:
        self.record = record
        self.offset = record.offset()
        self.message = message
        self.keys = keys
        super().__init__(f"offset {self.offset}: {message}")
