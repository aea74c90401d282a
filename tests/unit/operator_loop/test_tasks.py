"""Long work on databases: one at a time on each, waited for by nobody."""

import threading
import time

import pytest

from projection_operator.targets import tasks
from projection_operator.targets.tasks import Tasks
from projector.ports import StoreUnavailable
from projector.registry import WrongState
from tests.support import wait

SHADOWS, IN_USE, ELSEWHERE = ("db:5432/a", "shadows"), ("db:5432/a", "tables in use"), ("db:5432/b", "shadows")


class Work:
    """Counts its runs; each waits until it may end, and raises what it is told to."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error, self.runs = error, 0
        self.may_end = threading.Event()

    def __call__(self) -> None:
        self.runs += 1
        assert self.may_end.wait(10)
        if self.error is not None:
            raise self.error


def ended(work: Work, runs: int = 1) -> None:
    work.may_end.set()
    wait.true("it has run", lambda: work.runs == runs, 10, 0.01)
    wait.true("its thread has ended", lambda: not _threads(), 10, 0.01)
    work.may_end.clear()


def _threads() -> list[threading.Thread]:
    return [one for one in threading.enumerate() if one.name.startswith("indexes of build")]


def test_one_of_a_kind_at_a_time_on_a_database_and_any_on_others() -> None:
    """What others' transactions hold up on a table in use must not hold up a build."""
    pool, first, second, elsewhere, other = Tasks(), Work(), Work(), Work(), Work()
    began = time.monotonic()
    pool.begin(SHADOWS, 1, first)
    pool.begin(SHADOWS, 1, first)
    pool.begin(SHADOWS, 2, second)
    pool.begin(ELSEWHERE, 3, elsewhere)
    pool.begin(IN_USE, 4, other)
    assert time.monotonic() - began < 1
    assert (first.runs, second.runs, elsewhere.runs, other.runs) == (1, 0, 1, 1)
    assert all(thread.daemon for thread in _threads())
    elsewhere.may_end.set()
    other.may_end.set()
    ended(first)
    pool.begin(SHADOWS, 2, second)
    ended(second)


def test_a_failure_is_told_until_a_try_succeeds(monkeypatch: pytest.MonkeyPatch) -> None:
    pool, work = Tasks(), Work(StoreUnavailable("too many connections"))
    pool.begin(SHADOWS, 1, work)
    ended(work)
    # At once it is not tried again.
    with pytest.raises(StoreUnavailable, match="too many"):
        pool.begin(SHADOWS, 1, work)
    assert work.runs == 1
    # Another build's work is not held up by it, nor told of it.
    other = Work()
    pool.begin(SHADOWS, 2, other)
    ended(other)
    monkeypatch.setattr(tasks, "PAUSE", 0.0)
    work.error = None
    with pytest.raises(StoreUnavailable, match="too many"):
        pool.begin(SHADOWS, 1, work)
    ended(work, 2)
    pool.begin(SHADOWS, 1, work)
    ended(work, 3)


def test_work_for_a_build_that_was_given_up_is_no_failure() -> None:
    pool, work = Tasks(), Work(WrongState("build 1 was given up"))
    pool.begin(SHADOWS, 1, work)
    ended(work)
    pool.begin(SHADOWS, 1, work)
    ended(work, 2)


def test_a_fault_of_ours_is_told_too() -> None:
    pool, work = Tasks(), Work(KeyError("oops"))
    pool.begin(SHADOWS, 1, work)
    ended(work)
    with pytest.raises(KeyError):
        pool.begin(SHADOWS, 1, work)
