"""Ports of the data plane: what a worker needs of a log (`Source`) and of a target (`Store`).

Nothing here names Kafka or PostgreSQL. Adapters live in `projector.sources` and `projector.stores`; each passes the
contract tests of its port. All calls are synchronous and belong to the worker's one thread.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from projector.fold.delta import Key, Writes
from projector.fold.record import Record

__all__ = [
    "BadRow",
    "Batch",
    "Ends",
    "Fenced",
    "Fetched",
    "Move",
    "Park",
    "Partition",
    "Place",
    "Record",
    "Source",
    "SourceAdmin",
    "SourceChanged",
    "SourceUnavailable",
    "Store",
    "StoreUnavailable",
    "Stuck",
    "TooManyParked",
    "TopicMissing",
]


@dataclass(frozen=True, slots=True, order=True)
class Partition:
    """One partition of one incarnation of a topic: a topic that was deleted and created again has another id."""

    topic: str
    topic_id: str
    number: int


@dataclass(frozen=True, slots=True)
class Ends:
    """Offsets of the first record that can still be read and of the next one to come (read_committed).

    `written` is the offset after all that is written, what open transactions wrote included; None: not known.
    """

    start: int
    end: int
    written: int | None = None


@dataclass(frozen=True, slots=True)
class Fetched:
    """What one `fetch` brought: records per partition in offset order, and the offset at which a partition ended.

    `ends[p]` is the position after the last record, past transaction markers and holes; it is present only when the
    partition's end was reached during this fetch. `size` is the number of bytes in all values.
    """

    records: Mapping[Partition, Sequence[Record]]
    ends: Mapping[Partition, int]
    size: int


class SourceUnavailable(Exception):
    """The log cannot be reached or does not answer; try again later."""


class SourceChanged(Exception):
    """The log is not the one that the checkpoint speaks of (another topic id, or it does not hold that offset).

    `partition` names the one concerned; None where the whole topic is another one.
    """

    def __init__(self, message: str, partition: Partition | None = None) -> None:
        self.partition = partition
        super().__init__(message)


class Source(Protocol):
    """A consumer of the log in a group; assignment is the log's business, positions are the store's."""

    def start(
        self,
        assigned: Callable[[Sequence[Partition]], None],
        revoked: Callable[[Sequence[Partition]], None],
    ) -> None:
        """Join the group. Both are called from within `fetch` or `close`, and `revoked` before partitions leave.

        Nothing is read of an assigned partition until `resume` says where from: positions are the store's, which may
        be away just then.
        """
        ...

    def fetch(self, max_records: int, timeout: float) -> Fetched:
        """Wait at most `timeout` seconds for the first record, then take what is there, at most `max_records`.

        Raises SourceUnavailable, TopicMissing or SourceChanged; the group and its partitions are kept.
        """
        ...

    def pause(self, partition: Partition) -> None:
        """Fetch no more of `partition` until `resume`."""
        ...

    def resume(self, partition: Partition, offset: int) -> None:
        """Read `partition` from `offset`, whether it was paused, being read, or never read before."""
        ...

    def verify(self) -> None:
        """Return if what was fetched so far is of the partitions that are owned; to be called before it is committed.

        Raises SourceChanged with one partition for which this is not so, SourceUnavailable or TopicMissing where it is
        not known. What was fetched of a partition before it was paused or resumed is not looked at any more.
        """
        ...

    def mirror(self, positions: Mapping[Partition, int]) -> None:
        """Show positions to people's tools; best effort, never the truth."""
        ...

    def ends(self) -> Mapping[Partition, int]:
        """Last known end (read_committed) of the partitions being read; no round trip, unknown ones are absent."""
        ...

    def close(self) -> None:
        """Leave the group at once, so that others take the partitions without waiting for a timeout."""
        ...


