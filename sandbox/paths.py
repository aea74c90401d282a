"""Where the sandbox keeps what it built (cache) and what it runs on (state)."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

#: The checkout that this file belongs to.
SOURCE = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Paths:
    """The two folders; everything else is below them."""

    cache: Path
    state: Path

    @classmethod
    def default(cls) -> Paths:
        """From SANDBOX_CACHE and SANDBOX_STATE, or the usual places."""
        cache = os.environ.get("SANDBOX_CACHE", "/var/cache/projection-sandbox")
        state = os.environ.get("SANDBOX_STATE", "/var/lib/projection-sandbox")
        return cls(Path(cache).absolute(), Path(state).absolute())

    @property
    def lock(self) -> Path:
        """Beside the state, because `clean` removes the state."""
        return self.state.with_name(self.state.name + ".lock")

    @property
    def logs(self) -> Path:
        """One file per process and per build step."""
        return self.state / "logs"

    def log(self, name: str) -> Path:
        """The log file of a process or step."""
        self.logs.mkdir(parents=True, exist_ok=True)
        return self.logs / f"{name}.log"

    def make(self, *names: str) -> Path:
        """A folder below the state, made if need be."""
        folder = self.state.joinpath(*names)
        folder.mkdir(parents=True, exist_ok=True)
        return folder


def write_atomic(path: Path, text: str, mode: int = 0o644) -> None:
    """Write a file so that nobody, after a crash neither, sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        os.fchmod(file.fileno(), mode)
    Path(temporary).replace(path)


@contextmanager
def building(target: Path) -> Iterator[Path]:
    """A scratch folder that becomes `target` only when the block succeeds."""
    scratch = target.with_name(f"{target.name}.partial")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    yield scratch
    shutil.rmtree(target, ignore_errors=True)
    scratch.rename(target)
