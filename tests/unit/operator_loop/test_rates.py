"""How fast candidates replay."""

import pytest

from projection_operator.loop.rates import LEAST, WINDOW, Rates
from projector.registry import BuildState, BuildView
from tests.support.projections import second_build


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def rates(clock: Clock) -> Rates:
    return Rates(clock)


def replay(done: int, **changes: object) -> BuildView:
    """A candidate that has read so many events of partition 0."""
    return second_build(BuildState.REPLAYING, (done, 0), **changes)


def test_nothing_is_said_before_there_is_something_to_say(clock: Clock, rates: Rates) -> None:
    assert rates.look(None) == {}
    assert rates.look(replay(10)) == {}
    clock.now += LEAST / 2
    assert rates.look(replay(20)) == {}


def test_a_rate_is_events_by_seconds(clock: Clock, rates: Rates) -> None:
    rates.look(replay(10))
    clock.now += LEAST
    assert rates.look(replay(30)) == {8: 10.0}
    clock.now += LEAST
    assert rates.look(replay(30)) == {8: 5.0}


@pytest.mark.parametrize("state", [BuildState.CATCHING_UP, BuildState.LIVE, BuildState.WARM])
def test_only_a_replay_has_one(clock: Clock, rates: Rates, state: BuildState) -> None:
    for _ in range(3):
        assert rates.look(second_build(state)) == {}
        clock.now += LEAST


def test_the_time_in_which_pods_start_does_not_count(clock: Clock, rates: Rates) -> None:
    rates.look(replay(0))
    clock.now += 20
    rates.look(replay(0))
    clock.now += LEAST
    assert rates.look(replay(20)) == {8: 10.0}


def test_what_was_long_ago_does_not_count(clock: Clock, rates: Rates) -> None:
    rates.look(replay(1))
    for _ in range(10):
        clock.now += WINDOW / 5
        rates.look(replay(1))
    clock.now += WINDOW / 5
    found = rates.look(replay(61))
    assert found == {8: pytest.approx(60 / WINDOW)}


def test_seldom_looks_still_give_a_rate(clock: Clock, rates: Rates) -> None:
    rates.look(replay(10))
    clock.now += 4 * WINDOW
    assert rates.look(replay(70)) == {8: pytest.approx(60 / (4 * WINDOW))}


def test_a_build_that_nobody_asked_about_for_long_begins_anew(clock: Clock, rates: Rates) -> None:
    rates.look(replay(10))
    clock.now += 11 * WINDOW
    rates.look(replay(5, number=9, consumer_group="projections.11111111.shop.orders.b9"))
    assert rates.look(replay(90)) == {}


def test_two_builds_are_told_apart(clock: Clock, rates: Rates) -> None:
    other = "projections.11111111.shop.orders.b9"
    rates.look(replay(10))
    rates.look(replay(10, number=9, consumer_group=other))
    clock.now += LEAST
    assert rates.look(replay(12)) == {8: 1.0}
    assert rates.look(replay(50, number=9, consumer_group=other)) == {9: 20.0}


def test_builds_of_two_databases_that_have_one_number_are_told_apart(clock: Clock, rates: Rates) -> None:
    other = "projections.11111111.sales.invoices.b8"
    rates.look(replay(90))
    rates.look(replay(10, consumer_group=other))
    clock.now += LEAST
    assert rates.look(replay(92)) == {8: 1.0}
    assert rates.look(replay(50, consumer_group=other)) == {8: 20.0}
