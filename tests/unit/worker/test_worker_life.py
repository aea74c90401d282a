"""What the loop does when all is well, and when the surroundings fail."""

import json
from threading import Event

import pytest

from projector.worker.loop import GivenUp
from tests.support.crew import Crew, Hand
from tests.support.memory import Topic
from tests.support.records import FakeRecord


def added(topic: Topic, partition: int, count: int, at_ms: int | None = 1_700_000_000_000) -> None:
    for _ in range(count):
        value = json.dumps({"id": f"{partition}", "n": 1}).encode()
        topic.append(partition, FakeRecord(value, (("ce_type", b"Added"),), at_ms=at_ms))


def count(crew: Crew, key: str = "0") -> object:
    return crew.target.rows.get((key,), {}).get("count", 0)


def reason(crew: Crew) -> str | None:
    return crew.one.health.reason


@pytest.fixture
def crew() -> Crew:
    return Crew(Topic.of(2))


def test_what_is_there_is_committed_in_the_turn_that_reads_it(crew: Crew) -> None:
    added(crew.topic, 0, 3)
    crew.turns(2)
    assert count(crew) == 3
    assert crew.target.commits == 1


def test_a_key_that_several_partitions_touch_gets_all_of_it(crew: Crew) -> None:
    for partition, times in ((0, 2), (1, 3)):
        value = json.dumps({"id": "shared", "n": 1}).encode()
        for _ in range(times):
            crew.topic.append(partition, FakeRecord(value, (("ce_type", b"Added"),)))
    crew.turns(2)
    assert (crew.target.commits, count(crew, "shared")) == (1, 5)


def test_far_behind_many_fetches_make_one_commit() -> None:
    crew = Crew(Topic.of(1), most=10, many=1)
    added(crew.topic, 0, 95)
    crew.turns(12)
    assert count(crew) == 95
    assert crew.target.commits == 1


def test_markers_alone_are_committed_at_most_once_a_second(crew: Crew) -> None:
    for _ in range(12):
        crew.topic.append(0, None)
        crew.turns(1)  # a third of a second
    assert 3 <= crew.target.commits <= 5
    crew.turns(4)
    assert crew.done()


def test_positions_are_mirrored_once_a_second_and_at_the_end(crew: Crew) -> None:
    place = crew.topic.partition(0)
    added(crew.topic, 0, 1)
    crew.turns(2)
    assert crew.one.source.mirrored == {place: 1}
    added(crew.topic, 0, 1)
    crew.turns(1)
    assert crew.one.source.mirrored == {place: 1}
    source = crew.one.source
    crew.leave(0)
    assert source.mirrored == {place: 2}


def test_a_target_that_is_away_is_said_and_gone_on_from(crew: Crew) -> None:
    crew.turns(2)
    assert reason(crew) is None
    crew.one.store.unavailable = 3
    added(crew.topic, 0, 2)
    crew.turns(1)
    assert reason(crew) == "target unavailable: connection refused"
    crew.turns(40)
    assert count(crew) == 2
    assert reason(crew) is None


def test_nothing_is_read_in_vain_while_the_target_is_away(crew: Crew) -> None:
    added(crew.topic, 0, 2)
    crew.turns(2)
    assert crew.one.source.ends()
    crew.one.store.unavailable = 1_000
    added(crew.topic, 0, 2)
    crew.turns(10)
    assert crew.one.source.ends() == {}


def test_a_commit_whose_answer_is_lost_is_not_done_twice(crew: Crew) -> None:
    added(crew.topic, 0, 2)
    crew.one.store.fault = "lost"
    crew.turns(6)
    assert count(crew) == 2
    assert crew.target.commits == 1


def test_a_source_that_is_away_is_said_and_gone_on_from(crew: Crew) -> None:
    crew.turns(2)
    crew.one.source.unavailable = 4
    added(crew.topic, 0, 2)
    crew.turns(1)
    assert reason(crew) == "source unavailable: no broker answers"
    crew.turns(8)
    assert count(crew) == 2
    assert reason(crew) is None


def test_a_missing_topic_is_waited_for(crew: Crew) -> None:
    crew.one.source.missing = True
    crew.turns(2)
    assert reason(crew) == "source unavailable: topic 'orders' does not exist"
    crew.one.source.missing = False
    added(crew.topic, 0, 1)
    crew.turns(4)
    assert count(crew) == 1


def test_what_is_in_hand_is_committed_before_a_source_is_waited_for() -> None:
    crew = Crew(Topic.of(1), most=5, many=1)
    added(crew.topic, 0, 10)
    crew.turns(2)
    assert crew.target.commits == 0
    crew.one.source.unavailable = 1
    crew.turns(1)
    assert count(crew) == 5 or count(crew) == 10
    assert crew.target.commits == 1


def test_a_revoked_partition_leaves_nothing_in_hand() -> None:
    crew = Crew(Topic.of(2), most=5, many=1)
    added(crew.topic, 1, 20)
    crew.turns(2)
    assert crew.target.commits == 0
    crew.group.leave(crew.one.source)  # declared dead: its partitions are free
    crew.one.source.unavailable = 0
    crew.turns(1)  # it learns so, and gets them anew
    crew.turns(20)
    assert count(crew, "1") == 20


