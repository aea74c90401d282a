"""Events that cannot be applied: isolated, reported, stood in front of, passed over when someone says so."""

import json
import math
from typing import Any

import pytest

from projector.ports import Stuck
from tests.support.crew import Crew
from tests.support.memory import Topic
from tests.support.records import FakeRecord

BAD = b'{"id": "0"}'


def put(crew: Crew, partition: int, kind: str = "Added", value: Any = None) -> int:
    data = value if isinstance(value, bytes) else json.dumps({"id": str(partition), "n": 1, **(value or {})}).encode()
    return crew.topic.append(partition, FakeRecord(data, (("ce_type", kind.encode()),), at_ms=7_000))


def refused(crew: Crew, partition: int) -> int:
    return put(crew, partition, "Placed", {"id": f"{partition}-{len(crew.topic.partitions[partition])}", "name": "no"})


def count(crew: Crew, partition: int) -> object:
    return crew.target.rows[str(partition),]["count"]


@pytest.fixture
def crew() -> Crew:
    crew = Crew(Topic.of(2))
    crew.target.refuses = lambda row: row.get("name") == "no"
    return crew


def test_a_bad_event_stops_its_partition_behind_its_prefix(crew: Crew) -> None:
    put(crew, 0)
    bad = put(crew, 0, value=BAD)
    put(crew, 0)
    put(crew, 1)
    crew.turns(5)
    first, second = crew.topic.all()
    assert crew.target.checkpoints == {first: bad, second: 1}
    assert crew.target.stuck[first].offset == bad
    assert "event.n is missing" in crew.target.stuck[first].message
    assert count(crew, 0) == 1
    put(crew, 1)
    crew.turns(2)
    assert count(crew, 1) == 2


def test_a_stuck_partition_is_behind_and_its_age_grows(crew: Crew) -> None:
    put(crew, 0, value=BAD)
    crew.turns(5)
    lag = crew.one.metrics.lanes[0]
    assert lag.stuck
    assert lag.records != 0
    assert [lag.seconds(now) for now in (8.0, 100.0)] == [1.0, 93.0]


def test_a_discarded_event_is_passed_over_and_nothing_else(crew: Crew) -> None:
    put(crew, 0)
    bad = put(crew, 0, value=BAD)
    again = put(crew, 0, value=BAD)
    put(crew, 0)
    crew.turns(5)
    place = crew.topic.partition(0)
    crew.target.discarded[place, bad] = "a test"
    crew.turns(20)
    assert crew.target.checkpoints[place] == again
    assert crew.target.stuck[place].offset == again
    crew.target.discarded[place, again] = "a test"
    crew.turns(20)
    assert crew.target.checkpoints[place] == 4
    assert crew.target.stuck == {}
    assert count(crew, 0) == 2


def test_what_was_discarded_before_is_passed_over_at_once(crew: Crew) -> None:
    place = crew.topic.partition(0)
    crew.target.discarded[place, put(crew, 0, value=BAD)] = "by an earlier build"
    put(crew, 0)
    crew.turns(5)
    assert count(crew, 0) == 1
    assert crew.target.stuck == {}


def test_a_fault_that_another_worker_left_is_cleared_by_passing_it(crew: Crew) -> None:
    place = crew.topic.partition(0)
    crew.target.stuck[place] = Stuck(place, 0, "an older engine did not know the function")
    put(crew, 0)
    crew.turns(4)
    assert crew.target.stuck == {}


@pytest.mark.parametrize("size", [1, 2, 100, 1000])
def test_a_refused_row_is_found_in_logarithmic_time(crew: Crew, size: int) -> None:
    bad = size * 2 // 3
    for number in range(size):
        refused(crew, 0) if number == bad else put(crew, 0)
    place = crew.topic.partition(0)
    turns = 0
    while place not in crew.target.stuck:
        crew.turns(1)
        turns += 1
        assert turns <= 8 + 4 * math.log2(size)
    assert crew.target.stuck[place] == Stuck(place, bad, "column total: value out of range")
    assert crew.target.checkpoints[place] == bad


def test_what_was_sent_and_refused_is_not_shown_as_a_position(crew: Crew) -> None:
    refused(crew, 0)
    put(crew, 1)
    crew.turns(12)
    assert crew.one.source.mirrored == {crew.topic.partition(1): 1}


def test_two_refused_rows_on_two_partitions_are_both_found(crew: Crew) -> None:
    for number in range(50):
        for partition in (0, 1):
            refused(crew, partition) if number == 20 + partition else put(crew, partition)
    crew.turns(60)
    assert {place.number: stuck.offset for place, stuck in crew.target.stuck.items()} == {0: 20, 1: 21}
    for place, stuck in list(crew.target.stuck.items()):
        crew.target.discarded[place, stuck.offset] = "a test"
    crew.turns(60)
    assert crew.done()
    assert crew.target.stuck == {}


def test_other_partitions_go_on_after_the_isolation(crew: Crew) -> None:
    refused(crew, 0)
    put(crew, 1)
    crew.turns(12)
    assert count(crew, 1) == 1
    put(crew, 1)
    crew.turns(3)
    assert count(crew, 1) == 2


def test_a_refused_row_that_the_target_takes_after_all_is_written(crew: Crew) -> None:
    refused(crew, 0)
    put(crew, 0)
    crew.turns(10)
    assert crew.target.stuck
    crew.target.refuses = lambda _row: False
    crew.turns(120)  # 40 s
    assert crew.done()
    assert crew.target.stuck == {}


def test_a_position_outside_the_log_stops_the_partition_and_is_reported(crew: Crew) -> None:
    place = crew.topic.partition(0)
    for _ in range(5):
        put(crew, 0)
    put(crew, 1)
    crew.topic.starts[0] = 3
    crew.turns(6)
    assert crew.target.stuck == {place: Stuck(place, 0, "no offset 0")}
    assert count(crew, 1) == 1
    crew.topic.starts[0] = 0
    crew.turns(30)
    assert crew.done()
    assert crew.target.stuck == {}


def test_partitions_that_lost_what_comes_next_all_stop_and_no_one_hunts_for_them() -> None:
    crew = Crew(Topic.of(3))
    for partition in range(3):
        for _ in range(5):
            put(crew, partition)
    crew.topic.starts[:2] = [3, 3]
    crew.turns(8)
    assert set(crew.target.stuck) == {crew.topic.partition(number) for number in (0, 1)}
    assert [lane.stuck for lane in crew.one.metrics.lanes] == [True, True, False]
    assert count(crew, 2) == 5
    put(crew, 2)
    crew.turns(2)
    assert count(crew, 2) == 6
    crew.topic.starts[:2] = [0, 0]
    crew.turns(40)
    assert crew.done()
    assert crew.target.stuck == {}
