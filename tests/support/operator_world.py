"""A cluster, databases and logs in memory, and the operator's loop on them."""

from collections.abc import Callable, Collection, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from projection_operator.core import lag
from projection_operator.core.events import Event
from projection_operator.core.observation import Site, SourceView, Unknown, WorkerAccess
from projection_operator.kube.client import Refused, Unavailable
from projection_operator.loop.act import Actor
from projection_operator.loop.observe import Observer
from projection_operator.loop.ports import Key
from projection_operator.loop.queue import Queue
from projection_operator.loop.reconciler import Reconciler
from projection_operator.metrics import Metrics
from projection_operator.targets.databases import Database
from projection_operator.targets.failures import Failure, of_act
from projector.indexes import Indexes, IndexFailure, IndexView
from projector.ports import Ends, Partition
from projector.registry import (
    BuildState,
    BuildView,
    EndedBuild,
    Ending,
    Identity,
    ProjectionView,
    PublicName,
    Registry,
    RegistryError,
    Survey,
    SwapTerms,
    SwapWaiting,
    WrongState,
)
from projector.spec.definition import Definition
from projector.spec.models import Index
from tests.support.operator_records import FakeRecords
from tests.support.projections import IMAGE, INSTALLATION, NOW, SURVEY, checkpoint
from tests.support.specs import spec_data

KEY = ("shop", "orders")
Object = dict[str, Any]


@dataclass
class FakeCluster(FakeRecords):
    """Objects, with the little of the API server's behaviour that the loop rests on."""

    projections: dict[Key, Object] = field(default_factory=dict)
    deployments_: dict[str, Object] = field(default_factory=dict)
    secrets: dict[str, dict[str, bytes]] = field(default_factory=lambda: {"db": {"uri": b"postgresql://worker@db/app"}})
    events: list[Event] = field(default_factory=list)
    status_writes: int = 0
    down: bool = False
    refuses_deployments: str = ""

    def apply(self, **spec: Any) -> None:
        """As a user does."""
        old = self.projections.get(KEY)
        meta = {"namespace": "shop", "name": "orders", "uid": "uid-1", "resourceVersion": "1", "generation": 1}
        body = old or {"metadata": meta, "spec": {**spec_data(), "scaling": {"replicas": 1}}}
        if old:
            body["metadata"]["generation"] += 1
        body["spec"].update(spec)
        self.projections[KEY] = body

    def delete(self) -> None:
        """As a user does: the object stays while it has finalizers."""
        body = self.projections[KEY]
        body["metadata"]["deletionTimestamp"] = "2026-01-02T03:04:05Z"
        self._collect(body)

    def _collect(self, body: Object) -> None:
        if body["metadata"].get("deletionTimestamp") and not body["metadata"].get("finalizers"):
            del self.projections[KEY]

    def _check(self) -> None:
        if self.down:
            raise Unavailable("the API server does not answer")

    async def projection(self, namespace: str, name: str) -> Object | None:
        self._check()
        return deepcopy(self.projections.get((namespace, name)))

    async def apply_status(self, namespace: str, name: str, status: Object) -> None:
        self._check()
        if (namespace, name) not in self.projections:
            raise Refused(404, "not found")
        self.status_writes += 1
        self.projections[(namespace, name)]["status"] = deepcopy(status)

    async def apply_finalizers(self, namespace: str, name: str, uid: str, finalizers: list[str]) -> None:
        self._check()
        body = self.projections[(namespace, name)]
        assert body["metadata"]["uid"] == uid
        body["metadata"]["finalizers"] = finalizers
        self._collect(body)

    async def deployments(self, namespace: str, selector: str) -> list[Object]:
        self._check()
        del namespace, selector
        return deepcopy(list(self.deployments_.values()))

    async def apply_deployment(self, manifest: Mapping[str, Any]) -> None:
        self._check()
        if self.refuses_deployments:
            raise Refused(422, self.refuses_deployments)
        body = deepcopy(dict(manifest))
        replicas = body["spec"]["replicas"]
        body["status"] = {"replicas": replicas, "readyReplicas": replicas}
        # The server gives items of a list without these.
        del body["apiVersion"], body["kind"]
        self.deployments_[body["metadata"]["name"]] = body

    async def delete_deployment(self, namespace: str, name: str) -> None:
        self._check()
        del namespace
        self.deployments_.pop(name, None)

    async def secret(self, namespace: str, name: str) -> dict[str, bytes] | None:
        self._check()
        del namespace
        return self.secrets.get(name)

    async def emit(self, body: Mapping[str, Any], event: Event, reporter: str, at: str) -> None:
        self._check()
        del body, reporter, at
        self.events.append(event)


