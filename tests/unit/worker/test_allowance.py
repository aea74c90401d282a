"""How many records may be read in a time, where there is a limit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from projector.worker.pace import IDLE_FETCH, SAVED_SECONDS, Allowance
from tests.support.memory import FakeClock

RATES = st.floats(2, 1e6)
TEN = 10.0
"""Seconds."""


def read(allowance: Allowance, clock: FakeClock, seconds: float, busy: float = 0.0, most: int = 500) -> int:
    """Records that are read in a time by one who always finds some, and does something else now and then."""
    records, until, turns = 0, clock.now() + seconds, 0
    while True:
        clock.sleep(allowance.wait())
        if clock.now() >= until:
            return records
        taken = min(most, allowance.room())
        allowance.took(taken)
        records, turns = records + taken, turns + 1
        if turns % 5 == 0:
            clock.sleep(busy)


@pytest.mark.parametrize("rate", [2, 2.5, 10, 333, 10_000, 400_000])
@pytest.mark.parametrize("busy", [0.0, 0.7])
def test_what_is_read_in_ten_seconds_is_within_a_tenth(rate: float, busy: float) -> None:
    clock = FakeClock()
    allowance = Allowance(rate, clock)
    for _ in range(3):
        # Above, too: what was saved up before.
        assert 0.9 * rate * TEN <= read(allowance, clock, TEN, busy, most=100_000) <= 1.1 * rate * TEN


@given(RATES, st.lists(st.tuples(st.floats(0, 30), st.integers(1, 500)), max_size=60))
def test_never_more_than_the_rate_and_what_was_saved(rate: float, turns: list[tuple[float, int]]) -> None:
    clock = FakeClock()
    allowance = Allowance(rate, clock)
    began, total = clock.now(), 0
    for elsewhere, most in turns:
        clock.sleep(elsewhere)
        idle_since, before = clock.now(), total
        clock.sleep(allowance.wait())
        taken = min(most, allowance.room())
        allowance.took(taken)
        total += taken
        assert total <= rate * (clock.now() - began) + 1
        assert total - before <= rate * (clock.now() - idle_since + SAVED_SECONDS) + 1


@given(st.floats(1e-3, 1e6), st.lists(st.integers(1, 1000), max_size=40))
def test_no_wait_is_longer_than_an_idle_fetch_and_something_is_asked_for(rate: float, taken: list[int]) -> None:
    clock = FakeClock()
    allowance = Allowance(rate, clock)
    for records in taken:
        assert 0 <= allowance.wait() <= IDLE_FETCH
        assert allowance.room() >= 1
        allowance.took(records)


def test_nothing_is_saved_before_the_first_second() -> None:
    clock = FakeClock()
    assert Allowance(100, clock).wait() > 0


def test_only_a_second_of_idleness_is_saved() -> None:
    clock = FakeClock()
    allowance = Allowance(100, clock)
    clock.sleep(3600)
    assert (allowance.wait(), allowance.room()) == (0, 100)


def test_what_is_read_at_once_is_worth_a_turn() -> None:
    clock = FakeClock()
    allowance = Allowance(1000, clock)
    assert 0.2 <= allowance.wait() <= 0.3


def test_below_the_least_rate_the_group_is_served_all_the_same() -> None:
    clock = FakeClock()
    assert read(Allowance(0.1, clock), clock, TEN) == pytest.approx(TEN / IDLE_FETCH, abs=1)
