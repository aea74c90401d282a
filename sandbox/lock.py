"""One `up`, `down` or image build at a time on the machine."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager

from .paths import Paths
from .report import Report


@contextmanager
def exclusive(paths: Paths, report: Report) -> Iterator[None]:
    """Hold the machine's sandbox; the kernel releases it if this program dies."""
    paths.lock.parent.mkdir(parents=True, exist_ok=True)
    with paths.lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            report.line("another sandbox command is under way … waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