def test_what_is_on_its_way_lands_before_a_partition_changes_hands() -> None:
    crew = Crew(Topic.of(2), many=1)
    added(crew.topic, 1, 4_000)
    turns = 0
    while not crew.one.worker._flights.flying:
        crew.turns(1)
        turns += 1
        assert turns < 20
    added(crew.topic, 0, 4_000)  # so that there is more to fold
    crew.hands.append(Hand(crew))
    crew.turn(0)  # it gives one up, and stops for a while
    for _ in range(20):
        crew.turn(1)
    crew.turns(30)
    assert (crew.done(), count(crew, "0"), count(crew, "1")) == (True, 4_000, 4_000)
    assert [len(hand.metrics.lanes) for hand in crew.hands] == [1, 1]
    assert all(b"projector_fenced_total 0.0" in hand.metrics.exposition() for hand in crew.hands)


def test_a_woken_worker_is_fenced_and_goes_on_where_the_other_is() -> None:
    crew = Crew(Topic.of(1), workers=2, most=5)
    added(crew.topic, 0, 20)
    crew.turn(0)
    crew.turn(0)
    assert count(crew) == 5
    crew.declare_dead(0, late=2)
    for _ in range(3):
        crew.turn(1)
    ahead = count(crew)
    assert ahead == 15
    crew.turn(0)  # its commit is refused
    assert count(crew) == ahead
    crew.turns(10)
    assert count(crew) == 20


def test_a_worker_of_a_build_that_was_given_up_ends() -> None:
    crew = Crew(Topic.of(1))
    added(crew.topic, 0, 1)
    crew.turns(2)
    crew.target.epoch += 1
    added(crew.topic, 0, 1)
    with pytest.raises(GivenUp, match="the build was given up"):
        crew.turns(6)
    assert count(crew) == 1


def test_an_idle_worker_learns_that_its_build_was_given_up() -> None:
    crew = Crew(Topic.of(1))
    crew.turns(2)
    crew.target.epoch += 1
    with pytest.raises(GivenUp, match="the build was given up"):
        crew.turns(40)


def test_an_idle_worker_says_that_the_target_is_away() -> None:
    crew = Crew(Topic.of(1))
    crew.turns(2)
    crew.one.store.unavailable = 1000
    crew.turns(40)
    assert reason(crew) == "target unavailable: connection refused"


def test_a_stop_commits_what_is_in_hand_and_leaves_the_group() -> None:
    crew = Crew(Topic.of(1), most=5, many=1)
    added(crew.topic, 0, 20)
    crew.turns(3)
    assert crew.target.commits == 0
    stop = Event()
    stop.set()
    crew.one.worker.finish()
    crew.one.worker.close()
    assert crew.target.commits == 1
    assert crew.group.members == []
    assert crew.group.owners == {}


def test_a_stop_while_the_target_is_away_rolls_back() -> None:
    crew = Crew(Topic.of(1), most=5, many=1)
    added(crew.topic, 0, 20)
    crew.turns(3)
    crew.one.store.unavailable = 1
    crew.one.worker.finish()
    assert crew.target.commits == 0
    assert crew.target.checkpoints == {crew.topic.partition(0): 0}


def test_an_idle_member_is_ready() -> None:
    crew = Crew(Topic.of(1), workers=2)
    crew.turns(4)
    assert [hand.health.reason for hand in crew.hands] == [None, None]


def test_an_added_partition_is_not_read_and_said(crew: Crew) -> None:
    crew.turns(2)
    crew.topic.partitions.append([])
    crew.topic.starts.append(0)
    added(crew.topic, 2, 3)
    crew.turns(4)
    assert crew.target.rows == {}
    assert "since the build began and are not read (orders/2); start a rebuild" in str(reason(crew))


def test_a_topic_created_anew_stops_the_build_and_is_said(crew: Crew) -> None:
    added(crew.topic, 0, 3)
    crew.turns(2)
    crew.topic.recreate()
    added(crew.topic, 0, 9)
    crew.turns(4)
    assert count(crew) == 3
    assert "topic orders was deleted and created again" in str(reason(crew))


def test_nothing_is_committed_of_a_topic_created_anew_before_the_group_says_so() -> None:
    crew = Crew(Topic.of(1), most=5, many=1)
    added(crew.topic, 0, 300)
    crew.turns(3)
    crew.topic.recreate()
    added(crew.topic, 0, 1_000)
    crew.one.source.late = 30
    crew.turns(25)
    assert (crew.target.rows, crew.target.commits) == ({}, 0)
    assert [stuck.message for stuck in crew.target.stuck.values()] == ["the topic was created again"]


def test_lag_is_zero_only_at_the_end_and_unknown_is_absent(crew: Crew) -> None:
    crew.turns(1)
    assert [lane.records for lane in crew.one.metrics.lanes] == [None, None]
    added(crew.topic, 0, 3, at_ms=1_000)
    crew.turns(3)
    assert [(lane.records, lane.seconds(5.0)) for lane in crew.one.metrics.lanes] == [(0, 0.0), (0, 0.0)]
    crew.one.store.unavailable = 1000
    added(crew.topic, 0, 2, at_ms=2_000)
    crew.turns(3)
    assert all(lane.seconds(5.0) != 0.0 for lane in crew.one.metrics.lanes)
