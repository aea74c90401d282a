"""A worker that is held back while its build replays."""

import json
from dataclasses import dataclass

import pytest

from projector.ports import StoreUnavailable
from projector.worker.pace import IDLE_FETCH
from projector.worker.replay import ASK_AGAIN, Limit
from tests.support.crew import Crew
from tests.support.memory import Topic
from tests.support.records import FakeRecord

RATE = 20
EVENTS = 2_000
NEVER = 10**9


@dataclass
class Registry:
    """What a limit asks."""

    replays: bool = True
    away: bool = False
    asked: int = 0

    def replaying(self) -> bool:
        self.asked += 1
        if self.away:
            raise StoreUnavailable("too many connections")
        return self.replays


def filled() -> Topic:
    topic = Topic.of(2)
    value = json.dumps({"id": "a", "n": 1}).encode()
    for number in range(EVENTS):
        topic.append(number % 2, FakeRecord(value, (("ce_type", b"Added"),)))
    return topic


def held_back(registry: Registry, many: int = 1, rate: float = RATE) -> Crew:
    """A worker far behind, by default."""
    return Crew(filled(), many=many, limit=Limit(rate, registry.replaying))


def count(crew: Crew) -> int:
    return sum(crew.target.checkpoints.values())


def run(crew: Crew, seconds: float) -> None:
    """Turns without anything between them."""
    until = crew.clock.now() + seconds
    while crew.clock.now() < until:
        before = crew.clock.now()
        crew.one.worker.turn()
        if crew.clock.now() == before:
            crew.clock.sleep(0.01)


@pytest.mark.parametrize("many", [1, NEVER])
def test_no_more_is_read_than_may_be(many: int) -> None:
    crew = held_back(Registry(), many)
    run(crew, 60)
    assert 0.8 * 60 * RATE <= count(crew) <= 1.02 * 60 * RATE


def test_checkpoints_move_though_little_comes() -> None:
    crew = held_back(Registry())
    seen = 0
    for _ in range(5):
        run(crew, 10)
        assert count(crew) > seen
        seen = count(crew)


@pytest.mark.parametrize("rate", [0.1, RATE, 4_000])
def test_no_turn_takes_longer_than_one_that_waits_for_records(rate: float) -> None:
    crew = held_back(Registry(), rate=rate)
    for _ in range(200):
        before = crew.clock.now()
        crew.one.worker.turn()
        assert crew.clock.now() - before <= IDLE_FETCH


def test_a_turn_waits_once_however_much_there_is() -> None:
    crew = Crew(Topic.of(1), limit=Limit(2_400, lambda: True), most=500)
    record = FakeRecord(json.dumps({"id": "a", "n": 1}).encode(), (("ce_type", b"Added"),))
    for _ in range(40_000):
        crew.topic.append(0, record)
    for _ in range(40):
        before = crew.clock.now()
        crew.one.worker.turn()
        assert crew.clock.now() - before <= 0.3


def test_a_commit_does_not_seem_to_take_as_long_as_the_wait() -> None:
    crew = held_back(Registry())
    run(crew, 30)
    assert crew.target.commits > 2
    assert b"projector_commit_seconds_sum 0.0" in crew.one.metrics.exposition()


def test_what_comes_when_nothing_was_to_read_for_long_is_read_at_once() -> None:
    crew = Crew(Topic.of(2), limit=Limit(RATE, lambda: True))
    crew.turns(10)
    for _ in range(RATE):
        crew.topic.append(0, FakeRecord(json.dumps({"id": "a", "n": 1}).encode(), (("ce_type", b"Added"),)))
    before = crew.clock.now()
    crew.one.worker.turn()
    assert (count(crew), crew.clock.now()) == (RATE, before)


def test_the_limit_goes_soon_after_the_replay_is_over() -> None:
    registry = Registry()
    crew = held_back(registry)
    run(crew, 20)
    registry.replays = False
    run(crew, ASK_AGAIN + 1)
    assert crew.done()
    asked = registry.asked
    run(crew, 60)
    assert registry.asked == asked


def test_the_registry_is_asked_now_and_then() -> None:
    registry = Registry()
    run(held_back(registry), 60)
    assert 60 / ASK_AGAIN - 2 <= registry.asked <= 60 / ASK_AGAIN


def test_while_it_is_not_known_whether_the_replay_is_over_the_limit_stays() -> None:
    registry = Registry(away=True)
    crew = held_back(registry)
    run(crew, 60)
    assert 0.8 * 60 * RATE <= count(crew) <= 1.02 * 60 * RATE
    assert crew.one.health.reason is None


def test_a_target_that_is_away_is_not_asked() -> None:
    registry = Registry()
    crew = held_back(registry)
    crew.one.store.unavailable = NEVER
    run(crew, 60)
    assert registry.asked == 0
    crew.one.store.unavailable = 0
    run(crew, 20)
    assert registry.asked > 0
    assert count(crew) > 0.7 * 15 * RATE
