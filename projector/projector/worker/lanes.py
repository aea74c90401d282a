"""What the worker knows of each partition that the group gave it."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto

from projector.fold.algebra import merged
from projector.fold.columns import Columns
from projector.fold.delta import Key, Writes
from projector.fold.folded import Folded
from projector.fold.outcome import resolve, undecided
from projector.metrics import LaneLag
from projector.ports import Move, Park, Partition, Place, Record
from projector.worker.pace import Hand

NO_TIMESTAMP = 0
"""Kind of a timestamp that is none, as the records' client has it."""


class State(Enum):
    """How a lane goes on."""

    WAITING = auto()
    """Its checkpoint is to be read from the store."""
    READING = auto()
    STUCK = auto()
    """It stands in front of something that cannot be applied."""


class Cause(Enum):
    """Why a lane is stuck."""

    EVENT = auto()
    """The event cannot be folded: the same for ever, unless it is discarded."""
    ROW = auto()
    """The target refuses the row; that may be mended there."""
    SOURCE = auto()
    """The log is not the one that the checkpoint speaks of."""
    FULL = auto()
    """The event can be parked, but there is no room for one more key."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What a lane stands in front of."""

    cause: Cause
    offset: int
    message: str
    timestamp_ms: int | None
    """Of the event at `offset`; None where no event was seen."""


@dataclass(slots=True)
class Lane:
    """One partition.

    `checkpoint` is the store's, `sent` what a batch on its way makes of it, `next` comes after what is in `folded`.
    """

    partition: Partition
    state: State = State.WAITING
    checkpoint: int = 0
    sent: int = 0
    next: int = 0
    generation: int = 0
    parked: set[Key] = field(default_factory=set)
    """Row keys whose events wait, those on their way included."""
    folded: Folded = field(default_factory=Folded)
    first_offset: int = 0
    """Offset of the first record in hand."""
    records: int = 0
    size: int = 0
    oldest_ms: int | None = None
    """Timestamp of the oldest record in hand."""
    sent_oldest_ms: int | None = None
    """The same of what is on its way."""
    sent_last_ms: int | None = None
    last_ms: int | None = None
    """Timestamp of the last record committed since the lane was given."""
    at_end: bool = False
    fault: Fault | None = None
    reported: bool = True
    """Whether the registry may hold a fault of this lane; another worker may have left one."""
    look_at: float = 0.0
    """When to see whether the event was discarded, or the log mended."""
    try_at: float = 0.0
    """When to write a refused row again."""
    placed: int = 0
    """The checkpoint that the lane began to read from."""

    @property
    def moved(self) -> bool:
        """Whether there is something to send."""
        return self.next != self.sent

    @property
    def on_its_way(self) -> bool:
        """Whether something was sent whose outcome is not known."""
        return self.sent != self.checkpoint

    def place(self, place: Place) -> None:
        """Read from the store's checkpoint; nothing is in hand any more."""
        self.state, self.fault, self.reported = State.READING, None, True
        self.checkpoint = self.sent = self.next = self.placed = place.offset
        self.generation, self.parked = place.generation, set(place.parked)
        self.at_end = False
        self._empty_hand()

    def drop(self) -> None:
        """Forget what is in hand and wait for the checkpoint to be read."""
        self.place(Place(self.checkpoint))
        self.state = State.WAITING

    def take(self, records: Sequence[Record], size: int) -> None:
        """Count records that are about to be folded."""
        if self.records == 0:
            self.first_offset = records[0].offset()
            self.oldest_ms = timestamp_ms(records[0])
        self.records += len(records)
        self.size += size
        self.next = records[-1].offset() + 1
        self.at_end = False

    def end(self, offset: int) -> None:
        """The partition ends at `offset`."""
        self.next = max(self.next, offset)
        self.at_end = True

    def send(self) -> Move:
        """What is in hand is on its way."""
        move = Move(self.partition, self.sent, self.next, self.folded.last_timestamp_ms, self.generation)
        self.sent, self.sent_oldest_ms, self.sent_last_ms = self.next, self.oldest_ms, self.folded.last_timestamp_ms
        self._empty_hand()
        return move

    def settle(self, offset: int) -> None:
        """What was sent up to `offset` is committed. A lane that was dropped meanwhile reads that from the store."""
        if self.sent != offset:
            return
        self.checkpoint = offset
        if self.sent_last_ms is not None:
            self.last_ms = self.sent_last_ms
        self.sent_oldest_ms = self.sent_last_ms = None

    def stand(self, fault: Fault, records: int) -> None:
        """Go no further than `fault`; `records` of those in hand come before it."""
        self.state, self.fault, self.reported = State.STUCK, fault, False
        self.next, self.records = fault.offset, records
        self.at_end = False

    @property
    def passed(self) -> bool:
        """Whether the lane got past the place where it began, so that no fault stands there."""
        return self.state is State.READING and (self.checkpoint > self.placed or self.at_end)

    @property
    def unprocessed_ms(self) -> int | None:
        """Timestamp of the oldest record not processed; the last processed one's where none is in sight."""
        if self.sent_oldest_ms is not None or self.oldest_ms is not None:
            return self.oldest_ms if self.sent_oldest_ms is None else self.sent_oldest_ms
        return self.last_ms if self.fault is None else self.fault.timestamp_ms

    def lag(self, end: int | None) -> LaneLag:
        """What metrics show, where the partition is known to end at `end`."""
        caught_up = self.at_end and not self.moved and not self.on_its_way
        records = 0 if caught_up else None if end is None else max(0, end - self.checkpoint)
        return LaneLag(name(self.partition), records, caught_up, self.unprocessed_ms, self.fault is not None)

    def _empty_hand(self) -> None:
        self.folded = Folded.behind(self.parked)
        self.records = self.size = 0
        self.oldest_ms = None


