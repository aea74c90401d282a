"""What holds whatever comes next: Deployments of the builds in work, and removal of what is given up."""

from projection_operator.core.actions import Abandon, Action, EnsureDeployment, RemoveDeployment, Retire
from projection_operator.core.case import Case
from projection_operator.core.manifests import VERSION_ANNOTATION, Owner, deployment
from projection_operator.core.merge import contains
from projection_operator.core.observation import Child, Unknown
from projector.spec.models import ProjectionSpec


def upkeep(case: Case, next_actions: tuple[Action, ...]) -> tuple[Action, ...]:
    """Actions beside those of the edge. None while deleting, nor where the Deployments could not be read."""
    if case.obs.resource.deleting or not case.children_known:
        return ()
    if isinstance(case.obs.registry, Unknown):
        return _carry_on(case)
    leaving = {action.build for action in next_actions if isinstance(action, Abandon)}
    return (*_ensure_current(case, leaving), *_remove(case), *_retire(case))


def _ensure_current(case: Case, leaving: set[int]) -> tuple[Action, ...]:
    build = case.current
    if build is None or build.number in leaving:
        return ()
    return _ensure(case, build.number, build.epoch, build.version)


def _carry_on(case: Case) -> tuple[Action, ...]:
    # The registry is silent: keep what runs, so that suspend, scaling and the template work through an outage.
    child = case.child
    if child is None:
        return ()
    annotations = child.manifest.get("metadata", {}).get("annotations", {})
    return _ensure(case, child.build, child.epoch, annotations.get(VERSION_ANNOTATION, ""))


def _ensure(case: Case, build: int, epoch: int, version: str) -> tuple[Action, ...]:
    if case.spec is None:
        return ()
    resource = case.obs.resource
    manifest = deployment(
        Owner(resource.namespace, resource.name, resource.uid),
        case.spec,
        build,
        epoch,
        version,
        replicas=wanted_replicas(case.spec),
        image=case.spec.projector.image or case.obs.site.projector_image,
    )
    running = next((child for child in case.children if child.build == build), None)
    if running is not None and contains(running.manifest, manifest):
        return ()
    return (EnsureDeployment(build, manifest),)


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
