"""A log and a consumer group in memory, with the semantics that the ports promise, and faults on demand."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from projector.ports import (
    Fetched,
    Partition,
    Record,
    SourceChanged,
    SourceUnavailable,
    TopicMissing,
)
from tests.support.records import FakeRecord


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
