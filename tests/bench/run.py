"""Runs contenders in processes of their own, beside each other where there are two."""

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import IO

import msgspec

from sandbox import Sandbox
from tests.bench.data import PARTITIONS
from tests.bench.hand import Job
from tests.bench.usage import Servers
from tests.bench.worker import Took

LONGEST_S = 3_600


@dataclass(frozen=True)
class Result:
    """One run. CPU is in seconds, `peak_mib` of the largest process, `seconds` until the last was done."""

    events: int
    seconds: float
    cpu: float
    servers: Servers
    peak_mib: float
    rows: int

    @property
    def rate(self) -> float:
        """Events per second."""
        return self.events / self.seconds


def by_hand(sandbox: Sandbox, name: str, job: Job, ends: Sequence[int], processes: int = 1) -> Result:
    """Run a contender of `worker.CONTENDERS` over the whole log, its partitions shared out evenly."""
    shares = [range(first, PARTITIONS, processes) for first in range(processes)]
    jobs = [replace(job, partitions=list(s), amount=sum(ends[number] for number in s)) for s in shares]
    running = [_start(name, one) for one in jobs]
    before = Servers.now(sandbox)
    for process in running:
        _output(process.stdin).write("go\n")
        _output(process.stdin).flush()
    try:
        took = [_finish(process) for process in running]
    finally:
        for process in running:
            process.kill()
    return Result(
        events=sum(ends),
        seconds=max(one.seconds for one in took),
        cpu=sum(one.cpu for one in took),
        servers=Servers.now(sandbox).since(before),
        peak_mib=max(one.peak_mib for one in took),
        rows=sum(one.rows for one in took),
    )


def _start(name: str, job: Job) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.bench.worker", name, msgspec.json.encode(job).decode()]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    if _output(process.stdout).readline() != "ready\n":
        raise RuntimeError(f"the contender {name} did not start")
    return process


def _finish(process: subprocess.Popen[str]) -> Took:
    text, _ = process.communicate(timeout=LONGEST_S)
    if process.returncode:
        raise RuntimeError(f"a contender ended with code {process.returncode}")
    return msgspec.json.decode(text, type=Took)


def _output(pipe: IO[str] | None) -> IO[str]:
    if pipe is None:
        raise RuntimeError("the process has no pipe")
    return pipe
