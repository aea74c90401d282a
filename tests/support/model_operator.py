"""The operator for the model test: the real loop and the real `Databases`, without threads and without a clock."""

import asyncio
from collections.abc import Callable
from contextvars import copy_context
from datetime import datetime
from typing import Any, TypeVar, cast

from projection_operator.core.observation import Site, Unknown, WorkerAccess
from projection_operator.kube.client import Refused, Unavailable
from projection_operator.loop.act import Actor, NotLeading
from projection_operator.loop.observe import Observer
from projection_operator.loop.queue import Queue
from projection_operator.loop.rates import Rates
from projection_operator.loop.reconciler import Reconciler
from projection_operator.metrics import Metrics
from projection_operator.targets.databases import Adapter, Database, Databases, Leader
from projection_operator.targets.failures import TARGET_ERRORS, Failure, of_login
from projection_operator.targets.tasks import Place, Tasks
from projector.ports import StoreUnavailable
from projector.registry import Registry, WrongState
from tests.support.model_cluster import KEY, ModelCluster, ModelLog
from tests.support.model_registry import ModelRegistry, RegistrySession
from tests.support.model_wire import GATE, Gate
from tests.support.projections import IMAGE, INSTALLATION

T = TypeVar("T")
METRICS = Metrics()


class _Inline:
    """A pool of one client whose calls are made where they are asked for."""

    def __init__(self, client: Any) -> None:
        self._client = client

    async def run(self, address: str, call: Callable[[Any], T], within: float) -> T:
        del address, within
        return call(self._client)


class ModelTasks(Tasks):
    """Long work that is begun, and done when the world comes to it; at most one of a kind."""

    def __init__(self, registry: ModelRegistry) -> None:
        super().__init__()
        self._registry = registry
        self._begun: dict[Place, tuple[int, Callable[[], None]]] = {}
        self._errors: dict[tuple[Place, int], Exception] = {}

    def begin(self, place: Place, build: int, work: Callable[[], None]) -> None:
        if place not in self._begun and build not in self._registry.making:
            self._begun[place] = (build, work)
            self._registry.making.add(build)
        error = self._errors.pop((place, build), None)
        if error is not None:
            raise error

    def work(self) -> bool:
        """Do all of it. Whether there was any."""
        begun, self._begun = self._begun, {}
        for place, (build, work) in begun.items():
            self._registry.making.discard(build)
            try:
                work()
            except WrongState:
                continue
            except (*TARGET_ERRORS, Failure) as error:
                self._errors[place, build] = error
        return bool(begun)


class ModelDatabases(Databases):
    """As it is, with a gate before each act."""

    def __init__(self, registry: ModelRegistry, name: str, held: Callable[[], bool]) -> None:
        session = RegistrySession(registry, name)
        super().__init__(Adapter(lambda _: session, lambda _: "worker", lambda _: "db"), Leader(name, held))
        self._registries = cast("Any", _Inline(session))
        self.tasks = ModelTasks(registry)
        self._tasks, self._wire = self.tasks, registry.wire

    async def worker(self, database: Database) -> WorkerAccess | Unknown:
        """Not by a login that is remembered: what the target says now."""
        try:
            self._wire.read()
        except StoreUnavailable as error:
            return of_login(error, database.where)
        return WorkerAccess("worker")

    async def act(self, database: Database, take_over: str | None, call: Callable[[Registry, int], object]) -> None:
        await GATE.get().through()
        await super().act(database, take_over, call)


class Pass:
    """One pass. `after` is when the operator wants the next one; None where there is nothing to look after."""

    def __init__(self, work: Callable[[], Any], loop: asyncio.AbstractEventLoop, free: int | None) -> None:
        self._loop, self._gate = loop, Gate(free)
        context = copy_context()
        context.run(GATE.set, self._gate)
        self._task: asyncio.Task[float | None] = loop.create_task(work(), context=context)
        self.after: float | None = None
        self.failed = False
        self._run()

    @property
    def halted(self) -> bool:
        """Whether it stands in front of an act."""
        return not self._task.done()

    def go_on(self) -> None:
        """Whatever has happened meanwhile."""
        self._gate.open()
        self._run()

    def kill(self) -> None:
        """The process ends."""
        self._task.cancel()
        self._loop.run_until_complete(asyncio.wait({self._task}))

    def _run(self) -> None:
        self._loop.run_until_complete(self._until_halted())
        if not self._task.done():
            return
        try:
            self.after = self._task.result()
        except (NotLeading, Unavailable, Refused):
            # What the loop catches: it tries again, later.
            self.after, self.failed = 5.0, True

    async def _until_halted(self) -> None:
        if self._gate.halted.is_set():
            await asyncio.wait({self._task})
            return
        halted = asyncio.create_task(self._gate.halted.wait())
        await asyncio.wait({self._task, halted}, return_when=asyncio.FIRST_COMPLETED)
        halted.cancel()
        await asyncio.wait({halted})


class Operator:
    """One process of the operator. `held` says whether it leads."""

    def __init__(
        self,
        name: str,
        cluster: ModelCluster,
        registry: ModelRegistry,
        log: ModelLog,
        held: Callable[[], bool],
        clock: Callable[[], datetime],
    ) -> None:
        databases = ModelDatabases(registry, name, held)
        observer = Observer(cluster, databases, log, Site(INSTALLATION, IMAGE))
        observer._rates = Rates(lambda: clock().timestamp())
        actor = Actor(cluster, databases, log, held)
        self.name, self._databases = name, databases
        self._reconciler = Reconciler(cluster, observer, actor, Queue(), METRICS, name, clock)

    def work(self) -> bool:
        """Threads that make indexes come to their end. Whether there were any."""
        return self._databases.tasks.work()

    def begin_pass(self, loop: asyncio.AbstractEventLoop, free: int | None = None) -> Pass:
        """A pass that runs to its end, or halts after `free` writes."""
        return Pass(lambda: self._reconciler.reconcile(KEY), loop, free)
