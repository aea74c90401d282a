"""Acting: one executor for all actions. `held` is asked before each; nothing is done by whoever does not lead."""

from collections.abc import Awaitable, Callable

from projection_operator.core.actions import (
    Abandon,
    Action,
    AddFinalizer,
    AdmitPartitions,
    AdmitWorker,
    BeginBuild,
    BuildAction,
    BuildIndexes,
    Claim,
    DeleteProjection,
    EnsureDeployment,
    OpenCatchUp,
    Publish,
    RegistryAction,
    RemoveDeployment,
    RemoveFinalizer,
    RemoveGroup,
    Retire,
    Swap,
)
from projection_operator.core.observation import FINALIZER, Resource, Unknown
from projection_operator.core.reasons import Reason
from projection_operator.kube.client import Refused, Unavailable, conflict
from projection_operator.loop.observe import Seen
from projection_operator.loop.ports import Cluster, Databases, Logs
from projection_operator.targets.failures import Failure
from projector.registry import Registry


class NotLeading(Exception):
    """Leadership was lost: stop at once, write nothing."""


class NotYet(Exception):
    """What was asked cannot be done now, and the rest waits for it; nothing is wrong."""


class Actor:
    """Does what a decision asks."""

    def __init__(self, cluster: Cluster, databases: Databases, logs: Logs, held: Callable[[], bool]) -> None:
        self._cluster, self._databases, self._logs, self._held = cluster, databases, logs, held

    def require_leadership(self) -> None:
        """Raise NotLeading unless this process leads."""
        if not self._held():
            raise NotLeading

    async def act(self, seen: Seen, actions: tuple[Action, ...]) -> Unknown | None:
        """Do them in order; the first that fails ends it and says why."""
        try:
            for action in actions:
                self.require_leadership()
                await self._one(seen, action)
        except NotYet:
            return None
        except Failure as failure:
            return failure.unknown
        except Unavailable as error:
            return Unknown(Reason.CLUSTER_UNAVAILABLE, str(error))
        return None

    async def _one(self, seen: Seen, action: Action) -> None:
        resource = seen.observation.resource
        match action:
            case EnsureDeployment():
                await self._ensure(action)
            case RemoveDeployment():
                await self._refusable(self._cluster.delete_deployment(resource.namespace, action.name))
            case AddFinalizer():
                await self._finalizers(resource, [FINALIZER])
            case RemoveFinalizer():
                await self._finalizers(resource, [])
            case RemoveGroup():
                if not await self._logs.forget(action.servers, action.group):
                    raise NotYet
            case _:
                await self._on_registry(seen, action)

    async def _ensure(self, action: EnsureDeployment) -> None:
        try:
            await self._cluster.apply_deployment(action.manifest)
        except Refused as refused:
            name = action.manifest["metadata"]["name"]
            message = f"spec.projector: the API server refuses Deployment {name}: {refused.message}"
            raise Failure(Unknown(Reason.DEPLOYMENT_REFUSED, message)) from refused

    async def _finalizers(self, resource: Resource, finalizers: list[str]) -> None:
        namespace, name = resource.namespace, resource.name
        await self._refusable(self._cluster.apply_finalizers(namespace, name, resource.uid, finalizers))

    @staticmethod
    async def _refusable(call: Awaitable[None]) -> None:
        try:
            await call
        except Refused as refused:
            reason = Reason.OUT_OF_STEP if conflict(refused) else Reason.NOT_PERMITTED
            raise Failure(Unknown(reason, f"the API server refuses: {refused.message}")) from refused

    async def _on_registry(self, seen: Seen, action: RegistryAction) -> None:
        if seen.admin is None:
            raise Failure(Unknown(Reason.TARGET_UNAVAILABLE, "the registry's address is not known"))
        if isinstance(action, BuildIndexes):
            kind = "tables in use" if action.in_use else "shadows"
            self._databases.begin(seen.admin, seen.take_over, kind, action.build, _indexes_call(action))
            return
        try:
            await self._databases.act(seen.admin, seen.take_over, registry_call(seen, action))
        except Failure as failure:
            if isinstance(action, DeleteProjection | Retire):
                raise _lasting(failure, Reason.TARGET_IN_USE) from failure
            if isinstance(action, Swap):
                raise _lasting(failure, Reason.SWAP_REFUSED) from failure
            raise


def _lasting(failure: Failure, reason: Reason) -> Failure:
    # What is out of step here does not pass by itself: objects of others depend on what is to be dropped or replaced.
    known = failure.unknown
    return Failure(Unknown(reason if known.reason is Reason.OUT_OF_STEP else known.reason, known.message))


def _indexes_call(action: BuildIndexes) -> Callable[[Registry, int], object]:
    indexes = (action.build, action.wanted, action.needless)
    return lambda registry, epoch: registry.build_indexes(epoch, *indexes, analyze=action.analyze)


def registry_call(
    seen: Seen, action: Claim | BeginBuild | BuildAction | DeleteProjection
) -> Callable[[Registry, int], object]:
    """The call of the registry that `action` stands for."""
    me, uid = seen.identity, seen.observation.resource.uid

    def call(registry: Registry, epoch: int) -> None:
        match action:
            case Claim():
                registry.claim(epoch, me, uid, action.public_name)
            case BeginBuild():
                wish = (action.version, action.token, action.definition, action.partitions, action.worker_role)
                registry.begin(epoch, me, *wish)
            case DeleteProjection():
                registry.delete(epoch, me)
            case _:
                _on_build(registry, epoch, action)

    return call


def _on_build(registry: Registry, epoch: int, action: BuildAction) -> None:
    match action:
        case AdmitPartitions():
            registry.admit_partitions(epoch, action.build, action.partitions)
        case AdmitWorker():
            registry.admit_worker(epoch, action.build, action.worker_role)
        case OpenCatchUp():
            registry.open_catch_up(epoch, action.build)
        case Publish():
            registry.publish(epoch, action.build)
        case Swap():
            registry.swap(epoch, action.build, action.terms)
        case Abandon():
            registry.abandon(epoch, action.build, action.ending, action.reason)
        case Retire():
            registry.retire(epoch, action.build)
