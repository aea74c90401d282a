"""One long-running program of the sandbox: started detached, tracked, stopped."""

from __future__ import annotations

import hashlib
import json
import os
import pwd
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import ClassVar

from . import procfs
from .errors import SandboxError, failure
from .paths import Paths, write_atomic
from .procfs import Identity
from .shell import environment

#: Every process carries this variable with the state folder as its value, so that one
#: whose record was lost (a crash between start and record) is found again.
MARK = "PROJECTION_SANDBOX"

_MAX_LOG_BYTES = 32 << 20

# Keeping the objects lets `poll` reap those that this very program started.
_children: dict[int, subprocess.Popen[bytes]] = {}


@dataclass(frozen=True)
class Launch:
    """How a program is started; `config` holds what its files say."""

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    user: str | None = None
    config: tuple[str, ...] = ()

    def fingerprint(self) -> str:
        """Equal for launches that behave alike."""
        text = json.dumps([self.argv, dict(self.env), self.user, self.config])
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Record:
    """What is kept on disk about a started process."""

    pid: int
    start: int
    boot: str
    fingerprint: str

    @property
    def identity(self) -> Identity:
        """The process that was started."""
        return Identity(self.pid, self.start, self.boot)

    @classmethod
    def load(cls, path: Path) -> Record | None:
        """The record in a file; None if there is none that makes sense."""
        try:
            return cls(**json.loads(path.read_text()))
        except (OSError, ValueError, TypeError):
            return None


class Service:
    """What the sandbox knows about one program; each program derives from it."""

    name: ClassVar[str]
    #: The TCP ports that it listens on.
    ports: ClassVar[tuple[int, ...]] = ()
    #: Names of steps that must be done before its start.
    needs: ClassVar[tuple[str, ...]] = ()
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM
    stop_timeout: ClassVar[float] = 10.0
    start_timeout: ClassVar[float] = 60.0

    def __init__(self, paths: Paths) -> None:
        self.paths = paths

    def launch(self) -> Launch:
        """The command line; without side effects."""
        raise NotImplementedError

    def prepare(self) -> None:
        """Make its data and configuration; must be repeatable."""

    def ready(self) -> bool:
        """Whether it answers."""
        raise NotImplementedError

    def leftovers(self) -> list[int]:
        """Processes that outlive the main one for a moment after it was killed."""
        return []

    def discard(self) -> bool:
        """Throw away data that it does not start with; False if it has to stay."""
        return False


