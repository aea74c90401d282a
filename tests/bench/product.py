"""Our worker: `projector work` on a build of the registry, as the operator deploys it, replaying a whole log."""

import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import psycopg
import yaml

from projector.fold.validate import validate
from projector.registry import Ending, Identity, PublicName
from projector.sources.kafka_admin import KafkaAdmin
from projector.spec.definition import Definition
from projector.spec.load import load_file
from projector.stores.postgres import PostgresRegistry
from sandbox import Sandbox
from tests.bench.data import Data, Wide
from tests.bench.run import Result
from tests.bench.usage import Servers, cpu_seconds, peak_mib
from tests.support.postgres import INSTALLATION, Database
from tests.support.projector import COMMAND, ROOT

_POLL_S = 0.01
_START_S = 60.0
STUCK_S = 60.0
_OFFSETS = "SELECT partition, next_offset FROM projections.checkpoint WHERE build = %s ORDER BY partition"
Sample = tuple[float, tuple[int, ...]]
"""A moment of the monotonic clock and the checkpoints of the partitions."""


class Broken(Exception):
    """The worker did not do its work; the text has the end of its log."""


def document(data: Data, topic: str) -> dict[str, Any]:
    """The Projection: the example's, or one of counters, on this topic."""
    text = (ROOT / "examples/shop/order-summaries.yaml").read_text(encoding="utf-8")
    found: dict[str, Any] = yaml.safe_load(text)
    found["spec"]["source"]["kafka"]["topics"] = [topic]
    if isinstance(data, Wide):
        names = [name for name, _ in data.columns[1:]]
        added = {name: f"event.{name}" for name in names[::2]}
        rule = {"events": list(data.types), "key": {"order_id": "event.order_id"}, "increment": added}
        found["spec"]["rules"] = [rule | ({"set": {n: f"event.{n}" for n in names[1::2]}} if names[1:] else {})]
        columns = [{"name": n, "type": "bigint"} | ({} if n in names[1::2] else {"default": "0"}) for n in names]
        found["spec"]["target"]["postgresql"]["columns"] = [{"name": "order_id", "type": "text"}, *columns]
        del found["spec"]["tests"]  # those of the example's columns
    return found


@dataclass
class Build:
    """A build of the registry in the benchmark's database."""

    database: Database
    worker: str
    topic: str
    number: int
    epoch: int
    table: str
    ends: Sequence[int]
    registry: PostgresRegistry
    leader: int

    @classmethod
    def begin(cls, database: Database, worker: str, servers: str, data: Data, topic: str) -> Self:
        """Claim a projection named like the topic and begin its first build, as the operator does."""
        definition = _definition(document(data, topic))
        registry = PostgresRegistry(database.uri(), INSTALLATION)
        leader = registry.take_leadership("bench")
        identity = Identity(INSTALLATION, "bench", topic)
        registry.claim(leader, identity, topic, PublicName("public", topic.replace("-", "_")))
        partitions = KafkaAdmin([servers]).describe([topic])
        token = f"t{time.monotonic_ns()}"
        number = registry.begin(leader, identity, "1", token, definition, partitions, worker)
        view = registry.observe(identity)
        build = next(b for b in (view.builds if view else ()) if b.number == number)
        ends = [ends.end for _, ends in sorted(partitions.items())]
        return cls(database, worker, topic, number, build.epoch, f"public.{build.table}", ends, registry, leader)

    def give_up(self) -> None:
        """Remove table and checkpoints."""
        self.registry.abandon(self.leader, self.number, Ending.ABORTED, "measured")
        self.registry.retire(self.leader, self.number)
        self.registry.close()


def _definition(found: Mapping[str, Any]) -> Definition:
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        yaml.safe_dump(found, file)
        file.flush()
        _, _, spec = load_file(Path(file.name))
    validate(spec)
    return Definition.of(spec)


