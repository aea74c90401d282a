"""The operator process: lead, watch, pass, stop."""

import asyncio
import os
import signal
from collections.abc import Coroutine
from datetime import UTC, datetime
from typing import TypeVar

import kopf
import structlog

from projection_operator import handlers
from projection_operator.core.manifests import GROUP, PLURAL
from projection_operator.core.observation import Site
from projection_operator.kube.client import Cluster, Refused, Unavailable, configuration
from projection_operator.kube.lease import Lease, Lost
from projection_operator.loop.act import Actor, NotLeading
from projection_operator.loop.observe import Observer
from projection_operator.loop.ports import Key
from projection_operator.loop.queue import Queue, work
from projection_operator.loop.reconciler import Reconciler
from projection_operator.metrics import Metrics
from projection_operator.probes import Probes
from projection_operator.settings import Settings
from projection_operator.targets.adapters import open_databases, open_logs
from projection_operator.targets.databases import Leader

log = structlog.get_logger(__name__)

T = TypeVar("T")

LEADERSHIP_LOST = 4
"""Exit code; the Deployment starts the process again."""


async def run(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT; the process exits with LEADERSHIP_LOST where leadership is lost."""
    service = Service(settings, Cluster(await configuration()))
    try:
        await service.run()
    finally:
        await service.close()


class Service:
    """Parts of one process."""

    def __init__(self, settings: Settings, cluster: Cluster) -> None:
        self._settings, self._cluster = settings, cluster
        self._metrics = Metrics()
        self._lease = Lease(cluster, settings.lease, settings.holder)
        self._stop, self._watching = asyncio.Event(), asyncio.Event()
        self._probes = Probes(self._metrics, self._why_not_ready, self._refresh)

    async def run(self) -> None:
        """Wait for the CRD and for leadership, then do the work."""
        await self._probes.start(self._settings.http_port)
        for number in (signal.SIGTERM, signal.SIGINT):
            # From the start of the watches on, kopf has these signals.
            asyncio.get_running_loop().add_signal_handler(number, self._stop.set)
        installation = await self._unless_stopped(self._prepared())
        if installation is None or await self._unless_stopped(self._lease.acquire()) is None:
            return
        log.info("leading", holder=self._settings.holder)
        await self._work(Site(installation, self._settings.projector_image, self._settings.max_rebuilds))

    async def _work(self, site: Site) -> None:
        queue: Queue[Key] = Queue()
        leader = Leader(self._settings.holder, self._lease.held)
        databases, logs = open_databases(leader, site.installation), open_logs()
        observer = Observer(self._cluster, databases, logs, site)
        actor = Actor(self._cluster, databases, logs, self._lease.held)
        crew = asyncio.create_task(self._crew(queue, observer, actor))
        try:
            await self._watch(queue)
        finally:
            crew.cancel()
            await asyncio.gather(crew, return_exceptions=True)
            await databases.close()
            await logs.close()

    async def close(self) -> None:
        """Release what is held, so that the next process leads at once."""
        await self._lease.release()
        await self._probes.stop()
        await self._cluster.close()

    async def _unless_stopped(self, waiting: Coroutine[object, object, T]) -> T | None:
        """What `waiting` gives; None where we are asked to stop before that."""
        task, stop = asyncio.create_task(waiting), asyncio.create_task(self._stop.wait())
        await asyncio.wait((task, stop), return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        if not task.done():
            task.cancel()
        await asyncio.gather(task, stop, return_exceptions=True)
        return None if task.cancelled() or self._stop.is_set() else task.result()

    async def _prepared(self) -> str:
        """Wait for the CRD; the installation's id."""
        while True:
            try:
                if await self._cluster.served():
                    return await self._cluster.installation()
                log.warning("waiting_for_crd", crd=f"{PLURAL}.{GROUP}")
            except (Unavailable, Refused) as error:
                log.warning("waiting_for_api_server", error=str(error))
            await asyncio.sleep(self._settings.lease.retry)

    async def _crew(self, queue: Queue[Key], observer: Observer, actor: Actor) -> None:
        """The lease keeper and the workers; that any of them ends means that we lead no more."""
        reconciler = Reconciler(
            self._cluster, observer, actor, queue, self._metrics, self._settings.holder, lambda: datetime.now(UTC)
        )
        workers = [work(queue, reconciler.pass_) for _ in range(self._settings.workers)]
        try:
            await asyncio.gather(self._lease.keep(), *workers)
        except (Lost, NotLeading) as error:
            log.critical("leadership_lost", error=str(error) or "not renewed in time")
            # At once, and without waiting for threads: whatever hangs there is fenced by the registry's epoch.
            os._exit(LEADERSHIP_LOST)

    async def _watch(self, queue: Queue[Key]) -> None:
        registry = kopf.OperatorRegistry()
        handlers.register(registry, handlers.Signatures(queue.add))
        await kopf.operator(
            registry=registry,
            settings=handlers.settings(),
            standalone=True,
            # Its own guess asks for the user's name, and a pod's user has none.
            identity=self._settings.holder,  # type: ignore[arg-type]  # a NewType that kopf does not export
            clusterwide=not self._settings.namespaces,
            namespaces=self._settings.namespaces,
            stop_flag=self._stop,
            ready_flag=self._watching,
        )

    def _why_not_ready(self) -> str | None:
        # A process that waits for leadership is as ready as it can be, or a rolling update would never end.
        if self._lease.held() and not self._watching.is_set():
            return "the watches have not started yet\n"
        return None

    def _refresh(self) -> None:
        self._metrics.leader.set(1 if self._lease.held() else 0)
        self._metrics.api_errors.set(self._cluster.errors)
