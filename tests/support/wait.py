"""Polling with a deadline: tests wait for conditions, never for time."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class NotInTime(AssertionError):
    """What was expected did not happen; the text says what was seen last."""


def until(what: str, read: Callable[[], T], good: Callable[[T], bool], timeout: float, pause: float = 0.25) -> T:
    """Call `read` until `good` accepts its result, and return that; fail after `timeout` seconds with the last one."""
    deadline = time.monotonic() + timeout
    while not good(seen := read()):
        if time.monotonic() > deadline:
            raise NotInTime(f"not within {timeout:.0f} s: {what}; last seen: {seen!r}")
        time.sleep(pause)
    return seen


def true(what: str, holds: Callable[[], bool], timeout: float, pause: float = 0.25) -> None:
    """Call `holds` until it is so."""
    until(what, holds, bool, timeout, pause)
