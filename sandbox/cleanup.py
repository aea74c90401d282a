"""The end of the sandbox: processes, mounts, interfaces, rules, in that order."""

from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor

from . import procfs
from .paths import Paths
from .process import MARK, Process, wait
from .report import Report


def down(processes: list[Process], paths: Paths, report: Report) -> None:
    """Stop everything; works whatever is already dead or forgotten."""
    with report.step("processes", "stopping", "stopped"):
        _stop(processes)
        kill_marked(paths)


def _stop(processes: list[Process]) -> None:
    with ThreadPoolExecutor(max_workers=max(1, len(processes))) as pool:
        list(pool.map(Process.stop, processes))


def kill_marked(paths: Paths) -> None:
    """End processes that carry our mark but have no record."""
    mark = f"{MARK}={paths.state}"
    kill_all(list(procfs.marked(mark)))


def kill_all(pids: list[int]) -> None:
    """SIGKILL and wait until they are gone."""
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    wait(lambda: all(procfs.identify(pid) is None for pid in pids), 10.0, 0.02)
