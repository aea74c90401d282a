"""A projection without Kubernetes: `projector run -f` is its own small control plane, over the same registry."""

import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import structlog

from projector.fold.validate import validate
from projector.indexes import fitting
from projector.metrics import Metrics
from projector.pod import BadSettings, Means, patiently, run_worker, serve_probes
from projector.ports import SourceUnavailable, StoreUnavailable, TopicMissing
from projector.registry import (
    BuildState,
    BuildView,
    Deposed,
    Ending,
    ForeignRegistry,
    Identity,
    ProjectionView,
    PublicName,
    RegistryError,
)
from projector.sources.kafka_admin import KafkaAdmin
from projector.spec.definition import Definition
from projector.spec.models import Index, ProjectionSpec
from projector.stores.postgres import PostgresRegistry, load_build, probe
from projector.version import VERSION
from projector.worker.health import Health

INSTALLATION = "standalone"
OBSERVE_SECONDS = 1.0
CAUGHT_UP = 100
"""Records that a build may be behind the log's end when its view appears."""
LOG_PROGRESS_SECONDS = 10.0
INDEX_RETRY = timedelta(minutes=5)

_HOPELESS = ("authentication failed", "no password", "does not exist", "cannot be read", "no pg_hba.conf entry")
"""What the server says where waiting does not help; a person at the terminal is better told at once."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Request:
    """What to run. `servers` come from the spec unless given; `port` None serves no probes."""

    name: str
    namespace: str
    spec: ProjectionSpec
    uri: str
    servers: tuple[str, ...]
    port: int | None
    registry_file: Path | None

    @property
    def means(self) -> Means:
        """What the worker reaches."""
        registry = self.spec.source.kafka.schema_registry
        url = None if registry is None else registry.url
        return Means(self.servers, lambda: self.uri, self.spec.errors, url, self.registry_file)

    @property
    def identity(self) -> Identity:
        """Who the projection is in the registry."""
        return Identity(INSTALLATION, self.namespace, self.name)


def run(request: Request, stop: threading.Event, terminal: bool) -> None:
    """Build, publish and follow until `stop` is set. Raises InvalidSpec, BadSettings, RegistryError, GivenUp."""
    validate(request.spec)
    require_login(request.uri, stop)
    registry = PostgresRegistry(request.uri, INSTALLATION)
    admin = KafkaAdmin(request.servers)
    control = Control(request, registry, admin)
    metrics, health = Metrics(VERSION), Health()
    probes = None if request.port is None else serve_probes(request.port, health, metrics)
    try:
        number = patiently("projection", control.prepare, stop)
        spec = None if number is None else patiently("target", lambda: load_build(request.uri, number), stop)
        if spec is None:
            return
        watch = threading.Thread(target=control.watch, args=(stop, metrics, terminal), name="control", daemon=True)
        watch.start()
        run_worker(spec, request.means, metrics, health, stop)
    finally:
        stop.set()
        if probes is not None:
            probes.stop()
        registry.close()


def require_login(uri: str, stop: threading.Event) -> None:
    """Wait for the target. Raises BadSettings where the login is refused, RegistryError where it is too old."""

    def look() -> None:
        try:
            probe(uri)
        except StoreUnavailable as error:
            if any(words in str(error) for words in _HOPELESS):
                raise BadSettings(f"target: {error}") from None
            raise

    patiently("target", look, stop)


class Control:
    """Begins the build, opens its catch-up and publishes it: what the operator does on a cluster."""

    def __init__(self, request: Request, registry: PostgresRegistry, admin: KafkaAdmin) -> None:
        self._request = request
        self._registry = registry
        self._admin = admin
        self._definition = Definition.of(request.spec)
        self._epoch = 0

    def prepare(self) -> int:
        """The number of the build to work on; begun where there is none of this version.

        Raises what the ports raise for outages, and RegistryError where it must not be done.
        """
        self._lead()
        table = self._request.spec.target.postgresql
        identity = self._request.identity
        self._registry.claim(self._epoch, identity, INSTALLATION, PublicName(table.db_schema, table.table))
        view = self._registry.observe(identity)
        if (found := self._resumable(view)) is not None:
            _log.info("resuming", build=found.number, version=found.version, state=str(found.state))
            return found.number
        spec = self._request.spec
        ends = self._admin.describe(self._definition.topics)
        role = probe(self._request.uri).role
        number = self._registry.begin(
            self._epoch, identity, spec.version, spec.rebuild_token, self._definition, ends, role
        )
        _log.info("build begun", build=number, version=spec.version)
        return number

    def watch(self, stop: threading.Event, metrics: Metrics, terminal: bool) -> None:
        """Take the build's steps as it goes on, and say how far it is, until `stop` is set."""
        progress = Progress(self._request.name, metrics, terminal)
        while not stop.wait(OBSERVE_SECONDS):
            try:
                build = self._advance()
            except Deposed:
                patiently("registry", self._lead, stop)
            except (StoreUnavailable, SourceUnavailable, TopicMissing):
                continue  # the worker says so
            except RegistryError as error:
                _log.error("the read model is not as the spec asks", reason=str(error))
                stop.wait(LOG_PROGRESS_SECONDS)
            else:
                progress.show(build)

    def _lead(self) -> None:
        try:
            self._epoch = self._registry.take_leadership("projector run")
        except ForeignRegistry as error:
            raise BadSettings(f"target: {error}, which runs on Kubernetes; use another database") from None

    def _resumable(self, view: ProjectionView | None) -> BuildView | None:
        """The build of this version; refuses what would need a swap or silently change what a version means."""
        spec = self._request.spec
        builds = [] if view is None else [b for b in view.builds if b.state is not BuildState.ABANDONED]
        for build in builds:
            if (build.version, build.token) == (spec.version, spec.rebuild_token):
                if build.fingerprint != self._definition.fingerprint:
                    raise BadSettings(
                        f"spec.version: the definition changed, but version {spec.version!r} is build {build.number} "
                        "with another definition; choose a new version"
                    )
                return build
        for build in builds:
            if build.state is BuildState.LIVE:
                raise BadSettings(
                    f"spec.version: version {build.version!r} is live in {self._request.identity.name}; replacing a "
                    "live version is not possible with `projector run`; use another table or database"
                )
            reason = f"superseded by version {spec.version}"
            self._registry.abandon(self._epoch, build.number, Ending.SUPERSEDED, reason)
        return None

    def _advance(self) -> BuildView | None:
        view = self._registry.observe(self._request.identity)
        spec = self._request.spec
        wanted = (spec.version, spec.rebuild_token)
        build = next((b for b in view.builds if (b.version, b.token) == wanted), None) if view is not None else None
        if build is None:
            return None
        self._index(build)
        if build.state is BuildState.REPLAYING and _replayed(build):
            self._registry.open_catch_up(self._epoch, build.number)
        elif build.state is BuildState.CATCHING_UP and self._behind(build) <= CAUGHT_UP:
            self._registry.publish(self._epoch, build.number)
            table = spec.target.postgresql
            _log.info("published", build=build.number, view=f"{table.db_schema}.{table.table}")
        return build

    def _index(self, build: BuildView) -> None:
        """Make and drop what the spec changed; this thread may wait for it. RegistryError where one cannot be made."""
        replays = build.state is BuildState.REPLAYING
        if replays and not _replayed(build):
            return
        asked = fitting(self._request.spec.target.postgresql.indexes, build.definition)
        missing, needless = build.indexes.missing(asked), build.indexes.needless(asked)
        analyze = replays and build.indexes.analyzed_at is None
        if not (missing or needless or analyze):
            return
        _refuse_again(build, missing)
        self._registry.build_indexes(self._epoch, build.number, missing, needless, analyze=analyze)
        view = self._registry.observe(self._request.identity)
        now = next((b for b in view.builds if b.number == build.number), build) if view is not None else build
        _refuse_again(now, missing)
        if still := now.indexes.missing(asked):
            raise RegistryError(f"another process makes index {still[0]}")

    def _behind(self, build: BuildView) -> int:
        ends = self._admin.describe(self._definition.topics)
        places = {(c.partition.topic, c.partition.number): c.next_offset for c in build.checkpoints}
        return sum(max(0, e.end - places.get((p.topic, p.number), e.end)) for p, e in ends.items())