class Worker:
    """One `projector work`."""

    def __init__(self, build: Build, servers: str, folder: Path) -> None:
        self.port = _free_port()
        uri = folder / "uri"
        uri.write_text(build.database.uri(build.worker), encoding="utf-8")
        self._log = folder / f"{self.port}.log"
        with self._log.open("w", encoding="utf-8") as output:
            self._process = subprocess.Popen(
                [*COMMAND, "work", "--build", str(build.number), "--epoch", str(build.epoch)],
                env=_environment(servers, uri, self.port),
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self.pid = self._process.pid

    def until_started(self) -> None:
        """Wait until it has its build and joins the group."""
        deadline = time.monotonic() + _START_S
        while "worker started" not in self.log():
            self.require_alive()
            if time.monotonic() > deadline:
                raise Broken(f"the worker does not start:\n{self.log()[-2000:]}")
            time.sleep(_POLL_S / 2)

    def log(self) -> str:
        """All it said."""
        return self._log.read_text(encoding="utf-8")

    def require_alive(self) -> None:
        """Raise Broken where it ended."""
        if self._process.poll() is not None:
            raise Broken(f"the worker ended with code {self._process.returncode}:\n{self.log()[-2000:]}")

    def counters(self) -> dict[str, float]:
        """Its metrics without labels."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=5) as answer:
            lines = answer.read().decode().splitlines()
        pairs = (line.rsplit(" ", 1) for line in lines if line and line[0] != "#" and "{" not in line)
        return {name: float(value) for name, value in pairs}

    def stop(self) -> None:
        """SIGTERM, or SIGKILL where that does not help."""
        self._process.terminate()
        try:
            self._process.wait(15)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(15)


@contextmanager
def workers(build: Build, servers: str, count: int) -> Iterator[list[Worker]]:
    """So many processes, started at the same time; they end with the block."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        running: list[Worker] = []
        try:
            running.extend(Worker(build, servers, Path(name)) for _ in range(count))
            yield running
        finally:
            for worker in running:
                worker.stop()


@dataclass(frozen=True)
class Replayed(Result):
    """A replay. `samples` tell how the checkpoints moved; `batches` how many transactions that took."""

    samples: Sequence[Sample] = field(default=(), repr=False)
    batches: int = 0

    @property
    def longest_gap(self) -> float:
        """Most seconds in which the checkpoint of a partition that was not at its end stood still."""
        longest = 0.0
        for number, end in enumerate(self.samples[-1][1]):
            since = self.samples[0][0]
            for (_, before), (now, after) in zip(self.samples, self.samples[1:], strict=False):
                if after[number] != before[number]:
                    longest, since = max(longest, now - since), now
                if after[number] == end:
                    break
        return longest

    @property
    def first_checkpoint(self) -> float:
        """Seconds until the first events were in the table."""
        return self._first[0] - self.samples[0][0]

    @property
    def steady_rate(self) -> float:
        """Events per second without the start: the group, the connections and the first, small batches."""
        moment, offsets = self._first
        return (self.events - sum(offsets)) / max(self.samples[-1][0] - moment, 1e-9)

    @property
    def _first(self) -> Sample:
        return next(sample for sample in self.samples if any(sample[1]))

    def rate_between(self, first: float, last: float) -> float:
        """Events per second between two shares (0 to 1) of the log."""
        start, end = (self._moment(share * self.events) for share in (first, last))
        return (last - first) * self.events / max(end - start, 1e-9)

    def _moment(self, events: float) -> float:
        before = self.samples[0]
        for sample in self.samples:
            if (done := sum(sample[1])) >= events:
                part = (events - sum(before[1])) / max(1, done - sum(before[1]))
                return before[0] + part * (sample[0] - before[0])
            before = sample
        return self.samples[-1][0]


def replay(sandbox: Sandbox, build: Build, processes: int) -> Replayed:
    """Run workers until all checkpoints are at the log's ends; time counts from when the first of them is up."""
    servers = sandbox.endpoints.kafka
    with workers(build, servers, processes) as running:
        running[0].until_started()
        began, used, before = time.monotonic(), [cpu_seconds(w.pid) for w in running], Servers.now(sandbox)
        samples = [(began, (0,) * len(build.ends)), *_followed(build, running)]
        spent = sum(cpu_seconds(w.pid) - u for w, u in zip(running, used, strict=True))
        return Replayed(
            events=sum(build.ends),
            seconds=samples[-1][0] - began,
            cpu=spent,
            servers=Servers.now(sandbox).since(before),
            peak_mib=max(peak_mib(w.pid) for w in running),
            rows=int(sum(w.counters().get("projector_rows_total", 0) for w in running)),
            samples=samples,
            batches=int(sum(w.counters().get("projector_batches_total", 0) for w in running)),
        )


def _followed(build: Build, running: Sequence[Worker]) -> Iterator[Sample]:
    """The checkpoints each time that they moved, until they are at the ends. Raises Broken."""
    last: tuple[int, ...] = ()
    moved = time.monotonic()
    with psycopg.connect(build.database.uri(), autocommit=True) as connection:
        while last != tuple(build.ends):
            time.sleep(_POLL_S)
            found = tuple(offset for _, offset in connection.execute(_OFFSETS, (build.number,)))
            now = time.monotonic()
            if found != last:
                last, moved = found, now
                yield now, found
                continue
            for worker in running:
                worker.require_alive()
            if now - moved > STUCK_S:
                raise Broken(f"nothing moved for {STUCK_S:.0f} s:\n{running[0].log()[-3000:]}")


def role_of(database: Database) -> str:
    """A worker's role with the least rights that work."""
    role = database.role("worker")
    database.run(f'GRANT CONNECT, TEMPORARY ON DATABASE "{database.name}" TO "{role}"')
    database.run(f'GRANT USAGE ON SCHEMA public TO "{role}"')
    return role


def _environment(servers: str, uri: Path, port: int) -> dict[str, str]:
    return {
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": str(ROOT / "projector"),
        "PROJECTOR_KAFKA_BOOTSTRAP_SERVERS": servers,
        "PROJECTOR_TARGET_URI_FILE": str(uri),
        "PROJECTOR_HTTP_PORT": str(port),
    }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
