"""An outage of the log or of the target: how long to wait before the next try, and how often to speak of it."""

import random
from collections.abc import Collection, Iterator
from contextlib import contextmanager

import structlog

from projector.ports import Partition, SourceUnavailable
from projector.worker.clock import Clock

FIRST, LONGEST = 0.1, 5.0
SPEAK_AGAIN = 30.0
"""Seconds between two log lines about the same outage."""

_log = structlog.get_logger(__name__)


class Outage:
    """Doubling delays with jitter, so that many workers do not come back at the same moment."""

    def __init__(self, of: str, clock: Clock) -> None:
        self._of = of
        self._clock = clock
        self._delay = FIRST
        self._since: float | None = None
        self._spoken: tuple[str, float] = ("", float("-inf"))

    def again(self, reason: str) -> float:
        """It is away, still or again: log it, seldom, and return the seconds to wait."""
        now = self._clock.now()
        if self._since is None:
            self._since = now
        if self._spoken[0] != reason or now - self._spoken[1] >= SPEAK_AGAIN:
            self._spoken = (reason, now)
            _log.warning(f"{self._of} unavailable, trying again", reason=reason, seconds=round(now - self._since, 1))
        delay, self._delay = self._delay, min(LONGEST, 2 * self._delay)
        return delay * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, protects nothing

    def over(self) -> None:
        """It answered."""
        if self._since is not None:
            _log.info(f"{self._of} is back", seconds=round(self._clock.now() - self._since, 1))
            self._since = None
            self._spoken = ("", float("-inf"))
            self._delay = FIRST


class SourceOutage(Outage):
    """Of the log, or of what its events cannot be read without: their schemas."""

    def __init__(self, clock: Clock) -> None:
        super().__init__("source", clock)
        self.fine = True
        """Whether it answered the last time."""
        self._unread: Partition | None = None

    def again(self, reason: str) -> float:
        """See Outage."""
        self.fine = False
        return super().again(reason)

    @contextmanager
    def reading(self, partition: Partition) -> Iterator[None]:
        """While events of this one are read."""
        try:
            yield
        except SourceUnavailable:
            self._unread = partition
            raise

    def revoked(self, partitions: Collection[Partition]) -> None:
        """These are another member's."""
        if self._unread in partitions:
            self._unread = None

    def passed(self, partitions: Collection[Partition]) -> None:
        """It answered, and events of these were read: what was not read before must be among them."""
        if self._unread is None or self._unread in partitions:
            self._unread, self.fine = None, True
            self.over()
