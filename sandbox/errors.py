"""The one error that users of the sandbox see."""

from __future__ import annotations

from collections import deque
from pathlib import Path


class SandboxError(Exception):
    """An expected failure: one line with the cause, then where to read more."""


def last_lines(log: Path, count: int = 12) -> list[str]:
    """The last lines of a log; empty when there is none."""
    try:
        with log.open(encoding="utf-8", errors="replace") as lines:
            return [line.rstrip() for line in deque(lines, maxlen=count)]
    except OSError:
        return []


def failure(cause: str, log: Path | None = None) -> SandboxError:
    """An error that names its log file and shows how it ends."""
    if log is None:
        return SandboxError(cause)
    tail = "".join(f"\n    {line}" for line in last_lines(log))
    return SandboxError(f"{cause}; log: {log}{tail}")
