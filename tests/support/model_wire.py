"""The way to a server that may be down, fail before it acts, or lose its answer after; and the gate on the way out."""

import asyncio
from collections.abc import Callable
from contextvars import ContextVar
from enum import StrEnum
from typing import Any, TypeVar

T = TypeVar("T")


class Fault(StrEnum):
    """What becomes of one write."""

    REFUSED = "not done"
    LOST = "done, and the answer lost"


class Wire:
    """Between a client and its server, which is `down` for so many passes. `writes` counts what was done."""

    def __init__(self, outage: Exception) -> None:
        self.down = 0
        self.fault: Fault | None = None
        self.writes = 0
        self._outage = outage

    def read(self) -> None:
        """Raise the outage while the server is down."""
        if self.down:
            raise self._outage

    def write(self, do: Callable[[], T]) -> T:
        """The answer of `do`, unless something is in its way."""
        self.read()
        fault, self.fault = self.fault, None
        if fault is Fault.REFUSED:
            raise self._outage
        answer = do()
        self.writes += 1
        if fault is Fault.LOST:
            raise self._outage
        return answer

    def heal(self) -> None:
        """All is well."""
        self.down, self.fault = 0, None


class Gate:
    """Stops a pass before one of its writes, between the question whether it leads and the act itself."""

    def __init__(self, free: int | None = None) -> None:
        self.body: dict[str, Any] = {}
        """The Projection as the pass has read it."""
        self._free = free
        self.halted, self._open = asyncio.Event(), asyncio.Event()

    async def through(self) -> None:
        """Go on, or wait for `open`."""
        if self._free == 0:
            self._free = None
            self.halted.set()
            await self._open.wait()
        elif self._free is not None:
            self._free -= 1

    def open(self) -> None:
        """Let the pass go on to its end."""
        self._open.set()


GATE: ContextVar[Gate] = ContextVar("GATE")
"""Of the pass that runs."""