class FakeRegistry:
    """The registry port in memory."""

    def __init__(self) -> None:
        self.entry: ProjectionView | None = None
        self.retired: list[int] = []
        self.calls: list[str] = []
        self.refuses: RegistryError | None = None
        self.surveyed = SURVEY
        self.breaks = ""
        self.now = NOW
        self._numbers = 0

    def _called(self, name: str) -> None:
        self.calls.append(name)
        if self.refuses is not None:
            raise self.refuses

    def _change(self, number: int, **changes: Any) -> None:
        assert self.entry is not None
        builds = tuple(replace(one, **changes) if one.number == number else one for one in self.entry.builds)
        self.entry = replace(self.entry, builds=builds)

    def _get(self, number: int | None) -> BuildView:
        assert self.entry is not None
        return next(one for one in self.entry.builds if one.number == number)

    def moves_to(self, number: int, *at: int) -> None:
        """Workers moved the checkpoints."""
        assert self.entry is not None
        build = self._get(number)
        moved = tuple(
            replace(point, next_offset=to, moved_at=self.now) for point, to in zip(build.checkpoints, at, strict=True)
        )
        self._change(number, checkpoints=moved)

    def take_leadership(self, holder: str, take_over: str | None = None) -> int:
        del holder, take_over
        return 1

    def observe(self, identity: Identity) -> ProjectionView | None:
        del identity
        return self.entry

    def claim(self, epoch: int, identity: Identity, resource_uid: str, public_name: PublicName) -> None:
        del epoch
        self._called("claim")
        if self.entry is None:
            self.entry = ProjectionView(identity, resource_uid, public_name, None, ())
        self.entry = replace(self.entry, resource_uid=resource_uid, public_name=public_name)

    def begin(
        self,
        epoch: int,
        identity: Identity,
        version: str,
        token: str,
        definition: Definition,
        partitions: Mapping[Partition, Ends],
        worker_role: str,
    ) -> int:
        del identity
        self._called(f"begin as {worker_role}")
        assert self.entry is not None
        self._numbers += 1
        build = BuildView(
            self._numbers, version, token, BuildState.REPLAYING, epoch, definition, definition.fingerprint,
            f"t__b{self._numbers}", self.now, None, "",
            tuple(checkpoint(one, log.start, log.end, start=log.start) for one, log in partitions.items()), worker_role,
            self.now, f"projections.{INSTALLATION[:8]}.shop.orders.b{self._numbers}",
        )  # fmt: skip
        self.entry = replace(self.entry, builds=(*self.entry.builds, build))
        return self._numbers

    def admit_partitions(self, epoch: int, build: int, partitions: Collection[Partition]) -> None:
        del epoch
        self._called("admit_partitions")
        assert self.entry is not None
        points = next(one for one in self.entry.builds if one.number == build).checkpoints
        self._change(build, checkpoints=(*points, *(checkpoint(one, 0, 0) for one in partitions)))

    def admit_worker(self, epoch: int, build: int, worker_role: str) -> None:
        del epoch
        self._called(f"admit {worker_role}")
        self._change(build, worker_role=worker_role)

    def build_indexes(
        self, epoch: int, build: int, wanted: Sequence[Index], needless: Sequence[Index], *, analyze: bool
    ) -> None:
        del epoch
        self._called("build_indexes")
        had = self._get(build).indexes
        failures = tuple(IndexFailure(index, self.breaks, self.now) for index in wanted if self.breaks)
        made = {one.index: one for one in had.made if one.index not in needless}
        made |= {index: IndexView(index, valid=True) for index in wanted if not failures}
        analyzed_at = self.now if analyze and not failures else had.analyzed_at
        self._change(build, indexes=Indexes(tuple(made.values()), failures, None, analyzed_at))

    def open_catch_up(self, epoch: int, build: int) -> None:
        del epoch
        self._called("open_catch_up")
        self._change(build, state=BuildState.CATCHING_UP, changed_at=self.now, replayed_at=self.now)

    def publish(self, epoch: int, build: int) -> None:
        del epoch
        self._called("publish")
        self._change(build, state=BuildState.LIVE, changed_at=self.now, published_at=self.now)
        assert self.entry is not None
        self.entry = replace(self.entry, live_build=build)

    def swap(self, epoch: int, build: int, terms: SwapTerms) -> None:
        del epoch
        self._called("swap")
        assert self.entry is not None
        live = self._get(self.entry.live_build)
        coming = self._get(build)
        if live.number == build:
            return
        if coming.state not in {BuildState.CATCHING_UP, BuildState.WARM}:
            raise WrongState(f"build {build} is {coming.state}")
        if lag.behind(coming, live, terms.ungated):
            raise SwapWaiting(f"build {build} is behind build {live.number}")
        self._change(live.number, state=BuildState.WARM, changed_at=self.now)
        self._change(build, state=BuildState.LIVE, changed_at=self.now, published_at=self.now)
        self.entry = replace(self.entry, live_build=build)

    def survey(self, identity: Identity) -> Survey | None:
        del identity
        return None if self.entry is None or self.entry.live_build is None else self.surveyed

    def abandon(self, epoch: int, build: int, ending: Ending, reason: str) -> None:
        del epoch
        self._called("abandon")
        assert self.entry is not None
        one = self._get(build)
        if one.state in {BuildState.ABANDONED, BuildState.RETIRED}:
            return
        if build == self.entry.live_build:
            raise WrongState(f"build {build} is live")
        self._change(build, state=BuildState.ABANDONED, ending=ending, reason=reason, changed_at=self.now)
        ended = EndedBuild(build, one.version, one.token, ending, reason, self.now)
        self.entry = replace(self.entry, ended=(ended, *self.entry.ended))

    def retire(self, epoch: int, build: int) -> None:
        del epoch
        self._called("retire")
        assert self.entry is not None
        self.entry = replace(self.entry, builds=tuple(one for one in self.entry.builds if one.number != build))
        self.retired.append(build)

    def delete(self, epoch: int, identity: Identity) -> None:
        del epoch, identity
        self._called("delete")
        self.entry = None

    def discard(self, partition: Partition, offset: int, identity: Identity, reason: str) -> None:
        raise NotImplementedError

    def close(self) -> None:
        pass


