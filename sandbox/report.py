"""Plain progress lines: what is being done and how long it took."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Report:
    """Prints `sandbox: ...` lines, whole ones even from several threads."""

    def __init__(self, write: Callable[[str], object] | None = None) -> None:
        self._write = write
        self._lock = threading.Lock()

    def line(self, text: str) -> None:
        """Print one line."""
        with self._lock:
            if self._write is not None:
                self._write(f"sandbox: {text}")
            else:
                print(f"sandbox: {text}", file=sys.stdout, flush=True)

    @contextmanager
    def step(self, name: str, doing: str, done: str = "ready") -> Iterator[None]:
        """Say what is done before, and how long it took after."""
        self.line(f"{name} … {doing}")
        started = time.monotonic()
        yield
        self.line(f"{name} … {done} ({time.monotonic() - started:.1f} s)")