class Lanes:
    """All lanes of this worker."""

    def __init__(self) -> None:
        self._lanes: dict[Partition, Lane] = {}
        self._since: float | None = None

    def __iter__(self) -> Iterator[Lane]:
        return iter(self._lanes.values())

    def __len__(self) -> int:
        return len(self._lanes)

    def get(self, partition: Partition) -> Lane | None:
        """The lane of a partition that is ours."""
        return self._lanes.get(partition)

    def add(self, partitions: Iterable[Partition]) -> None:
        """The group gave these."""
        for partition in partitions:
            self._lanes[partition] = Lane(partition)

    def remove(self, partitions: Iterable[Partition]) -> None:
        """The group took these; what is in hand of them is forgotten, never committed."""
        for partition in partitions:
            self._lanes.pop(partition, None)

    def drop(self, lanes: Iterable[Lane]) -> None:
        """Forget what is in hand of `lanes`; their checkpoints are to be read again."""
        for lane in lanes:
            lane.drop()
        if not any(lane.records for lane in self):
            self._since = None

    def taken(self, now: float) -> None:
        """Records came at `now`."""
        if self._since is None:
            self._since = now

    def hand(self, now: float) -> Hand:
        """What is in hand of all lanes."""
        records = sum(lane.records for lane in self)
        size = sum(lane.size for lane in self)
        rows = sum(len(lane.folded.deltas) for lane in self)
        return Hand(records, size, rows, 0.0 if self._since is None else now - self._since)

    @property
    def moved(self) -> list[Lane]:
        """Those that have something to send, in the order of their partitions."""
        return sorted((lane for lane in self if lane.moved), key=lambda lane: lane.partition)

    @property
    def undecided(self) -> list[Key]:
        """Keys in hand whose outcome depends on whether their row exists."""
        return [key for lane in self if lane.moved for key in undecided(lane.folded)]

    def decided(self, columns: Columns, existing: frozenset[Key]) -> tuple[Writes, list[Park]]:
        """All that is in hand, to be sent or dropped: it is composed in place, and must not be asked for again.

        A key that several partitions touch gets their deltas composed.
        """
        parked: list[Park] = []
        writes: Writes = {}
        for lane in self.moved:
            aside = resolve(lane.folded, existing)
            parked += [Park(lane.partition, key, event.record, event.reason) for key, event in aside]
            lane.parked.update(key for key, _ in aside)
            deltas: Writes = lane.folded.deltas  # type: ignore[assignment]  # resolved
            if writes:
                merged(columns, writes, deltas)
            else:
                writes = deltas
        return writes, parked

    def send(self) -> list[Move]:
        """All that is in hand is on its way."""
        self._since = None
        return [lane.send() for lane in self.moved]


def timestamp_ms(record: Record) -> int | None:
    """When the producer or the log says that the record came to be; None where neither does."""
    kind, milliseconds = record.timestamp()
    return milliseconds if kind != NO_TIMESTAMP else None


def name(partition: Partition) -> str:
    """How people are told of a partition."""
    return f"{partition.topic}/{partition.number}"


def names(partitions: Iterable[Partition]) -> list[str]:
    """The same of several."""
    return [name(partition) for partition in sorted(partitions)]