class FakeDatabases:
    """One database."""

    def __init__(self) -> None:
        self.registry = FakeRegistry()
        self.down: Unknown | None = None
        self.begun: list[int] = []
        self.slow: list[Callable[[], object]] | None = None

    async def observe(self, database: Database, identity: Identity) -> ProjectionView | Unknown | None:
        del database
        return self.down or self.registry.observe(identity)

    async def survey(self, database: Database, identity: Identity) -> Survey | Unknown | None:
        del database
        return self.down or self.registry.survey(identity)

    async def worker(self, database: Database) -> WorkerAccess | Unknown:
        return self.down or WorkerAccess(database.uri.split("//")[1].split("@")[0])

    async def act(self, database: Database, take_over: str | None, call: Callable[[Registry, int], object]) -> None:
        del take_over
        try:
            call(self.registry, 1)
        except RegistryError as error:
            raise Failure(of_act(error, database.where)) from error

    def begin(
        self, database: Database, take_over: str | None, kind: str, build: int, call: Callable[[Registry, int], object]
    ) -> None:
        del database, take_over, kind
        self.begun.append(build)
        if self.slow is None:
            call(self.registry, 1)
        else:
            self.slow.append(lambda: call(self.registry, 1))


class FakeLogs:
    """One topic."""

    def __init__(self) -> None:
        self.view: SourceView | Unknown = SourceView({Partition("orders", "id-1", n): Ends(0, 100) for n in range(2)})
        self.compacts: frozenset[str] | Unknown = frozenset()
        self.keeps_groups = False
        self.forgotten: list[str] = []

    def grows_to(self, *ends: int) -> None:
        """Producers wrote."""
        self.view = SourceView({Partition("orders", "id-1", n): Ends(0, end) for n, end in enumerate(ends)})

    async def describe(
        self,
        servers: Sequence[str],
        topics: Sequence[str],
        unread: Callable[[Mapping[Partition, Ends]], Mapping[Partition, int]],
    ) -> SourceView | Unknown:
        del servers, topics
        if isinstance(self.view, Unknown):
            return self.view
        behind = unread(self.view.ends)
        return replace(self.view, oldest={one: int(NOW.timestamp() * 1000) - 4_000 for one in behind})

    async def compacted(self, servers: Sequence[str], topics: Sequence[str]) -> frozenset[str] | Unknown:
        del servers, topics
        return self.compacts

    async def forget(self, servers: Sequence[str], group: str) -> bool:
        del servers
        if self.keeps_groups:
            return False
        self.forgotten.append(group)
        return True


