"""A log, a consumer group and a target in memory, with the semantics that the ports promise, and faults on demand."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from projector.fold.columns import Columns
from projector.fold.delta import Key, Row, Writes
from projector.fold.table import Table
from projector.ports import (
    BadRow,
    Batch,
    Fenced,
    Fetched,
    Park,
    Partition,
    Place,
    Record,
    SourceChanged,
    SourceUnavailable,
    StoreUnavailable,
    Stuck,
    TooManyParked,
    TopicMissing,
)
from projector.spec.definition import Definition
from tests.support.records import FakeRecord


class Crash(BaseException):
    """The process is killed at this point."""


class FakeClock:
    """Turned by hand, and by whoever sleeps."""

    def __init__(self) -> None:
        self.time = 1000.0

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds


@dataclass
class Topic:
    """Partitions of records; None is a hole: a transaction marker, or a record of an aborted transaction."""

    name: str = "orders"
    incarnation: int = 1
    partitions: list[list[FakeRecord | None]] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)

    @classmethod
    def of(cls, partitions: int) -> "Topic":
        return cls(partitions=[[] for _ in range(partitions)], starts=[0] * partitions)

    def append(self, partition: int, record: FakeRecord | None) -> int:
        """Put a record at the partition's end; returns its offset."""
        log = self.partitions[partition]
        offset = len(log)
        placed = record and replace(record, at_offset=offset, of_partition=partition, of_topic=self.name)
        log.append(placed)
        return offset

    def recreate(self) -> None:
        """Delete the topic and create it again, empty."""
        self.incarnation += 1
        self.partitions = [[] for _ in self.partitions]
        self.starts = [0] * len(self.partitions)

    def all(self) -> list[Partition]:
        return [self.partition(number) for number in range(len(self.partitions))]

    def partition(self, number: int) -> Partition:
        return Partition(self.name, f"id-{self.incarnation}", number)


class Group:
    """Shares a topic's partitions out to members, in the cooperative way: a partition is free before it is given."""

    def __init__(self, topic: Topic) -> None:
        self.topic = topic
        self.members: list[MemorySource] = []
        self.owners: dict[int, MemorySource] = {}

    def join(self, member: "MemorySource") -> None:
        if member not in self.members:
            self.members.append(member)

    def leave(self, member: "MemorySource") -> None:
        """Also for a member that was declared dead: its partitions are free although it does not know yet."""
        if member in self.members:
            self.members.remove(member)
        self.owners = {number: owner for number, owner in self.owners.items() if owner is not member}

    def wanted(self, member: "MemorySource") -> set[int]:
        """What the member should own when all have given up what they should."""
        if member not in self.members:
            return set()
        place, count = self.members.index(member), len(self.members)
        return {number for number in range(len(self.topic.partitions)) if number % count == place}