class SourceAdmin(Protocol):
    """Questions about the log that need no group."""

    def describe(self, topics: Iterable[str]) -> Mapping[Partition, Ends]:
        """Partitions and ends of the topics. Raises TopicMissing or SourceUnavailable."""
        ...

    def oldest_unread(self, positions: Mapping[Partition, int]) -> Mapping[Partition, int]:
        """Milliseconds since the epoch of the first record at or after each offset; absent where there is none."""
        ...

    def compacted(self, topics: Iterable[str]) -> frozenset[str]:
        """Those of the topics whose older records the broker drops by key. Raises TopicMissing or SourceUnavailable."""
        ...

    def delete_group(self, group: str) -> None:
        """Forget a consumer group; nothing where there is none. Raises SourceUnavailable, also while it has members."""
        ...

    def close(self) -> None:
        """Release connections."""
        ...


class TopicMissing(Exception):
    """The topic does not exist. `topic` names it."""

    def __init__(self, topic: str) -> None:
        self.topic = topic
        super().__init__(f"topic {topic!r} does not exist")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a partition stands: the next offset to read, and the row keys that are parked in it.

    `generation` counts how often others than the worker changed what is parked (people, by `projector parked`).
    """

    offset: int
    generation: int = 0
    parked: frozenset[Key] = frozenset()


@dataclass(frozen=True, slots=True)
class Move:
    """A checkpoint going from `previous` to `next` (offsets of the next record to read), at this `generation` only."""

    partition: Partition
    previous: int
    next: int
    event_time_ms: int | None
    generation: int = 0


@dataclass(frozen=True, slots=True)
class Park:
    """An event to keep aside with its row key. `reason` is empty where it waits behind another one of its key."""

    partition: Partition
    key: Key
    record: Record
    reason: str


@dataclass(frozen=True, slots=True)
class Batch:
    """What one transaction does: checkpoints move, rows change, events are parked."""

    moves: Sequence[Move]
    deltas: Writes
    parked: Sequence[Park] = ()


@dataclass(frozen=True, slots=True)
class Stuck:
    """An event that cannot be applied: the partition stands still in front of it."""

    partition: Partition
    offset: int
    message: str


class StoreUnavailable(Exception):
    """The target cannot be reached, or asked to try again (deadlock, serialization, timeout); back off and retry."""


class Fenced(Exception):
    """The checkpoint or what is parked is not as this worker left it, or its epoch was raised: drop all caches."""


class BadRow(Exception):
    """A row does not fit the table (overflow, encoding, constraint); the transaction was rolled back."""


class TooManyParked(Exception):
    """The build would have more parked keys than it may; the transaction was rolled back. The text is for people."""


class Store(Protocol):
    """Rows and checkpoints of one build. At most one batch is on its way at a time."""

    def positions(self, partitions: Sequence[Partition]) -> Mapping[Partition, Place]:
        """Checkpoints of the partitions; raises Fenced where the build was given up or a row is missing."""
        ...

    def existing(self, keys: Collection[Key]) -> frozenset[Key]:
        """Those of the keys that have a row."""
        ...

    def prepare(self, deltas: Writes) -> None:
        """Do what can be done for a batch of these very deltas, while the one before may still be on its way."""
        ...

    def submit(self, batch: Batch) -> None:
        """Send a transaction whose first statement is the compare-and-set of the checkpoints.

        Returns as soon as the target has all of it; `settle` tells the outcome. What `submit` raises is what `settle`
        would have raised.
        """
        ...

    def ready(self) -> bool:
        """Whether the outcome of what was submitted is known, so that `settle` would not wait."""
        ...

    def settle(self) -> None:
        """Wait for the outcome. Raises Fenced, StoreUnavailable, BadRow or TooManyParked: then nothing happened.

        After StoreUnavailable the outcome is unknown, and `positions` tells.
        """
        ...

    def discarded(self, partition: Partition, offset: int) -> bool:
        """Whether someone decided that this event is to be passed over where it cannot be applied."""
        ...

    def report_stuck(self, stuck: Stuck) -> None:
        """Record why the partition stands still, for status and people; safe to repeat."""
        ...

    def clear_stuck(self, partition: Partition) -> None:
        """The partition goes on; safe to repeat."""
        ...

    def close(self) -> None:
        """Release connections."""
        ...
