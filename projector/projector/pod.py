"""The life of `projector work`: one worker of one build, as the operator deploys it."""

import gc
import math
import os
import signal
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

import structlog
from pydantic import ValidationError

from projector.fold.compile import compile_definition
from projector.formats import open_format
from projector.formats.errors import MissingExtra
from projector.formats.registry import SchemaRegistry
from projector.http import ProbeServer
from projector.metrics import Metrics
from projector.ports import SourceUnavailable, StoreUnavailable, TopicMissing
from projector.registry import BuildState, NotPermitted
from projector.sources.kafka import KafkaSource
from projector.spec.models import Errors
from projector.stores.postgres import BuildSpec, PostgresStore, load_build
from projector.version import VERSION
from projector.worker.clock import SystemClock
from projector.worker.health import Health
from projector.worker.loop import GivenUp, Work, Worker
from projector.worker.outage import Outage
from projector.worker.replay import Limit

T = TypeVar("T")

SERVERS, URI_FILE, PORT = "PROJECTOR_KAFKA_BOOTSTRAP_SERVERS", "PROJECTOR_TARGET_URI_FILE", "PROJECTOR_HTTP_PORT"
BAD_DATA, MAX_PARKED_KEYS = "PROJECTOR_BAD_DATA", "PROJECTOR_MAX_PARKED_KEYS"
MAX_EVENTS_PER_SECOND = "PROJECTOR_MAX_EVENTS_PER_SECOND"
"""This pod's part of the rate at which the build may replay; absent: as fast as it can."""
SCHEMA_REGISTRY, REGISTRY_FILE = "PROJECTOR_SCHEMA_REGISTRY_URL", "PROJECTOR_SCHEMA_REGISTRY_CREDENTIALS_FILE"
DEFAULT_URI_FILE = "/etc/projector/target/uri"
DEFAULT_PORT = 8080
HIGHEST_PORT = 65_535
STOP_WITHIN = 4.5
"""Seconds from SIGTERM to the end, whatever hangs: an open transaction is rolled back when its connection closes."""

_log = structlog.get_logger(__name__)


class BadSettings(Exception):
    """The environment or a command line is not usable; each of `problems` is one line for a person."""

    def __init__(self, *problems: str) -> None:
        self.problems = problems
        super().__init__("; ".join(problems))


@dataclass(frozen=True, slots=True)
class Means:
    """What a worker reaches and how it treats bad events: all that is not of the build.

    `uri` is asked whenever a connection is made. `registry_file` holds the schema registry's `user:password`.
    `replay_rate`: events that it reads a second while the build replays; None: as many as it can.
    """

    servers: tuple[str, ...]
    uri: Callable[[], str]
    errors: Errors
    registry_url: str | None
    registry_file: Path | None
    replay_rate: float | None = None


@dataclass(frozen=True, slots=True)
class PodSettings:
    """What a pod's environment says."""

    means: Means
    port: int

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> "PodSettings":
        """Raises BadSettings with all that is wrong."""
        problems = []
        servers = tuple(filter(None, (name.strip() for name in environment.get(SERVERS, "").split(","))))
        if not servers:
            problems.append(f"{SERVERS} is not set; it must name the Kafka brokers as host:port,host:port")
        path = Path(environment.get(URI_FILE, DEFAULT_URI_FILE))
        if not path.is_file():
            problems.append(f"{URI_FILE}: there is no file {path}; does the Secret have the key?")
        port = environment.get(PORT, str(DEFAULT_PORT))
        if not port.isdecimal() or int(port) > HIGHEST_PORT:
            problems.append(f"{PORT} is {port!r}, which is no port number")
        errors = _errors(environment, problems)
        rate = _rate(environment.get(MAX_EVENTS_PER_SECOND), problems)
        if problems:
            raise BadSettings(*problems)
        return cls(Means(servers, lambda: read_uri(path), errors, *registry_settings(environment), rate), int(port))


