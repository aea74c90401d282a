"""How the demo speaks: what it does, the commands as a user would type them, what they say, and how long it took."""

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import Thread


class Failed(Exception):
    """A step did not come to its end; the text is for the person at the terminal."""


def say(text: str = "") -> None:
    """One line."""
    print(text, flush=True)


@contextmanager
def step(title: str) -> Iterator[None]:
    """A heading before, the seconds after."""
    say(f"\n== {title}")
    began = time.monotonic()
    yield
    say(f"   ({time.monotonic() - began:.1f} s)")


def until(what: str, done: Callable[[], bool], timeout: float, pause: float = 0.5) -> float:
    """Poll until `done`; the seconds it took. Raises Failed with `what` after `timeout` seconds."""
    began = time.monotonic()
    while not done():
        if time.monotonic() - began > timeout:
            raise Failed(f"not within {timeout:.0f} s: {what}")
        time.sleep(pause)
    return time.monotonic() - began


class Shell:
    """Runs commands with a PATH and variables that the user is told about."""

    def __init__(self, path: Sequence[str], variables: dict[str, str]) -> None:
        self._path = list(dict.fromkeys(path))
        self._variables = variables
        self._env = {**os.environ, **variables, "PATH": ":".join([*self._path, os.environ.get("PATH", "")])}

    def exports(self) -> Iterator[str]:
        """Lines that give another terminal the same commands."""
        yield f"export PATH={':'.join(self._path)}:$PATH"
        for name, value in self._variables.items():
            yield f"export {name}={value}"

    def run(self, command: str, stdin: str | None = None, shown: bool = True, may_fail: bool = False) -> str:
        """Run to the end and return what it printed. `may_fail`: another exit code than 0 is an answer, too."""
        if shown:
            say(f"$ {command}")
        try:
            done = subprocess.run(
                _words(command),
                env=self._env,
                input=stdin,
                capture_output=True,
                text=True,
                check=False,
            )
        except FileNotFoundError as error:
            raise Failed(f"{error.filename} is not installed") from None
        if done.returncode != 0 and not may_fail:
            raise Failed(f"{command.split(maxsplit=1)[0]} failed: {(done.stderr or done.stdout).strip()}")
        if shown:
            for line in done.stdout.splitlines():
                say(f"    {line}")
        return done.stdout

    @contextmanager
    def beside(self, command: str) -> Iterator[None]:
        """Run beside the block, printing its lines as they come; end it with the block."""
        with self.start(command) as process:
            reader = Thread(target=_echo, args=(process,), daemon=True)
            reader.start()
            try:
                yield
            finally:
                process.terminate()
                process.wait()
                reader.join()

    def start(self, command: str) -> subprocess.Popen[str]:
        """Start a program beside us."""
        say(f"$ {command} &")
        return subprocess.Popen(
            _words(command), env=self._env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )


def _words(command: str) -> list[str]:
    words = shlex.split(command)
    return [sys.executable, *words[1:]] if words[0] == "python" else words


def _echo(process: subprocess.Popen[str]) -> None:
    if process.stdout is None:
        return
    for line in process.stdout:
        say(f"    {line.rstrip()}")
