"""What /proc says about processes: identity, liveness, ownership of ports."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

PROC = Path("/proc")


@dataclass(frozen=True)
class Identity:
    """A process for certain: a pid alone is used again, its start time is not."""

    pid: int
    start: int
    boot: str


@lru_cache(maxsize=1)
def boot_id() -> str:
    """Start times count from the boot, so they are only comparable within one."""
    return (PROC / "sys/kernel/random/boot_id").read_text().strip()


def parse_stat(text: str) -> tuple[str, int]:
    """State letter and start time out of /proc/PID/stat."""
    # The name, in parentheses, may itself contain spaces and parentheses.
    fields = text[text.rindex(")") + 1 :].split()
    return fields[0], int(fields[19])


def identify(pid: int) -> Identity | None:
    """The process that has this pid now; None if none or if it is a zombie."""
    try:
        state, start = parse_stat((PROC / str(pid) / "stat").read_text())
    except (OSError, ValueError):
        return None
    return None if state in "ZX" else Identity(pid, start, boot_id())


def alive(identity: Identity) -> bool:
    """Whether this very process still runs."""
    return identify(identity.pid) == identity


def pids() -> Iterator[int]:
    """All processes of the machine but this one."""
    for entry in PROC.iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            yield int(entry.name)


def _read(pid: int, name: str) -> list[str]:
    try:
        raw = (PROC / str(pid) / name).read_bytes()
    except OSError:
        return []
    return raw.decode(errors="replace").split("\0")


def command(pid: int) -> list[str]:
    """The words of a process's command line."""
    return [word for word in _read(pid, "cmdline") if word]


def marked(mark: str) -> Iterator[int]:
    """The processes whose environment contains the line `mark`."""
    return (pid for pid in pids() if mark in _read(pid, "environ"))


def leads_session(pid: int) -> bool:
    """Whether the process is the first of its session."""
    try:
        return os.getsid(pid) == pid
    except ProcessLookupError:
        return False


def working_in(folder: Path) -> list[int]:
    """The processes whose working directory is `folder`."""
    found = []
    for pid in pids():
        try:
            if (PROC / str(pid) / "cwd").readlink() == folder:
                found.append(pid)
        except OSError:
            continue
    return [pid for pid in found if identify(pid) is not None]


def family(pid: int) -> list[int]:
    """A process and all that descend from it."""
    try:
        children = (PROC / str(pid) / "task" / str(pid) / "children").read_text().split()
    except OSError:
        return []
    return [pid, *(one for child in children for one in family(int(child)))]


def port_owner(port: int) -> int | None:
    """The pid of the process that listens on a TCP port."""
    inodes = {f"socket:[{inode}]" for inode in _listening(port)}
    for pid in pids() if inodes else ():
        try:
            links = [str(fd.readlink()) for fd in (PROC / str(pid) / "fd").iterdir()]
        except OSError:
            continue
        if inodes.intersection(links):
            return pid
    return None


def _listening(port: int) -> Iterator[str]:
    pattern = re.compile(rf"^\s*\d+: [0-9A-F]+:{port:04X} [0-9A-F]+:0000 0A ")
    for table in ("net/tcp", "net/tcp6"):
        try:
            lines = (PROC / table).read_text().splitlines()
        except OSError:
            continue
        yield from (line.split()[9] for line in lines if pattern.match(line))
