"""A queue of keys: coalescing, delayed, with backoff per key, and never two passes of one key at a time."""

import asyncio
import heapq
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)

FIRST_RETRY, LAST_RETRY = 1.0, 30.0
"""Seconds of the first and the longest backoff."""


class Queue(Generic[K]):
    """Keys with the time at which each is due; the earliest of several wishes for a key wins."""

    def __init__(self) -> None:
        self._due: dict[K, float] = {}
        self._heap: list[tuple[float, int, K]] = []
        self._count = 0
        self._running: set[K] = set()
        self._failures: dict[K, int] = {}
        self._changed = asyncio.Event()

    def __len__(self) -> int:
        """Keys waiting, due or not."""
        return len(self._due)

    def add(self, key: K, delay: float = 0.0) -> None:
        """Have `key` passed in `delay` seconds at the latest."""
        when = asyncio.get_running_loop().time() + delay
        if when < self._due.get(key, float("inf")):
            self._due[key] = when
            self._count += 1
            heapq.heappush(self._heap, (when, self._count, key))
            self._changed.set()

    def retry(self, key: K) -> None:
        """Have `key` passed again after a failure, each time twice as late."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        self.add(key, min(LAST_RETRY, FIRST_RETRY * 2.0**failures))

    def succeeded(self, key: K) -> None:
        """Forget the failures of `key`."""
        self._failures.pop(key, None)

    async def take(self) -> K:
        """Wait for a key that is due and not being passed; it is the caller's until `done`."""
        while True:
            self._changed.clear()
            key, wait = self._next()
            if key is not None:
                return key
            await self._sleep(wait)

    def done(self, key: K) -> None:
        """The pass of `key` has ended."""
        self._running.discard(key)
        if key in self._due:
            # What came in during the pass was skipped; bring it back.
            self._count += 1
            heapq.heappush(self._heap, (self._due[key], self._count, key))
            self._changed.set()

    def _next(self) -> tuple[K | None, float | None]:
        now = asyncio.get_running_loop().time()
        while self._heap:
            when, _, key = self._heap[0]
            if key in self._running or self._due.get(key) != when:
                heapq.heappop(self._heap)
                continue
            if when > now:
                return None, when - now
            heapq.heappop(self._heap)
            del self._due[key]
            self._running.add(key)
            return key, None
        return None, None

    async def _sleep(self, wait: float | None) -> None:
        try:
            async with asyncio.timeout(wait):
                await self._changed.wait()
        except TimeoutError:
            return


async def work(queue: Queue[K], one_pass: Callable[[K], Awaitable[None]]) -> None:
    """Take keys for ever; several of these run side by side. `one_pass` catches its own faults."""
    while True:
        key = await queue.take()
        try:
            await one_pass(key)
        finally:
            queue.done(key)
