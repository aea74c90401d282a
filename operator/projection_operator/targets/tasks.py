"""Long work on databases, in threads that nothing waits for: at most one of a kind at a time on each database."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from projection_operator.targets.failures import TARGET_ERRORS
from projector.registry import WrongState

PAUSE = 4.0
"""Seconds from a try that failed to the next one."""

Place = tuple[str, str]
"""A database, and a kind of work on it."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Failed:
    at: float
    error: Exception


class Tasks:
    """Threads are daemons: at the end of the process the server sees its clients go, and breaks off what they asked."""

    def __init__(self) -> None:
        self._running: dict[Place, threading.Thread] = {}
        self._failed: dict[tuple[Place, int], _Failed] = {}

    def begin(self, place: Place, build: int, work: Callable[[], None]) -> None:
        """Do `work` unless something is of its kind under way there.

        Raises what the last try for `build` raised, until one succeeds.
        """
        failed = self._failed.get((place, build))
        running = self._running.get(place)
        if (running is None or not running.is_alive()) and (failed is None or time.monotonic() > failed.at + PAUSE):
            name = f"indexes of build {build}"
            thread = threading.Thread(target=self._run, args=(place, build, work), name=name, daemon=True)
            self._running[place] = thread
            thread.start()
        if failed is not None:
            raise failed.error

    def _run(self, place: Place, build: int, work: Callable[[], None]) -> None:
        try:
            work()
        except WrongState as error:
            # The build was given up meanwhile; whoever looks sees that.
            log.info("task_ended", build=build, why=str(error))
        except Exception as error:
            if not isinstance(error, TARGET_ERRORS):
                log.exception("task_failed", build=build)
            self._failed[place, build] = _Failed(time.monotonic(), error)
            return
        self._failed.pop((place, build), None)
