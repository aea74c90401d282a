"""What the probes ask, kept by the loop and read by the server's thread."""

import time

TURNS_WITHIN = 30.0
"""Seconds in which a healthy loop turns: a turn waits for no more than one commit and one outage's delay."""


class Health:
    """Single attributes, each written by the loop alone; a reader sees the old or the new one."""

    def __init__(self) -> None:
        self._turned_at = time.monotonic()
        self._reason: str | None = "starting"

    def turned(self) -> None:
        """The loop turns."""
        self._turned_at = time.monotonic()

    def waiting(self, reason: str) -> None:
        """Not ready, and why; the text is shown to people."""
        self._reason = reason

    def ready(self) -> None:
        """Reading, or idle in the group, and the target answers."""
        self._reason = None

    @property
    def alive(self) -> bool:
        """Whether the loop turned lately."""
        return time.monotonic() - self._turned_at < TURNS_WITHIN

    @property
    def reason(self) -> str | None:
        """Why the worker is not ready; None when it is."""
        return self._reason