def _errors(environment: Mapping[str, str], problems: list[str]) -> Errors:
    given = {"bad_data": environment.get(BAD_DATA), "max_parked_keys": environment.get(MAX_PARKED_KEYS)}
    try:
        return Errors.model_validate({name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        problems += [f"{BAD_DATA}, {MAX_PARKED_KEYS}: {found['msg']}" for found in error.errors()]
        return Errors()


def _rate(text: str | None, problems: list[str]) -> float | None:
    if text is None:
        return None
    try:
        rate = float(text)
    except ValueError:
        rate = math.nan
    if not 0 < rate < math.inf:
        problems.append(f"{MAX_EVENTS_PER_SECOND} is {text!r}; it must be a number above 0")
    return rate


def registry_settings(environment: Mapping[str, str]) -> tuple[str | None, Path | None]:
    """URL of the schema registry, and the file with its credentials."""
    file = environment.get(REGISTRY_FILE)
    return environment.get(SCHEMA_REGISTRY), Path(file) if file else None


def read_uri(path: Path) -> str:
    """The target's URI, as the Secret has it now. Raises StoreUnavailable, since a Secret can be mended."""
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise StoreUnavailable(f"the file {path} with the target's URI cannot be read: {error}") from None
    if not text:
        raise StoreUnavailable(f"the file {path} with the target's URI is empty")
    return text


def work(settings: PodSettings, build: int, epoch: int) -> None:
    """Work until SIGTERM. Raises GivenUp, NoSuchBuild, BadSettings."""
    stop = stop_on_signals()
    metrics, health = Metrics(VERSION), Health()
    probes = serve_probes(settings.port, health, metrics)
    try:
        spec = patiently("target", lambda: load_build(settings.means.uri(), build), stop, health)
        if spec is None:
            return
        require_current(spec, epoch)
        run_worker(spec, settings.means, metrics, health, stop)
    finally:
        probes.stop()


def serve_probes(port: int, health: Health, metrics: Metrics) -> ProbeServer:
    """Serve probes and metrics. Raises BadSettings where the port is taken."""
    probes = ProbeServer(port, health, metrics)
    try:
        probes.start()
    except OSError as error:
        raise BadSettings(f"port {port} for probes and metrics cannot be used: {error.strerror}") from None
    return probes


def require_current(spec: BuildSpec, epoch: int) -> None:
    """Raise GivenUp where the build is not what this worker was started for any more."""
    if spec.state in {BuildState.ABANDONED, BuildState.RETIRED}:
        raise GivenUp(f"build {spec.build} was given up: it is {spec.state}")
    if spec.epoch != epoch:
        raise GivenUp(f"build {spec.build} is at epoch {spec.epoch}; this worker was started for epoch {epoch}")


def run_worker(spec: BuildSpec, means: Means, metrics: Metrics, health: Health, stop: threading.Event) -> None:
    """Carry the build's partitions until `stop` is set. Raises GivenUp, BadSettings."""
    definition = spec.definition
    program = compile_definition(definition, decoder(definition.format, means.registry_url, means.registry_file))
    source = KafkaSource(means.servers, definition.topics, spec.consumer_group)
    store = PostgresStore(means.uri, spec, spec.epoch, max_parked_keys=means.errors.max_parked_keys)
    calm_collector()
    _log.info("worker started", build=spec.build, table=f"{spec.schema}.{spec.table}", group=spec.consumer_group)
    work = Work(
        program,
        spec.partitions,
        parks=means.errors.bad_data == "ParkKey",
        grown=None if definition.ordering.mode == "PerKey" else lambda: load_build(means.uri(), spec.build).partitions,
        limit=replay_limit(spec, means),
    )
    Worker(work, source, store, metrics, health).run(stop)
    _log.info("worker stopped", build=spec.build)


def replay_limit(spec: BuildSpec, means: Means) -> Limit | None:
    """What holds a worker of the build back; None where nothing does, as after its replay."""
    if means.replay_rate is None or spec.state is not BuildState.REPLAYING:
        return None
    return Limit(means.replay_rate, lambda: load_build(means.uri(), spec.build).state is BuildState.REPLAYING)


def decoder(name: str, url: str | None, credentials: Path | None) -> Callable[[bytes], dict[str, Any]] | None:
    """What reads events of a format; None: they are JSON, which the program reads faster by itself.

    `url` and `credentials` are the schema registry's. Raises BadSettings.
    """
    if name == "JSON":
        return None
    if url is None:
        raise BadSettings(f"the events are {name}, and nothing says where their schemas are; set {SCHEMA_REGISTRY}")
    try:
        return open_format(name, SchemaRegistry(url, credentials)).decode
    except (MissingExtra, ValueError) as error:
        raise BadSettings(str(error)) from None


def calm_collector() -> None:
    """Let the garbage collector look seldom: deltas in hand are many and hold no cycles, and looking took 40 %."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(200_000, 20, 100)


def patiently(of: str, act: Callable[[], T], stop: threading.Event, health: Health | None = None) -> T | None:
    """The result of `act`, tried again until what it needs is there; None when `stop` is set before."""
    outage = Outage(of, SystemClock())
    while not stop.is_set():
        try:
            result = act()
        except (StoreUnavailable, SourceUnavailable, TopicMissing, NotPermitted) as error:
            if health is not None:
                health.turned()
                health.waiting(f"{of} unavailable: {error}")
            stop.wait(outage.again(str(error)))
        else:
            outage.over()
            return result
    return None


def stop_on_signals() -> threading.Event:
    """An event that SIGTERM and SIGINT set; the process ends some seconds later even if something hangs."""
    stop = threading.Event()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        if not stop.is_set():
            stop.set()
            timer = threading.Timer(STOP_WITHIN, lambda: os._exit(0))
            timer.daemon = True
            timer.start()

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)
    return stop