class Progress:
    """Says how far a build is: a line that is rewritten on a terminal, a log line now and then elsewhere."""

    def __init__(self, name: str, metrics: Metrics, terminal: bool) -> None:
        self._name = name
        self._metrics = metrics
        self._terminal = terminal
        self._shown = (time.monotonic(), metrics.events)
        self._logged_at = float("-inf")

    def show(self, build: BuildView | None) -> None:
        """Show where `build` is."""
        if build is None:
            return
        now = time.monotonic()
        rate = (self._metrics.events - self._shown[1]) / max(0.001, now - self._shown[0])
        lag = _lag([lane.records for lane in self._metrics.lanes])
        if self._terminal:
            self._shown = (now, self._metrics.events)
            text = f"{self._name}  build {build.number} {build.state}  {percent(build):5.1f} %  {rate:,.0f} events/s"
            sys.stdout.write(f"\r\x1b[K{text}  lag {lag}")
            sys.stdout.flush()
        elif now - self._logged_at >= LOG_PROGRESS_SECONDS:
            self._shown, self._logged_at = (now, self._metrics.events), now
            _log.info(
                "progress",
                build=build.number,
                state=str(build.state),
                percent=round(percent(build), 1),
                events_per_second=round(rate),
                lag=lag,
            )


def _refuse_again(build: BuildView, missing: Sequence[Index]) -> None:
    """RegistryError where one of them could not be made a while ago: a try reads the whole table."""
    for failed in filter(None, map(build.indexes.failure, missing)):
        if datetime.now(UTC) < failed.at + INDEX_RETRY:
            raise RegistryError(f"index {failed.index} cannot be made: {failed.message}")


def _replayed(build: BuildView) -> bool:
    return all(point.next_offset >= point.replay_end for point in build.checkpoints)


def percent(build: BuildView) -> float:
    """Share of the replay that is done, 0 to 100."""
    total = sum(c.replay_end - c.start for c in build.checkpoints)
    done = sum(min(c.next_offset, c.replay_end) - c.start for c in build.checkpoints)
    return 100.0 if total == 0 else 100.0 * done / total


def _lag(records: Sequence[int | None]) -> str:
    known = [count for count in records if count is not None]
    return f"{sum(known):,}" if known and len(known) == len(records) else "unknown"
