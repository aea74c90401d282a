"""The store in memory keeps the promises that a real one keeps, so that the loop's tests stand on them."""

from collections.abc import Mapping

import pytest

from projector.fold.delta import Key, Row
from projector.ports import Partition, Store
from projector.spec.definition import Definition
from tests.contract.store_contract import FIRST, MOST_PARKED, SECOND, StoreContract, StoreFactory
from tests.support import people
from tests.support.memory_store import MemoryStore, Target


class MemoryBuild:
    """`tests.contract.store_contract.Build` of a `Target`."""

    def __init__(self, definition: Definition) -> None:
        self._target = Target(definition, {FIRST: 0, SECOND: 0}, most_parked=MOST_PARKED, refuses=_overflows)

    def open(self) -> Store:
        return MemoryStore(self._target)

    def rows(self) -> dict[Key, Row]:
        return self._target.rows

    def give_up(self) -> None:
        self._target.epoch += 1

    def discard(self, partition: Partition, offset: int) -> None:
        self._target.discarded[partition, offset] = "it is broken"

    def stuck(self) -> Mapping[Partition, tuple[int, str]]:
        return {partition: (stuck.offset, stuck.message) for partition, stuck in self._target.stuck.items()}

    def parked(self) -> Mapping[tuple[Partition, Key], list[tuple[int, str]]]:
        found: dict[tuple[Partition, Key], list[tuple[int, str]]] = {}
        for park in self._target.parked:
            found.setdefault((park.partition, park.key), []).append((park.record.offset(), park.reason))
        return found

    def unpark(self, partition: Partition, key: Key) -> None:
        people.discard(self._target, (partition, key), people.parked(self._target)[partition, key])


def _overflows(row: Row) -> bool:
    total = row["total"]
    return isinstance(total, int) and total >= 2**63


class TestMemoryStore(StoreContract):
    @pytest.fixture
    def store_factory(self) -> StoreFactory:
        return MemoryBuild
