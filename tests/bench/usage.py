"""CPU time and memory of processes, by /proc."""

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from sandbox import Sandbox
from sandbox.procfs import family

_TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int, reaped: bool = False) -> float:
    """CPU time that a process used so far; with `reaped` that of its ended children too."""
    text = (Path("/proc") / str(pid) / "stat").read_text()
    fields = text[text.rindex(")") + 2 :].split()
    return sum(int(field) for field in fields[11 : 15 if reaped else 13]) / _TICKS


def peak_mib(pid: int | str = "self") -> float:
    """The most memory that a process held at once."""
    status = (Path("/proc") / str(pid) / "status").read_text()
    found = re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)
    return int(found[1]) / 1024 if found else 0.0


def machine_busy() -> float:
    """CPU seconds that the whole machine worked since it started."""
    fields = (Path("/proc") / "stat").read_text().splitlines()[0].split()[1:]
    user, nice, system, _idle, _wait, irq, soft = map(int, fields[:7])
    return (user + nice + system + irq + soft) / _TICKS


@dataclass(frozen=True)
class Servers:
    """What PostgreSQL (with all its backends, also ended ones) and the broker used so far, in CPU seconds."""

    postgres: float
    kafka: float

    @classmethod
    def now(cls, sandbox: Sandbox) -> "Servers":
        """Read it."""
        return cls(_whole(sandbox.process("postgres").pid), cpu_seconds(sandbox.process("kafka").pid))

    def since(self, before: "Servers") -> "Servers":
        """What was used between the two."""
        return Servers(self.postgres - before.postgres, self.kafka - before.kafka)


def _whole(pid: int) -> float:
    return sum(_still_there(family(pid)))


def _still_there(pids: Iterable[int]) -> Iterable[float]:
    for pid in pids:
        try:
            yield cpu_seconds(pid, reaped=True)
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended meanwhile; its parent has its time