class MemorySource:
    """`projector.ports.Source` over a `Group`. A member that was declared dead learns so after `late` more fetches."""

    def __init__(self, group: Group, most: int = 1000) -> None:
        self._group = group
        self._most = most
        self._owned: set[Partition] = set()
        self._next: dict[Partition, int] = {}
        self._ended: dict[Partition, int] = {}
        self._unverified: set[Partition] = set()
        self._told = False
        self.late = 0
        self.unavailable = 0
        self.missing = False
        self.mirrored: dict[Partition, int] = {}

    def start(
        self,
        assigned: Callable[[Sequence[Partition]], None],
        revoked: Callable[[Sequence[Partition]], None],
    ) -> None:
        self._assigned, self._revoked = assigned, revoked
        self._group.join(self)

    def fetch(self, max_records: int, timeout: float) -> Fetched:
        assert max_records >= 1
        assert timeout >= 0
        if self.unavailable > 0:
            self.unavailable -= 1
            raise SourceUnavailable("no broker answers")
        if self.missing:
            raise TopicMissing(self._group.topic.name)
        if self.late > 0:
            self.late -= 1
        else:
            self._rebalance()
        return self._read(min(max_records, self._most))

    def pause(self, partition: Partition) -> None:
        self._next.pop(partition, None)
        self._ended.pop(partition, None)
        self._unverified.discard(partition)

    def resume(self, partition: Partition, offset: int) -> None:
        if partition in self._owned:
            self.pause(partition)
            self._next[partition] = offset

    def verify(self) -> None:
        if self.unavailable > 0:
            self.unavailable -= 1
            raise SourceUnavailable("no broker answers")
        for partition in sorted(self._unverified):
            if partition != self._group.topic.partition(partition.number):
                raise SourceChanged("the topic was created again", partition)
        self._unverified.clear()

    def mirror(self, positions: Mapping[Partition, int]) -> None:
        self.mirrored |= positions

    def ends(self) -> Mapping[Partition, int]:
        return {p: len(self._group.topic.partitions[p.number]) for p in self._next}

    def close(self) -> None:
        self._revoked(sorted(self._owned))
        self._owned.clear()
        self._next.clear()
        self._group.leave(self)

    def _rebalance(self) -> None:
        group, topic = self._group, self._group.topic
        lost = [p for p in self._owned if group.owners.get(p.number) is not self or p != topic.partition(p.number)]
        wanted = group.wanted(self)
        given_up = [p for p in self._owned if p not in lost and p.number not in wanted]
        self._take_away([*lost, *given_up])
        for partition in given_up:
            del group.owners[partition.number]
        group.join(self)
        free = [number for number in sorted(group.wanted(self)) if group.owners.get(number) in {None, self}]
        new = [topic.partition(number) for number in free if topic.partition(number) not in self._owned]
        if new or not self._told:
            self._told = True
            group.owners |= {partition.number: self for partition in new}
            self._owned |= set(new)
            self._assigned(new)

    def _take_away(self, partitions: Iterable[Partition]) -> None:
        gone = sorted(partitions)
        if gone:
            self._revoked(gone)
        for partition in gone:
            self._owned.discard(partition)
            self.pause(partition)

    def _read(self, most: int) -> Fetched:
        records: dict[Partition, Sequence[Record]] = {}
        ends: dict[Partition, int] = {}
        for partition in sorted(self._next):
            found, end = self._read_one(partition, most)
            most -= len(found)
            if found:
                records[partition] = found
                self._unverified.add(partition)
            if end is not None:
                ends[partition] = end
        size = sum(len(r.value() or b"") for found in records.values() for r in found)
        return Fetched(records, ends, size)

    def _read_one(self, partition: Partition, most: int) -> tuple[list[FakeRecord], int | None]:
        topic, position = self._group.topic, self._next[partition]
        log, start = topic.partitions[partition.number], topic.starts[partition.number]
        if not start <= position <= len(log):
            raise SourceChanged(f"no offset {position}", partition)
        found: list[FakeRecord] = []
        while position < len(log) and len(found) < most:
            record = log[position]
            position += 1
            if record is not None:
                found.append(record)
        self._next[partition] = position
        if position == len(log) and self._ended.get(partition) != position:
            self._ended[partition] = position
            return found, position
        return found, None