class World:
    """All of it, and the loop."""

    def __init__(self) -> None:
        self.cluster, self.databases, self.logs = FakeCluster(), FakeDatabases(), FakeLogs()
        self.leads = True
        self.queue: Queue[Key] = Queue()
        self.metrics = Metrics()
        site = Site(INSTALLATION, IMAGE)
        observer = Observer(self.cluster, self.databases, self.logs, site)
        actor = Actor(self.cluster, self.databases, self.logs, lambda: self.leads)
        self.reconciler = Reconciler(
            self.cluster, observer, actor, self.queue, self.metrics, "operator-0", lambda: self.now
        )

    @property
    def now(self) -> datetime:
        return self.registry.now

    def later(self, **length: float) -> None:
        """Time passes."""
        self.registry.now += timedelta(**length)

    @property
    def registry(self) -> FakeRegistry:
        return self.databases.registry

    @property
    def status(self) -> Object:
        found: Object = self.cluster.projections[KEY].get("status", {})
        return found

    def condition(self, kind: str) -> tuple[str, str, str]:
        """Status, reason and message."""
        one = next(one for one in self.status["conditions"] if one["type"] == kind)
        return one["status"], one["reason"], one["message"]

    async def settle(self, passes: int = 12) -> int:
        """Pass until nothing but time would change anything; how many passes that took."""
        for number in range(passes):
            before = self._state()
            await self.reconciler.reconcile(KEY)
            if self._state() == before:
                return number + 1
        raise AssertionError(f"does not settle in {passes} passes")

    def _state(self) -> object:
        cluster = self.cluster
        return deepcopy((cluster.projections, cluster.deployments_, self.registry.entry, self.registry.retired))

    async def until_live(self, **spec: Any) -> None:
        """Apply, replay, publish."""
        self.cluster.apply(**spec)
        await self.settle()
        assert self.registry.entry is not None
        number = self.registry.entry.builds[-1].number
        self.registry.moves_to(number, 100, 100)
        await self.settle()
        assert self.status["phase"] == "Live"
