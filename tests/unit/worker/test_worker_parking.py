"""Events that cannot be applied are parked with their row key; everything else goes on."""

import json
import math
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.support import people
from tests.support.crew import Crew
from tests.support.memory import Topic
from tests.support.records import FakeRecord


def put(crew: Crew, key: str, kind: str = "Added", **value: Any) -> int:
    data = json.dumps({"id": key, "n": 1, **value}).encode()
    return crew.topic.append(0, FakeRecord(data, (("ce_type", kind.encode()),), b"tag", at_ms=7_000))


def raw(crew: Crew, value: bytes, kind: str) -> int:
    return crew.topic.append(0, FakeRecord(value, (("ce_type", kind.encode()),), b"tag"))


def parked(crew: Crew) -> dict[str, list[int]]:
    return {str(key[0]): offsets for (_, key), offsets in people.parked(crew.target).items()}


def reasons(crew: Crew) -> list[str]:
    return [park.reason for park in crew.target.parked]


def count(crew: Crew, key: str) -> Any:
    return crew.target.rows.get((key,), {}).get("count", 0)


@pytest.fixture
def crew() -> Crew:
    crew = Crew(Topic.of(1), parks=True)
    crew.target.refuses = lambda row: row.get("name") == "no"
    return crew


def test_a_bad_event_is_parked_and_what_is_behind_it_waits_in_order(crew: Crew) -> None:
    put(crew, "a")
    bad = put(crew, "a", n="x")
    put(crew, "b")
    behind = put(crew, "a")
    crew.turns(3)
    last = put(crew, "a")
    crew.turns(3)
    assert crew.done()
    assert parked(crew) == {"a": [bad, behind, last]}
    assert ["event.n is text" in reason for reason in reasons(crew)] == [True, False, False]
    assert reasons(crew)[1:] == ["", ""]
    assert (count(crew, "a"), count(crew, "b")) == (1, 1)
    assert crew.target.stuck == {}


def test_a_bad_event_is_said_once_and_counted(crew: Crew) -> None:
    bad = [put(crew, "a", n="x"), put(crew, "b", "Found")]
    put(crew, "a")
    crew.one.store.fault = "away"  # so that all is done again
    with capture_logs() as logs:
        crew.turns(6)
    said = [line for line in logs if line["event"] == "event parked"]
    said.sort(key=lambda line: line["offset"])
    assert [(line["partition"], line["offset"]) for line in said] == [("orders/0", offset) for offset in bad]
    assert "event.n is text" in said[0]["reason"]
    assert b'projector_events_total{result="parked"} 2.0' in crew.one.metrics.exposition()


def test_whoever_takes_over_knows_what_is_parked(crew: Crew) -> None:
    bad = put(crew, "a", n="x")
    crew.turns(3)
    crew.kill(0)
    behind = put(crew, "a")
    crew.turns(3)
    assert (parked(crew), count(crew, "a")) == ({"a": [bad, behind]}, 0)


def test_a_worker_goes_on_behind_keys_that_people_let_go(crew: Crew) -> None:
    bad = put(crew, "a", n="x")
    put(crew, "a")
    crew.turns(3)
    place = next(iter(people.parked(crew.target)))
    people.discard(crew.target, place, [bad])
    assert people.replay(crew.target, crew.program, place)
    assert (parked(crew), count(crew, "a")) == ({}, 1)
    put(crew, "a")
    crew.turns(6)  # one is fenced, the next knows better
    assert (parked(crew), count(crew, "a")) == ({}, 2)


def test_an_event_that_waits_for_two_keys_is_replayed_for_each_alone(crew: Crew) -> None:
    bad = put(crew, "a", n="x")
    moved = put(crew, "a", "Moved", to="b", n="x")  # which only `b` cannot take
    crew.turns(3)
    assert parked(crew) == {"a": [bad, moved], "b": [moved]}
    place = crew.topic.partition(0)
    people.discard(crew.target, (place, ("a",)), [bad])
    assert people.replay(crew.target, crew.program, (place, ("a",)))
    assert (parked(crew), count(crew, "a"), count(crew, "b")) == ({"b": [moved]}, 1, 0)


def test_an_event_whose_row_is_missing_is_parked_with_its_reason(crew: Crew) -> None:
    put(crew, "a")
    found = [put(crew, key, "Found") for key in "abb"]
    crew.turns(3)
    assert parked(crew) == {"b": found[1:]}
    assert reasons(crew) == ["the row does not exist (rule 4)", ""]
    assert count(crew, "a") == 2