@dataclass
class Target:
    """Rows and checkpoints of one build, as they survive all crashes. `refuses` says whether a row does not fit.

    `pending` is a transaction that the server has and did not get to yet; its worker may be dead.
    """

    definition: Definition
    checkpoints: dict[Partition, int]
    epoch: int = 1
    table: Table = field(init=False)
    parked: list[Park] = field(default_factory=list)
    generations: dict[Partition, int] = field(default_factory=dict)
    most_parked: int = 100
    stuck: dict[Partition, Stuck] = field(default_factory=dict)
    discarded: dict[tuple[Partition, int], str] = field(default_factory=dict)
    refuses: Callable[[Row], bool] = lambda _row: False
    pending: "Transaction | None" = None
    commits: int = 0
    ever_parked: list[Park] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.table = Table(Columns.of(self.definition))

    @property
    def rows(self) -> dict[Key, Row]:
        return self.table.rows

    def place(self, partition: Partition) -> Place:
        keys = frozenset(park.key for park in self.parked if park.partition == partition)
        return Place(self.checkpoints[partition], self.generations.get(partition, 0), keys)

    def flush(self) -> None:
        """The server gets to the transaction that it has."""
        if self.pending is not None:
            self.pending.run()

    def transact(self, batch: Batch, epoch: int) -> None:
        """All of a batch or nothing. Raises Fenced, BadRow, TooManyParked."""
        self.require(epoch, [move.partition for move in batch.moves])
        for move in batch.moves:
            assert move.next > move.previous
            place = self.place(move.partition)
            if (place.offset, place.generation) != (move.previous, move.generation):
                raise Fenced(f"{move.partition.number} is not at {move.previous}")
        if len({park.key for park in (*self.parked, *batch.parked)}) > self.most_parked:
            raise TooManyParked("too many parked keys")
        self.write(batch.deltas)
        self.parked += batch.parked
        self.ever_parked += batch.parked
        self.checkpoints |= {move.partition: move.next for move in batch.moves}
        self.commits += 1

    def write(self, deltas: Writes) -> None:
        """Rows alone. Raises BadRow."""
        if any(row is not None and self.refuses(row) for row in self.table.after(deltas).values()):
            raise BadRow("column total: value out of range")
        self.table.write(deltas)

    def require(self, epoch: int, partitions: Iterable[Partition]) -> None:
        if epoch != self.epoch or any(p not in self.checkpoints for p in partitions):
            raise Fenced("the build was given up")


@dataclass
class Transaction:
    """A batch at the server."""

    target: Target
    batch: Batch
    epoch: int
    failure: Exception | None = None
    done: bool = False

    def run(self) -> None:
        if self.done:
            return
        self.done, self.target.pending = True, None
        try:
            self.target.transact(self.batch, self.epoch)
        except (Fenced, BadRow, TooManyParked) as error:
            self.failure = error


class MemoryStore:
    """`projector.ports.Store` of one worker.

    `fault` is spent by the next batch: `killed` and `away` happen before the server has it, `killed-sent` when it has
    it, `lost` and `killed-after` when all of it is done.
    """

    def __init__(self, target: Target, epoch: int = 1) -> None:
        self._target = target
        self._epoch = epoch
        self._sent: Transaction | None = None
        self._lost = ""
        self.unavailable = 0
        self.fault: str | None = None

    def positions(self, partitions: Sequence[Partition]) -> Mapping[Partition, Place]:
        self._reach()
        self._target.require(self._epoch, partitions)
        return {partition: self._target.place(partition) for partition in partitions}

    def existing(self, keys: Collection[Key]) -> frozenset[Key]:
        self._reach()
        return frozenset(key for key in keys if key in self._target.rows)

    def submit(self, batch: Batch) -> None:
        assert batch.moves
        assert self._sent is None
        fault, self.fault = self.fault, None
        self._reach()
        if fault == "killed":
            raise Crash
        if fault == "away":
            raise StoreUnavailable("the connection was lost")
        self._target.flush()
        self._sent = self._target.pending = Transaction(self._target, batch, self._epoch)
        if fault == "killed-sent":
            raise Crash
        self._lost = fault or ""

    def ready(self) -> bool:
        return self._sent is None or self._sent.done

    def settle(self) -> None:
        sent, self._sent = self._sent, None
        assert sent is not None
        sent.run()
        lost, self._lost = self._lost, ""
        if lost == "killed-after":
            raise Crash
        if lost == "lost":
            raise StoreUnavailable("the connection was lost")
        if sent.failure is not None:
            raise sent.failure

    def discarded(self, partition: Partition, offset: int) -> bool:
        self._reach()
        return (partition, offset) in self._target.discarded

    def report_stuck(self, stuck: Stuck) -> None:
        self._reach()
        self._target.require(self._epoch, [stuck.partition])
        self._target.stuck[stuck.partition] = stuck

    def clear_stuck(self, partition: Partition) -> None:
        self._reach()
        self._target.require(self._epoch, [partition])
        self._target.stuck.pop(partition, None)

    def close(self) -> None:
        """Nothing is held."""

    def _reach(self) -> None:
        assert self._sent is None, "the connection has a batch on its way"
        if self.unavailable > 0:
            self.unavailable -= 1
            raise StoreUnavailable("connection refused")
