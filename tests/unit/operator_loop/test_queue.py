"""The keyed queue, on a clock that jumps to the next timer."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest

from projection_operator.loop.queue import LAST_RETRY, Queue, work


class JumpingLoop(asyncio.SelectorEventLoop):
    """Time passes only where everybody waits for it."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0

    def time(self) -> float:
        return self._now

    def _run_once(self) -> None:
        ready, scheduled = self._ready, self._scheduled  # type: ignore[attr-defined]
        if not ready and scheduled:
            self._now = max(self._now, scheduled[0].when())
        super()._run_once()  # type: ignore[misc]


def run(test: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        runner.run(test)


def now() -> float:
    return asyncio.get_running_loop().time()


async def working(
    queue: Queue[str], one_pass: Callable[[str], Awaitable[None]], seconds: float, workers: int = 1
) -> None:
    tasks = [asyncio.create_task(work(queue, one_pass)) for _ in range(workers)]
    await asyncio.sleep(seconds)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


class Passes:
    """What was passed, and when."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seen: list[tuple[str, float]] = []
        self.most = 0
        self._running: list[str] = []
        self._seconds = seconds

    async def __call__(self, key: str) -> None:
        assert key not in self._running, "two passes of one key"
        self._running.append(key)
        self.most = max(self.most, len(self._running))
        self.seen.append((key, now()))
        await asyncio.sleep(self._seconds)
        self._running.remove(key)


def test_wishes_for_one_key_make_one_pass_at_the_earliest_time() -> None:
    async def test() -> None:
        queue, passes = Queue[str](), Passes()
        for delay in (5.0, 1.0, 3.0):
            queue.add("a", delay)
        assert len(queue) == 1
        await working(queue, passes, 20)
        assert passes.seen == [("a", 1.0)]

    run(test())


def test_a_wish_during_the_pass_makes_another_one_after_it() -> None:
    async def test() -> None:
        queue, passes = Queue[str](), Passes(seconds=2.0)
        queue.add("a")
        asyncio.get_running_loop().call_later(1.0, queue.add, "a")
        await working(queue, passes, 20, workers=3)
        assert passes.seen == [("a", 0.0), ("a", 2.0)]

    run(test())


def test_keys_side_by_side_but_no_more_than_workers() -> None:
    async def test() -> None:
        queue, passes = Queue[str](), Passes(seconds=1.0)
        for key in "abcdef":
            queue.add(key)
        await working(queue, passes, 20, workers=2)
        assert passes.most == 2
        assert [at for _, at in passes.seen] == [0.0, 0.0, 1.0, 1.0, 2.0, 2.0]
        assert sorted(key for key, _ in passes.seen) == list("abcdef")

    run(test())


def test_a_later_key_does_not_hide_a_sooner_one() -> None:
    async def test() -> None:
        queue, passes = Queue[str](), Passes()
        queue.add("late", 10.0)
        asyncio.get_running_loop().call_later(2.0, queue.add, "soon", 1.0)
        await working(queue, passes, 20)
        assert passes.seen == [("soon", 3.0), ("late", 10.0)]

    run(test())


def test_backoff_doubles_to_a_limit_is_cut_short_by_an_event_and_ends_with_success() -> None:
    async def test() -> None:
        queue: Queue[str] = Queue()
        at: list[float] = []

        async def failing(key: str) -> None:
            at.append(now())
            queue.retry(key)

        queue.add("a")
        await working(queue, failing, 150)
        waits = [after - before for before, after in itertools.pairwise(at)]
        assert waits[:7] == [1.0, 2.0, 4.0, 8.0, 16.0, LAST_RETRY, LAST_RETRY]
        queue.add("a", 0.05)
        assert await queue.take() == "a"
        assert now() == pytest.approx(150.05)
        queue.succeeded("a")
        queue.done("a")
        queue.retry("a")
        await queue.take()
        assert now() == pytest.approx(151.05)

    run(test())


def test_one_failing_pass_ends_the_worker_only_by_its_own_exception() -> None:
    async def test() -> None:
        queue: Queue[str] = Queue()

        async def stop(_key: str) -> None:
            raise LookupError

        queue.add("a")
        with pytest.raises(LookupError):
            await work(queue, stop)
        queue.add("a")
        assert await queue.take() == "a", "the key was given back"

    run(test())


def test_a_thousand_keys_are_all_passed_within_their_time() -> None:
    async def test() -> None:
        queue, passes = Queue[str](), Passes()
        for number in range(1_000):
            queue.add(str(number), number % 30)
        await working(queue, passes, 31, workers=8)
        assert all(at == int(key) % 30 for key, at in passes.seen)
        assert len(passes.seen) == 1_000

    run(test())
