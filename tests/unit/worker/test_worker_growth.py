"""Partitions that a topic got after the build began, where the ordering lets them be adopted."""

import json

import pytest

from projector.ports import Partition
from tests.support.crew import Crew
from tests.support.memory import Topic
from tests.support.records import FakeRecord

LOOKS_WITHIN = 33
"""Turns of a third of a second in which a worker surely asked whether it may read."""


def added(crew: Crew, partition: int) -> None:
    value = json.dumps({"id": f"{partition}", "n": 1}).encode()
    crew.topic.append(partition, FakeRecord(value, (("ce_type", b"Added"),)))


def count(crew: Crew, partition: int) -> object:
    return crew.target.rows.get((f"{partition}",), {}).get("count", 0)


def grown(crew: Crew) -> Partition:
    """The topic gets a partition, with one record."""
    crew.topic.partitions.append([])
    crew.topic.starts.append(0)
    number = len(crew.topic.partitions) - 1
    added(crew, number)
    return crew.topic.partition(number)


@pytest.fixture
def crew() -> Crew:
    return Crew(Topic.of(2), grows=True)


def test_an_idle_worker_reads_an_added_partition_once_it_is_admitted(crew: Crew) -> None:
    place = grown(crew)
    crew.turns(LOOKS_WITHIN)
    assert count(crew, 2) == 0
    assert "(orders/2); they will be once the operator admits them" in str(crew.one.health.reason)
    crew.target.checkpoints[place] = 0
    crew.turns(LOOKS_WITHIN)
    assert (count(crew, 2), crew.one.health.reason) == (1, None)


def test_a_busy_worker_does_so_too(crew: Crew) -> None:
    place = grown(crew)
    crew.turns(2)
    crew.target.checkpoints[place] = 0
    for _ in range(LOOKS_WITHIN):
        added(crew, 0)
        crew.turns(1)
    assert crew.target.commits >= LOOKS_WITHIN
    assert (count(crew, 2), crew.one.health.reason) == (1, None)


def test_a_partition_that_was_admitted_first_is_read_at_once(crew: Crew) -> None:
    crew.turns(3)
    place = grown(crew)
    crew.target.checkpoints[place] = 0
    crew.turns(3)
    assert (count(crew, 2), crew.one.health.reason) == (1, None)


def test_a_partition_that_went_to_another_member_is_not_adopted() -> None:
    crew = Crew(Topic.of(2), workers=2, grows=True)
    crew.turns(3)
    places = [grown(crew) for _ in range(2)]
    crew.turns(3)
    crew.leave(1)
    crew.turns(3)
    crew.target.checkpoints |= dict.fromkeys(places, 0)
    crew.turns(LOOKS_WITHIN)
    assert [count(crew, number) for number in (2, 3)] == [1, 1]
    assert [hand.health.reason for hand in crew.hands] == [None, None]
    assert [len(hand.metrics.lanes) for hand in crew.hands] == [2, 2]


def test_a_target_that_is_away_when_it_is_asked_is_asked_again(crew: Crew) -> None:
    place = grown(crew)
    crew.turns(2)
    crew.target.checkpoints[place] = 0
    crew.one.store.unavailable = 2
    crew.turns(2 * LOOKS_WITHIN)
    assert (count(crew, 2), crew.one.health.reason) == (1, None)
