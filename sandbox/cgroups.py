"""The control group that all pods are in, so that they can be told from everything else."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from . import versions

_ROOT = Path("/sys/fs/cgroup")


def _roots() -> Iterator[Path]:
    """The hierarchies: one per controller in version 1, a single one in version 2."""
    if (_ROOT / "cgroup.controllers").exists():
        yield _ROOT
        return
    # Some names are links to a hierarchy of several controllers (cpu -> cpu,cpuacct).
    yield from sorted({folder.resolve() for folder in _ROOT.iterdir() if (folder / "cgroup.procs").exists()})


def make() -> None:
    """Make our group in every hierarchy, able to hold groups of pods."""
    for root in _roots():
        group = root / versions.CGROUP
        group.mkdir(exist_ok=True)
        if (root / "cgroup.controllers").exists():
            _delegate(root)
            _delegate(group)
        for name in ("cpuset.cpus", "cpuset.mems"):
            # Version 1 lets no process into a group that has no processors or memory.
            if (group / name).exists() and not (group / name).read_text().strip():
                (group / name).write_text((root / name).read_text())


def _delegate(group: Path) -> None:
    names = (group / "cgroup.controllers").read_text().split()
    with suppress(OSError):
        (group / "cgroup.subtree_control").write_text(" ".join(f"+{name}" for name in names))


def processes() -> list[int]:
    """Everything that runs in pods."""
    files = [file for root in _roots() for file in (root / versions.CGROUP).rglob("cgroup.procs")]
    found: set[int] = set()
    for file in files:
        with suppress(OSError):
            found.update(int(word) for word in file.read_text().split())
    return sorted(found)


def remove() -> None:
    """Remove our group with all below; the deepest first."""
    for root in _roots():
        for folder, _, _ in os.walk(root / versions.CGROUP, topdown=False):
            with suppress(OSError):
                Path(folder).rmdir()
