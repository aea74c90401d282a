"""What a fold gives back, and the event that it stops in front of."""

from dataclasses import dataclass, field

from projector.fold.delta import Deltas

TOMBSTONE = "(tombstone)"
"""Under this name records without value and type are counted as ignored."""


@dataclass(slots=True)
class Folded:
    """Result of folding a batch: one composed delta per key, and counts. One instance may take several partitions."""

    deltas: Deltas = field(default_factory=dict)
    events: int = 0
    """Events applied, whether or not a rule's `when` held."""
    ignored: dict[str, int] = field(default_factory=dict)
    """Event type that no rule names → how many were passed over."""
    last_timestamp_ms: int | None = None
    """Timestamp of the last record passed, in milliseconds since the epoch."""


class BadEvent(Exception):
    """An event that cannot be applied; everything before it is in the `Folded`. `message` names field and rule."""

    def __init__(self, offset: int, message: str) -> None:
        self.offset = offset
        self.message = message
        super().__init__(f"offset {offset}: {message}")