class Process:
    """Handle on a service's process, also for tests that hurt it on purpose."""

    def __init__(self, service: Service, paths: Paths) -> None:
        self.service = service
        self.name = service.name
        self._paths = paths
        self._record = paths.state / "run" / f"{service.name}.json"
        self._mark = f"{MARK}={paths.state}"

    @property
    def log(self) -> Path:
        """Where its output goes."""
        return self._paths.log(self.name)

    @property
    def record(self) -> Record | None:
        """The recorded process if it still runs."""
        record = Record.load(self._record)
        if record is None:
            return None
        if record.pid in _children:
            _children[record.pid].poll()
        return record if procfs.alive(record.identity) else None

    @property
    def running(self) -> bool:
        """Whether the process exists (it may be stopped by a signal)."""
        return self.record is not None

    @property
    def pid(self) -> int:
        """The process id; an error if it does not run."""
        record = self.record
        if record is None:
            raise SandboxError(f"{self.name} is not running")
        return record.pid

    @property
    def current(self) -> bool:
        """Whether it was started the way that this checkout would start it."""
        record = self.record
        wanted = self.service.launch().fingerprint()
        return record is not None and record.fingerprint == wanted

    def signal(self, number: int) -> None:
        """Send a signal, SIGSTOP and SIGCONT for example."""
        os.kill(self.pid, number)

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        self._end(signal.SIGKILL, 10.0)

    def stop(self) -> None:
        """Ask it to end and wait; SIGKILL if it takes too long."""
        if not self._end(self.service.stop_signal, self.service.stop_timeout):
            self._end(signal.SIGKILL, 10.0)
        self._record.unlink(missing_ok=True)

    def start(self) -> None:
        """Start it unless it runs; does not wait until it answers."""
        if self.running:
            return
        self._clear_leftovers()
        self._end_lost()
        self.service.prepare()
        self._check_ports()
        launch = self.service.launch()
        pid = _spawn(launch, self.log, {MARK: str(self._paths.state)})
        identity = procfs.identify(pid)
        if identity is None:
            raise failure(f"{self.name} ended at once", self.log)
        record = Record(**asdict(identity), fingerprint=launch.fingerprint())
        write_atomic(self._record, json.dumps(asdict(record)))

    def restart(self) -> None:
        """Stop and start; does not wait until it answers."""
        self.stop()
        self.start()

    def wait_ready(self, timeout: float = 30.0) -> None:
        """Wait until it answers; an error if it does not in time or has ended."""
        if not wait(lambda: not self.running or self.service.ready(), timeout):
            raise failure(f"{self.name} does not answer after {timeout:.0f} s", self.log)
        if not self.running:
            raise failure(f"{self.name} has ended", self.log)

    def _end(self, number: int, timeout: float) -> bool:
        record = self.record
        if record is None:
            return True
        try:
            os.kill(record.pid, number)
            # A process that a test stopped would not see the signal otherwise.
            os.kill(record.pid, signal.SIGCONT)
        except ProcessLookupError:
            return True
        return wait(lambda: not self.running, timeout, 0.02)

    def _clear_leftovers(self) -> None:
        if wait(lambda: not self.service.leftovers(), 5.0):
            return
        kill_and_wait(self.service.leftovers())

    def _end_lost(self) -> None:
        """End an instance whose record is gone, because somebody deleted the state for example."""
        program = self.service.launch().argv[0]
        for pid in procfs.marked(self._mark):
            # We start each in a session of its own; its children, containers' shims for one, are in others.
            if procfs.command(pid)[:1] == [program] and procfs.leads_session(pid):
                kill_and_wait([pid])

    def _check_ports(self) -> None:
        for port in self.service.ports:
            owner = procfs.port_owner(port)
            if owner is not None:
                words = " ".join(procfs.command(owner))[:100]
                raise SandboxError(f"{self.name} needs port {port}, but process {owner} has it: {words}")


def wait(done: Callable[[], bool], timeout: float, pause: float = 0.1) -> bool:
    """Poll until `done`, for at most `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not done():
        if time.monotonic() > deadline:
            return False
        time.sleep(pause)
    return True


def kill_and_wait(pids: Iterable[int]) -> None:
    """SIGKILL, and wait until they are gone."""
    killed = list(pids)
    for pid in killed:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    wait(lambda: all(procfs.identify(pid) is None for pid in killed), 10.0, 0.02)


def _spawn(launch: Launch, log: Path, mark: dict[str, str]) -> int:
    """Start detached: it survives this program and its terminal, and sees little of its environment."""
    if log.exists() and log.stat().st_size > _MAX_LOG_BYTES:
        log.replace(log.with_suffix(".log.1"))
    caller = environment()
    kept = {name: caller[name] for name in ("PATH", "HOME", "JAVA_HOME") if name in caller}
    with log.open("ab") as output:
        try:
            process = subprocess.Popen(
                launch.argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd="/",
                env=kept | {"LANG": "C.UTF-8"} | dict(launch.env) | mark,
                user=launch.user,
                group=None if launch.user is None else _group(launch.user),
                extra_groups=None if launch.user is None else [],
            )
        except OSError as error:
            raise SandboxError(f"can not start {launch.argv[0]}: {error}") from None
    _children[process.pid] = process
    return process.pid


def _group(user: str) -> int:
    return pwd.getpwnam(user).pw_gid
