"""What holds whatever comes next: Deployments of the builds in work, and removal of what is given up."""

from projection_operator.core import lag
from projection_operator.core.actions import (
    Abandon,
    Action,
    AdmitPartitions,
    AdmitWorker,
    EnsureDeployment,
    RemoveDeployment,
    Retire,
)
from projection_operator.core.case import Case
from projection_operator.core.manifests import (
    CONTAINER,
    VERSION_ANNOTATION,
    Owner,
    Run,
    deployment,
)
from projection_operator.core.merge import contains
from projection_operator.core.observation import Child, SourceView, Unknown, WorkerAccess
from projector.spec.models import ProjectionSpec


def upkeep(case: Case, next_actions: tuple[Action, ...]) -> tuple[Action, ...]:
    """Actions beside those of the edge. None while deleting, nor where the Deployments could not be read."""
    if case.obs.resource.deleting or not case.children_known:
        return ()
    if isinstance(case.obs.registry, Unknown):
        return _carry_on(case)
    leaving = {action.build for action in next_actions if isinstance(action, Abandon)}
    return (
        *_hand_over(case, leaving),
        *_admit(case, leaving),
        *_ensure_current(case, leaving),
        *_remove(case),
        *_retire(case),
    )


def _admit(case: Case, leaving: set[int]) -> tuple[Action, ...]:
    source = case.obs.source
    if not isinstance(source, SourceView):
        return ()
    growing = [b for b in case.kept if b.number not in leaving and lag.may_grow(b)]
    wanting = [(build.number, lag.added(build, source)) for build in growing]
    return tuple(AdmitPartitions(number, new) for number, new in wanting if new)


def _hand_over(case: Case, leaving: set[int]) -> tuple[Action, ...]:
    worker = case.obs.worker
    if not isinstance(worker, WorkerAccess):
        return ()
    others = [build.number for build in case.kept if build.worker_role != worker.role and build.number not in leaving]
    return tuple(AdmitWorker(number, worker.role) for number in others)


def _ensure_current(case: Case, leaving: set[int]) -> tuple[Action, ...]:
    build, spec = case.current, case.spec
    if build is None or spec is None or build.number in leaving:
        return ()
    image = build.definition.image or _image(case, spec)
    return _ensure(case, spec, Run(build.number, build.epoch, build.version, wanted_replicas(spec), image))


def _carry_on(case: Case) -> tuple[Action, ...]:
    # The registry is silent: keep what runs, so that suspend, scaling and the template work through an outage.
    child, spec = case.child, case.spec
    if child is None or spec is None:
        return ()
    annotations = child.manifest.get("metadata", {}).get("annotations", {})
    # Which image holds the handler of a build is written in the registry, and in what runs.
    image = _running_image(child) if spec.handler else _image(case, spec)
    version = annotations.get(VERSION_ANNOTATION, "")
    return _ensure(case, spec, Run(child.build, child.epoch, version, wanted_replicas(spec), image))


def _running_image(child: Child) -> str:
    containers = child.manifest["spec"]["template"]["spec"]["containers"]
    image: str = next(one["image"] for one in containers if one["name"] == CONTAINER)
    return image


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
    return tuple(Retire(build.number) for build in case.abandoned if not _has_child(case.children, build.number))


def _has_child(children: tuple[Child, ...], build: int) -> bool:
    return any(child.build == build for child in children)
