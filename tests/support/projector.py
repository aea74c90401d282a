"""The command `projector` as a user runs it: in a process of its own."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import yaml

from tests.support import wait

ROOT = Path(__file__).parents[2]
COMMAND = (sys.executable, "-c", "from projector.cli import main; main()")


def _environment(extra: Mapping[str, str]) -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith("PROJECTOR_")}
    return {**own, "PYTHONPATH": str(ROOT / "projector"), **extra}


def projector(*arguments: str, environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        [*COMMAND, *arguments],
        env=_environment(environment or {}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def example(path: Path, topic: str, change: Mapping[str, Any] | None = None) -> Path:
    """The example's Projection on another topic, as a file; `change` replaces fields of the spec."""
    document = yaml.safe_load((ROOT / "examples/shop/order-summaries.yaml").read_text(encoding="utf-8"))
    document["spec"]["source"]["kafka"]["topics"] = [topic]
    document["spec"] |= change or {}
    file = path / f"{topic}.yaml"
    file.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
    return file


class Running:
    """A `projector` that works in the background; its output goes to files."""

    def __init__(self, folder: Path, arguments: Sequence[str], **environment: str) -> None:
        self._files: list[IO[str]] = []
        self._out, self._err = folder / "out.log", folder / "err.log"
        self._process = subprocess.Popen(
            [*COMMAND, *arguments],
            env=_environment(environment),
            stdout=self._open(self._out),
            stderr=self._open(self._err),
            text=True,
        )

    def end(self) -> None:
        """Kill it, if it is still there."""
        if self._process.poll() is None:
            self.kill()

    def lines(self) -> list[dict[str, Any]]:
        """The log so far."""
        whole = self._out.read_text(encoding="utf-8").rpartition("\n")[0]
        return [json.loads(line) for line in whole.splitlines()]

    def errors(self) -> str:
        return self._err.read_text(encoding="utf-8")

    def says(self, event: str, reason: str = "") -> bool:
        """Whether a log line is of this event and, if given, has this in its reason."""
        return any(line["event"] == event and reason in str(line.get("reason", "")) for line in self.lines())

    def until(self, event: str, reason: str = "", timeout: float = 30) -> None:
        """Wait for a log line."""
        wait.true(
            f"{event} {reason}; said {self.lines()[-5:]} {self.errors()}", lambda: self.says(event, reason), timeout
        )

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def kill(self) -> None:
        self._process.kill()
        self._end()

    def stop(self, timeout: float = 10) -> int:
        """SIGTERM; the exit code."""
        self._process.terminate()
        self._process.wait(timeout)
        return self._end()

    def wait(self, timeout: float = 30) -> int:
        """Its own end; the exit code."""
        self._process.wait(timeout)
        return self._end()

    def _open(self, path: Path) -> IO[str]:
        self._files.append(path.open("a", encoding="utf-8"))
        return self._files[-1]

    def _end(self) -> int:
        code = self._process.wait(10)
        for file in self._files:
            file.close()
        return code


Start = Callable[..., Running]
"""Starts a `Running` with arguments and environment; the fixture of the same name ends it with the test."""
