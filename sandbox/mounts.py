"""Mounts below the sandbox's folders."""

from __future__ import annotations

from pathlib import Path

from . import shell

_TABLE = Path("/proc/self/mountinfo")


def parse(table: str) -> list[str]:
    """The mount points of a mountinfo table, in the order in which they were made."""
    points = [line.split()[4] for line in table.splitlines() if line]
    # Blanks and the like are written as octal numbers.
    return [point.encode().decode("unicode_escape") for point in points]


def below(folders: list[Path], table: str | None = None) -> list[str]:
    """The mount points in these folders."""
    points = parse(_TABLE.read_text() if table is None else table)
    prefixes = tuple(f"{folder}/" for folder in folders)
    return [point for point in points if point.startswith(prefixes)]


def unmount(folders: list[Path]) -> None:
    """Unmount all of them, the last made first; those in use as soon as they are free."""
    for point in reversed(below(folders)):
        shell.succeeds(["umount", "--lazy", point])
