"""Blocking clients of things outside, kept between calls: one per address, one call at a time on each.

A call that does not answer in time is left to end in its thread; until it has ended, its client takes no other, so that
a hanging server holds one thread and no more.
"""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

import structlog

CLOSE_TIMEOUT = 2.0
"""Seconds that closing at the end may take."""

log = structlog.get_logger(__name__)


class Closable(Protocol):
    """A client that can be closed."""

    def close(self) -> None:
        """Release connections."""
        ...


C = TypeVar("C", bound=Closable)
T = TypeVar("T")


@dataclass
class _Slot(Generic[C]):
    client: C | None = None
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    used_at: float = 0.0


class Pool(Generic[C]):
    """At most `limit` clients; one that was idle for `idle` seconds is closed."""

    def __init__(self, name: str, make: Callable[[str], C], limit: int = 64, idle: float = 300.0) -> None:
        self._make, self._limit, self._idle = make, limit, idle
        self._slots: dict[str, _Slot[C]] = {}
        self._executor = ThreadPoolExecutor(limit, thread_name_prefix=name)

    async def run(self, address: str, call: Callable[[C], T], within: float) -> T:
        """The answer of `call` on the client for `address`. `within` is in seconds.

        Raises TimeoutError, and whatever `call` raises.
        """
        await self._sweep()
        slot = self._slots.setdefault(address, _Slot())
        async with asyncio.timeout(within):
            await slot.lock.acquire()
            slot.used_at = time.monotonic()
            running = asyncio.get_running_loop().run_in_executor(self._executor, self._call, address, slot, call)
            running.add_done_callback(lambda done: _ended(slot, done))
            return await asyncio.shield(running)

    def _call(self, address: str, slot: _Slot[C], call: Callable[[C], T]) -> T:
        if slot.client is None:
            slot.client = self._make(address)
        return call(slot.client)

    async def _sweep(self) -> None:
        old = time.monotonic() - self._idle
        free = [address for address, slot in self._slots.items() if not slot.lock.locked()]
        expired = [address for address in free if self._slots[address].used_at < old]
        if len(self._slots) >= self._limit and free and not expired:
            expired = [min(free, key=lambda address: self._slots[address].used_at)]
        for address in expired:
            self._close(self._slots.pop(address))

    def _close(self, slot: _Slot[C]) -> None:
        if slot.client is not None:
            self._executor.submit(slot.client.close)

    async def close(self) -> None:
        """Close all clients; calls that still hang are left behind."""
        closing = [
            asyncio.wrap_future(self._executor.submit(slot.client.close))
            for slot in self._slots.values()
            if slot.client is not None and not slot.lock.locked()
        ]
        self._slots.clear()
        if closing:
            await asyncio.wait(closing, timeout=CLOSE_TIMEOUT)
        self._executor.shutdown(wait=False)


def _ended(slot: _Slot[C], done: "asyncio.Future[T]") -> None:
    slot.lock.release()
    if not done.cancelled() and done.exception() is not None:
        # Told to whoever still waits; looked at here so that nobody is warned of it at exit.
        log.debug("call_failed", error=type(done.exception()).__name__)