def test_an_event_that_is_not_json_is_parked_where_the_record_tells_its_key(crew: Crew) -> None:
    bad = raw(crew, b"{", "Tagged")
    crew.turns(3)
    assert crew.done()
    assert parked(crew) == {"tag": [bad]}


def test_an_event_that_does_not_tell_its_key_stops_the_partition(crew: Crew) -> None:
    put(crew, "a")
    bad = raw(crew, b"{", "Added")
    crew.turns(3)
    place = crew.topic.partition(0)
    assert crew.target.checkpoints[place] == crew.target.stuck[place].offset == bad
    assert parked(crew) == {}


@pytest.mark.parametrize("size", [1, 2, 100, 1000])
def test_a_refused_row_is_parked_after_a_logarithm_of_commits(crew: Crew, size: int) -> None:
    bad = size * 2 // 3
    for number in range(size):
        put(crew, "b", "Placed", name="no") if number == bad else put(crew, "a")
    turns = 0
    while not crew.done():
        crew.turns(1)
        turns += 1
        assert turns <= 8 + 4 * math.log2(size)
    assert parked(crew) == {"b": [bad]}
    assert reasons(crew) == ["column total: value out of range"]
    assert count(crew, "a") == size - 1
    assert crew.target.stuck == {}


@pytest.mark.parametrize("kind", ["Added", "Found"])
def test_as_many_keys_are_parked_as_may_be_and_the_next_stops_the_partition(crew: Crew, kind: str) -> None:
    crew.target.most_parked = 2
    bad = [put(crew, key, kind, n="x") for key in "abc"]
    put(crew, "d")
    crew.turns(12)
    place = crew.topic.partition(0)
    assert parked(crew) == {"a": bad[:1], "b": bad[1:2]}
    assert crew.target.checkpoints[place] == crew.target.stuck[place].offset == bad[2]
    assert "would have 3 parked keys" in crew.target.stuck[place].message
    assert count(crew, "d") == 0


@pytest.mark.parametrize("kind", ["Added", "Found"])
def test_a_full_parking_place_does_not_keep_what_waits_already_from_it(crew: Crew, kind: str) -> None:
    crew.target.most_parked = 1
    bad = [put(crew, "a", kind, n="x") for _ in range(3)]
    crew.turns(12)
    assert crew.done()
    assert parked(crew) == {"a": bad}


@pytest.mark.parametrize("kind", ["Added", "Found"])
def test_a_full_parking_place_is_gone_on_from_once_there_is_room(crew: Crew, kind: str) -> None:
    crew.target.most_parked = 1
    bad = [put(crew, key, kind, n="x") for key in "ab"]
    put(crew, "c")
    crew.turns(12)
    assert crew.target.stuck
    commits = crew.target.commits
    crew.turns(60)  # 20 s: it tries in vain
    assert crew.target.commits == commits
    people.discard(crew.target, next(iter(people.parked(crew.target))), bad[:1])
    crew.turns(30)
    assert crew.done()
    assert parked(crew) == {"b": bad[1:]}
    assert count(crew, "c") == 1
    assert crew.target.stuck == {}


@pytest.mark.parametrize("kind", ["Added", "Found"])
def test_an_event_that_finds_no_room_can_be_discarded(crew: Crew, kind: str) -> None:
    crew.target.most_parked = 0
    bad = put(crew, "a", kind, n="x")
    put(crew, "b")
    crew.turns(12)
    crew.target.discarded[crew.topic.partition(0), bad] = "a test"
    crew.turns(30)
    assert crew.done()
    assert (parked(crew), count(crew, "b"), crew.target.stuck) == ({}, 1, {})


def test_other_partitions_go_on_while_one_waits_for_room() -> None:
    crew = Crew(Topic.of(2), parks=True)
    crew.target.most_parked = 0
    put(crew, "a", n="x")
    crew.turns(12)
    for number in range(40):
        crew.topic.append(1, FakeRecord(json.dumps({"id": "b", "n": 1}).encode(), (("ce_type", b"Added"),)))
        crew.turns(2)
        assert count(crew, "b") >= number - 3
    assert list(crew.target.stuck) == [crew.topic.partition(0)]
