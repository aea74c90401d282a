"""What keeps a build from being fed."""

from datetime import timedelta

from projection_operator.core import lag
from projection_operator.core.case import Case
from projection_operator.core.manifests import selector_text
from projection_operator.core.observation import SourceView, Unknown
from projection_operator.core.reasons import Reason
from projection_operator.core.upkeep import replicas_of
from projector.registry import BuildView

PATIENCE_WITH_PODS = timedelta(seconds=20)
"""How long pods may take to become ready before that is called trouble."""


def trouble(case: Case, build: BuildView) -> Unknown | None:
    """The worst of what keeps `build` from being fed."""
    stuck = lag.stuck(build, case.identity)
    if stuck is not None:
        return stuck
    source = case.log_of(build)
    for part in (case.misfit_of(build), case.obs.worker, source, _blocked(case, build)):
        if isinstance(part, Unknown):
            return part
    return _nobody_works(case, build) or lag.parked(build, case.identity)


def _blocked(case: Case, build: BuildView) -> Unknown | None:
    """Open transactions that hide events for too long."""
    source = case.log_of(build)
    if case.spec is None or not isinstance(source, SourceView):
        return None
    return lag.blocked(build, source, case.spec.source.kafka.bootstrap_servers, case.now)


def _nobody_works(case: Case, build: BuildView) -> Unknown | None:
    wanted, child = replicas_of(case, build), case.child_of(build)
    since = None if child is None or child.ready > 0 else child.unavailable_since
    if wanted == 0 or since is None or case.now - since < PATIENCE_WITH_PODS:
        return None
    resource = case.obs.resource
    labels = selector_text(resource.name, build.number)
    return Unknown(
        Reason.NO_WORKER_READY,
        f"0 of {wanted} projector pods are ready; see: kubectl --namespace {resource.namespace} "
        f"describe pods --selector {labels}",
    )
