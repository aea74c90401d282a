"""What holds whatever comes next: Deployments of the builds in work, and removal of what is given up."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from projection_operator.core import lag
from projection_operator.core.actions import (
    Abandon,
    Action,
    AdmitPartitions,
    AdmitWorker,
    EnsureDeployment,
    RemoveDeployment,
    RemoveGroup,
    Retire,
)
from projection_operator.core.case import Case
from projection_operator.core.indexing import index_actions
from projection_operator.core.manifests import (
    CONTAINER,
    MAX_RATE,
    VERSION_ANNOTATION,
    Owner,
    Run,
    deployment,
)
from projection_operator.core.merge import contains
from projection_operator.core.observation import Child, SourceView, Unknown, WorkerAccess
from projection_operator.core.rollout import replicas_of_candidate
from projector.ports import Partition
from projector.registry import BuildState, BuildView, Ending
from projector.spec.base import length
from projector.spec.models import ProjectionSpec

GROUP_PATIENCE = timedelta(minutes=10)
"""How long a build that was given up waits for its consumer group to be empty and forgotten."""


def upkeep(case: Case, next_actions: tuple[Action, ...]) -> tuple[Action, ...]:
    """Actions beside those of the edge. None while deleting, nor where the Deployments could not be read."""
    if case.obs.resource.deleting or not case.children_known:
        return ()
    if isinstance(case.obs.registry, Unknown):
        return _carry_on(case)
    leaving = {action.build for action in next_actions if isinstance(action, Abandon)}
    expired = _expire(case)
    leaving |= {action.build for action in expired}
    return (
        *_hand_over(case, leaving),
        *_admit(case, leaving),
        *_ensure_kept(case, leaving),
        *expired,
        *_remove(case),
        *_retire(case),
        *index_actions(case, leaving),
    )


def _expire(case: Case) -> tuple[Abandon, ...]:
    """Builds that were replaced long enough ago, unless one of them is asked for."""
    spec = case.spec
    if spec is None or not case.valid:
        return ()
    over = [build for build in case.warm if case.now >= kept_until(spec, build) and not case.asked(build)]
    why = f"was replaced longer ago than spec.rollback.retainFor ({spec.rollback.retain_for})"
    return tuple(Abandon(build.number, Ending.EXPIRED, why) for build in over)


def kept_until(spec: ProjectionSpec, build: BuildView) -> datetime:
    """When a build that was replaced is dropped."""
    return build.changed_at + length(spec.rollback.retain_for)


def _admit(case: Case, leaving: set[int]) -> tuple[Action, ...]:
    growing = [b for b in case.kept if b.number not in leaving and lag.may_grow(b)]
    wanting = [(build.number, _added(case, build)) for build in growing]
    return tuple(AdmitPartitions(number, new) for number, new in wanting if new)


def _added(case: Case, build: BuildView) -> tuple[Partition, ...]:
    source = case.log_of(build)
    return lag.added(build, source) if isinstance(source, SourceView) else ()


def _hand_over(case: Case, leaving: set[int]) -> tuple[Action, ...]:
    worker = case.obs.worker
    if not isinstance(worker, WorkerAccess):
        return ()
    others = [build.number for build in case.kept if build.worker_role != worker.role and build.number not in leaving]
    return tuple(AdmitWorker(number, worker.role) for number in others)


def _ensure_kept(case: Case, leaving: set[int]) -> tuple[Action, ...]:
    spec = case.spec
    if spec is None:
        return ()
    staying = [build for build in case.kept if build.number not in leaving]
    return tuple(action for build in staying for action in _ensure_build(case, spec, build))


def _ensure_build(case: Case, spec: ProjectionSpec, build: BuildView) -> tuple[Action, ...]:
    image = build.definition.image or _image(case, spec)
    run = Run(build.number, build.epoch, build.version, replicas_of(case, build), image, _max_rate(case, spec, build))
    return _ensure(case, spec, run)


def _max_rate(case: Case, spec: ProjectionSpec, build: BuildView) -> str | None:
    """Only a replay reads it. Later it stays as it is in what runs: pods must not start anew for nothing."""
    child = case.child_of(build)
    if build.state is not BuildState.REPLAYING and child is not None:
        return _running_limit(child)
    limit, pods = spec.rebuild.max_events_per_second, max(1, replicas_of_candidate(case))
    return None if limit is None else f"{limit / pods:g}"


def _running_limit(child: Child) -> str | None:
    """The limit that a Deployment was given."""
    found = {one["name"]: one.get("value") for one in _running_container(child).get("env") or ()}
    return found.get(MAX_RATE)


def replicas_of(case: Case, build: BuildView) -> int:
    """How many pods a build is to have now."""
    spec = case.spec
    if spec is None or spec.suspend:
        return 0
    if build.state is BuildState.WARM and not (spec.rollback.keep_warm or case.asked(build)):
        return 0
    replays = build.state in {BuildState.REPLAYING, BuildState.CATCHING_UP}
    return replicas_of_candidate(case) if replays else spec.scaling.replicas


def _carry_on(case: Case) -> tuple[Action, ...]:
    # The registry is silent: keep what runs, so that suspend, scaling and the template work through an outage.
    spec = case.spec
    if spec is None:
        return ()
    return tuple(action for child in case.children for action in _keep(case, spec, child))


def _keep(case: Case, spec: ProjectionSpec, child: Child) -> tuple[Action, ...]:
    annotations = child.manifest.get("metadata", {}).get("annotations", {})
    # Which image holds the handler of a build is written in the registry, and in what runs.
    image = _running_image(child) if spec.handler else _image(case, spec)
    version = annotations.get(VERSION_ANNOTATION, "")
    replicas, limit = _replicas_kept(case, spec, child), _running_limit(child)
    return _ensure(case, spec, Run(child.build, child.epoch, version, replicas, image, limit))


def _replicas_kept(case: Case, spec: ProjectionSpec, child: Child) -> int:
    """Of several builds the registry knows which is which; until it says so, they keep what they have."""
    if len(case.children) == 1 or spec.suspend:
        return wanted_replicas(spec)
    kept: int = child.manifest["spec"]["replicas"]
    return kept


def _running_image(child: Child) -> str:
    image: str = _running_container(child)["image"]
    return image


def _running_container(child: Child) -> Mapping[str, Any]:
    containers = child.manifest["spec"]["template"]["spec"]["containers"]
    found: Mapping[str, Any] = next(one for one in containers if one["name"] == CONTAINER)
    return found


def _image(case: Case, spec: ProjectionSpec) -> str:
    return spec.projector.image or case.obs.site.projector_image


def _ensure(case: Case, spec: ProjectionSpec, run: Run) -> tuple[Action, ...]:
    resource = case.obs.resource
    manifest = deployment(Owner(resource.namespace, resource.name, resource.uid), spec, run)
    running = next((child for child in case.children if child.build == run.build), None)
    if running is not None and contains(running.manifest, manifest):
        return ()
    return (EnsureDeployment(run.build, manifest),)


def wanted_replicas(spec: ProjectionSpec) -> int:
    """How many pods the spec asks for."""
    return 0 if spec.suspend else spec.scaling.replicas


def _remove(case: Case) -> tuple[Action, ...]:
    builds = () if case.view is None else case.view.builds
    kept = {build.number for build in builds} - {build.number for build in case.abandoned}
    return tuple(RemoveDeployment(child.name) for child in case.children if child.build not in kept)


def _retire(case: Case) -> tuple[Action, ...]:
    # Only once the Deployment is gone, so that no worker starts anew on a table that is being dropped.
    gone = [build for build in case.abandoned if case.child_of(build) is None]
    return tuple(action for build in gone for action in (*_forget_group(case, build), Retire(build.number)))


def _forget_group(case: Case, build: BuildView) -> tuple[Action, ...]:
    """Kafka forgets groups by itself after a while: where it does not answer, nothing waits for it for ever."""
    if case.spec is None or case.now - build.changed_at > GROUP_PATIENCE:
        return ()
    return (RemoveGroup(case.spec.source.kafka.bootstrap_servers, build.consumer_group),)
