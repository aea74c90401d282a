"""The source in memory keeps the contract that real logs keep: what the worker's tests say holds for those too."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from projector.ports import Partition
from tests.contract.source_contract import PARTITIONS, Headers, SourceContract
from tests.support.memory import Group, MemorySource, Topic
from tests.support.records import FakeRecord


@dataclass
class MemoryBench:
    """A topic in memory. A transaction's marker is a hole, and so is each record of an aborted one."""

    topic: Topic = field(default_factory=lambda: Topic.of(PARTITIONS))

    def __post_init__(self) -> None:
        self.group = Group(self.topic)

    def partition(self, number: int) -> Partition:
        return self.topic.partition(number)

    def produce(
        self, partition: int, values: Sequence[bytes | None], key: bytes | None = b"k", headers: Headers | None = None
    ) -> None:
        for value in values:
            self.topic.append(partition, FakeRecord(value, tuple(headers or ()), key))

    def transaction(self, partition: int, values: Sequence[bytes], commit: bool) -> None:
        for value in values:
            self.topic.append(partition, FakeRecord(value) if commit else None)
        self.topic.append(partition, None)

    def truncate(self, partition: int, before: int) -> None:
        self.topic.starts[partition] = before

    def recreate(self) -> None:
        self.topic.recreate()

    def source(self) -> MemorySource:
        return MemorySource(self.group)

    def stranger(self) -> MemorySource:
        source = MemorySource(Group(Topic.of(1)))
        source.missing = True
        return source

    def close(self) -> None:
        """Nothing is held."""


class TestMemorySource(SourceContract):
    """The contract in memory."""

    @pytest.fixture
    def bench(self) -> MemoryBench:
        return MemoryBench()
