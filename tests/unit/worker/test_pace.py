"""How much goes into one commit."""

from hypothesis import given
from hypothesis import strategies as st

from projector.worker.outage import FIRST, LONGEST, Outage
from projector.worker.pace import (
    FIRST_LIMIT,
    LARGEST_BYTES,
    LARGEST_LIMIT,
    LARGEST_ROWS,
    OLDEST_SECONDS,
    SMALLEST_LIMIT,
    Hand,
    Pace,
)
from tests.support.memory import FakeClock


def test_nothing_in_hand_is_never_due() -> None:
    assert not Pace().due(Hand(0, 0, 0, 0.0), more=False)


def test_near_the_end_what_is_there_is_due_at_once() -> None:
    assert Pace().due(Hand(1, 200, 1, 0.0), more=False)


def test_far_behind_only_a_full_or_an_old_batch_is_due() -> None:
    pace = Pace()
    assert not pace.due(Hand(FIRST_LIMIT - 1, 200, 1, 0.0), more=True)
    assert pace.due(Hand(FIRST_LIMIT, 200, 1, 0.0), more=True)
    assert pace.due(Hand(1, LARGEST_BYTES, 1, 0.0), more=True)
    assert pace.due(Hand(1, 200, LARGEST_ROWS, 0.0), more=True)
    assert pace.due(Hand(1, 200, 1, OLDEST_SECONDS), more=True)


def test_quick_full_commits_grow_the_batch_and_slow_ones_shrink_it() -> None:
    pace = Pace()
    pace.committed(FIRST_LIMIT, 0.01)
    assert pace.limit == 2 * FIRST_LIMIT
    pace.committed(10, 0.01)
    assert pace.limit == 2 * FIRST_LIMIT
    pace.committed(2 * FIRST_LIMIT, 4.0)
    assert pace.limit == FIRST_LIMIT // 2
    pace.failed()
    assert pace.limit == FIRST_LIMIT // 4


@given(st.lists(st.tuples(st.integers(0, 10**6), st.floats(0, 20), st.booleans())))
def test_the_batch_stays_within_its_bounds(lessons: list[tuple[int, float, bool]]) -> None:
    pace = Pace()
    for records, seconds, failed in lessons:
        if failed:
            pace.failed()
        else:
            pace.committed(records, seconds)
        assert SMALLEST_LIMIT <= pace.limit <= LARGEST_LIMIT
        assert pace.room(Hand(records, 0, 0, 0.0)) >= 1


def test_commits_of_steady_speed_settle_at_about_a_second() -> None:
    pace = Pace()
    for _ in range(40):
        pace.committed(pace.limit, pace.limit / 50_000)
    assert 0.5 <= pace.limit / 50_000 <= 1.0


def test_an_outage_is_looked_at_again_ever_more_seldom() -> None:
    outage = Outage("target", FakeClock())
    delays = [outage.again("down") for _ in range(12)]
    assert FIRST / 2 <= delays[0] <= FIRST
    assert all(LONGEST / 2 <= delay <= LONGEST for delay in delays[-3:])
    outage.over()
    assert outage.again("down") <= FIRST
