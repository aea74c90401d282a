"""Events that cannot be read because their schemas cannot be had: an outage, whatever the log itself does."""

from typing import Any

import pytest
from structlog.testing import capture_logs

from projector.fold import compile as compiling
from projector.fold.decode import Decode
from projector.formats.errors import SchemaRegistryUnavailable
from projector.ports import Partition
from tests.support.crew import ORDERS, Crew, Hand
from tests.support.memory import Topic
from tests.support.records import FakeRecord


class Registry:
    """A format whose values are row keys; those that begin with ? need a registry that may be away."""

    def __init__(self) -> None:
        self.away = True
        self.asked = 0

    def decode(self, value: bytes) -> dict[str, Any]:
        if value.startswith(b"?"):
            self.asked += 1
            if self.away:
                raise SchemaRegistryUnavailable("the registry is away")
        return {"id": value.decode(), "n": 1}


@pytest.fixture
def registry() -> Registry:
    return Registry()


@pytest.fixture
def crew(registry: Registry) -> Crew:
    return made(registry.decode, workers=1)


def made(decode: Decode, workers: int) -> Crew:
    crew = Crew(Topic.of(2), workers=0, parks=True)
    crew.program = compiling.compile_definition(ORDERS, decode)
    crew.hands = [Hand(crew) for _ in range(workers)]
    return crew


def put(crew: Crew, partition: int, *values: bytes) -> None:
    for value in values:
        crew.topic.append(partition, FakeRecord(value, (("ce_type", b"Added"),)))


def said(logs: list[Any]) -> list[str]:
    return [line["event"] for line in logs if line["event"].startswith("source ")]


def test_it_is_one_outage_whose_tries_become_fewer(crew: Crew, registry: Registry) -> None:
    put(crew, 0, b"?a", b"b")
    with capture_logs() as logs:
        crew.turns(10)
        assert crew.one.health.reason == "source unavailable: the registry is away"
        assert crew.clock.now() - 1000.0 > 15, "it waits longer each time"
        assert registry.asked <= 10
        assert (crew.target.rows, crew.target.parked, crew.target.stuck) == ({}, [], {})
        registry.away = False
        crew.turns(4)
    assert said(logs) == ["source unavailable, trying again", "source is back"]
    assert crew.done()
    assert crew.target.rows.keys() == {("?a",), ("b",)}


def test_events_of_another_partition_do_not_end_it(crew: Crew, registry: Registry) -> None:
    put(crew, 1, b"?b")
    crew.turns(2)
    with capture_logs() as logs:
        for turn in range(8):
            put(crew, 0, *[b"a"] * 1000 * (turn % 2))  # as many as a fetch brings at most
            crew.turns(1)
            assert "the registry is away" in str(crew.one.health.reason)
        registry.away = False
        crew.turns(60)
    assert said(logs) == ["source is back"]
    assert crew.done()
    assert crew.target.rows["a",]["count"] == 4000


def test_it_ends_for_whom_the_partition_is_taken_from(registry: Registry) -> None:
    crew = made(registry.decode, workers=1)
    put(crew, 1, b"?b")
    crew.turns(3)
    assert "the registry is away" in str(crew.one.health.reason)
    crew.hands.append(Hand(crew))
    crew.turns(6)
    owners: dict[int, Partition] = {}
    for number, owner in crew.group.owners.items():
        owners[number] = crew.topic.partition(number)
        reason = next(hand.health.reason for hand in crew.hands if hand.source is owner)
        assert ("the registry is away" in str(reason)) == (number == 1)
    assert owners.keys() == {0, 1}
