"""Running other programs to their end."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from .errors import SandboxError, failure

#: Where Debian keeps administrators' programs; a user's PATH may lack them.
_ADMIN = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The caller's environment with a PATH that finds system programs."""
    result = dict(os.environ)
    result["PATH"] = f"{result['PATH']}:{_ADMIN}" if result.get("PATH") else _ADMIN
    result.update(extra or {})
    return result


def run(
    argv: Sequence[str | Path],
    *,
    log: Path | None = None,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    timeout: float | None = None,
    stdin: str | None = None,
) -> str:
    """Run a program, return what it printed; its errors and log go to `log`."""
    words = [str(word) for word in argv]
    try:
        done = subprocess.run(
            words,
            cwd=cwd,
            env=environment(env),
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            input="" if stdin is None else stdin,
            check=False,
        )
    except FileNotFoundError:
        raise SandboxError(f"{words[0]} is not installed") from None
    except subprocess.TimeoutExpired:
        raise failure(f"{words[0]} took more than {timeout} s", log) from None
    if log is not None:
        _append(log, words, done)
    if done.returncode != 0:
        raise _failed(words, done, log)
    return done.stdout


def succeeds(argv: Sequence[str | Path], timeout: float = 30.0) -> bool:
    """Whether a program can be run and ends with 0."""
    try:
        run(argv, timeout=timeout)
    except SandboxError:
        return False
    return True


def _append(log: Path, words: list[str], done: subprocess.CompletedProcess[str]) -> None:
    with log.open("a", encoding="utf-8") as file:
        file.write(f"$ {shlex.join(words)}\n{done.stdout}{done.stderr}")


def _failed(words: list[str], done: subprocess.CompletedProcess[str], log: Path | None) -> SandboxError:
    cause = f"{Path(words[0]).name} {words[1] if len(words) > 1 else ''}".strip()
    cause += f" failed with exit code {done.returncode}"
    if log is not None:
        return failure(cause, log)
    said = (done.stderr or done.stdout).strip().splitlines()
    return SandboxError(f"{cause}: {said[-1] if said else 'it said nothing'}")
