"""Status from the facts and the outcome."""

from datetime import timedelta

from projection_operator.core import lag
from projection_operator.core.case import Case
from projection_operator.core.conditions import Said, Truth, conditions
from projection_operator.core.edges import Outcome
from projection_operator.core.manifests import selector_text
from projection_operator.core.observation import Unknown
from projection_operator.core.reasons import STALLED, Reason
from projection_operator.core.status import Candidate, ConditionType, LagStatus, ParkedStatus, Phase, Status
from projection_operator.core.upkeep import wanted_replicas
from projector.registry import BuildState, BuildView

PATIENCE_WITH_PODS = timedelta(seconds=20)
"""How long pods may take to become ready before that is called trouble."""

_AT_REST = frozenset({Reason.SERVING, Reason.SUSPENDED, Reason.SCALED_TO_ZERO})


def report(case: Case, said: Outcome) -> Status:
    """The status to write."""
    spoken = (_ready(case, said), _reconciling(said), _stalled(said), _lag_known(case), _degraded(case))
    by_type = {condition.type: condition for condition in spoken}
    live, version = _live(case)
    return Status(
        observed_generation=case.obs.resource.generation,
        phase=_phase(case, by_type),
        live_version=version,
        live_build=live,
        candidate=_candidate(case),
        parked=_parked(case),
        lag=LagStatus(events=case.lag.events, seconds=case.lag.seconds) if isinstance(case.lag, lag.Lag) else None,
        replicas=_replicas(case),
        selector=_selector(case),
        conditions=conditions(spoken, case.obs.resource, case.now),
    )


def _live(case: Case) -> tuple[int | None, str | None]:
    if case.live is not None:
        return case.live.number, case.live.version
    if isinstance(case.obs.registry, Unknown):
        # Last known; Ready is Unknown beside it.
        before = case.obs.resource.status
        return before.get("liveBuild"), before.get("liveVersion")
    return None, None


def _ready(case: Case, said: Outcome) -> Said:
    if case.obs.resource.deleting:
        return Said(ConditionType.READY, "False", said.reason, said.message)
    if case.live is not None:
        reason = Reason.SUSPENDED if case.suspended else Reason.SERVING
        public_name = case.view.public_name if case.view else ""
        unfed = "; it is not fed while spec.suspend is true" if case.suspended else ""
        message = f"version {case.live.version} (build {case.live.number}) serves as {public_name}{unfed}"
        return Said(ConditionType.READY, "True", reason, message)
    was_live = _live(case)[0] is not None
    status: Truth = "Unknown" if was_live else "False"
    return Said(ConditionType.READY, status, said.reason, said.message)


def _reconciling(said: Outcome) -> Said:
    if said.reason in STALLED or said.reason in _AT_REST:
        reason = said.reason if said.reason in _AT_REST else Reason.SETTLED
        message = said.message if said.reason in _AT_REST else "stalled: see the condition Stalled"
        return Said(ConditionType.RECONCILING, "False", reason, message)
    return Said(ConditionType.RECONCILING, "True", said.reason, said.message)


def _stalled(said: Outcome) -> Said:
    if said.reason in STALLED:
        return Said(ConditionType.STALLED, "True", said.reason, said.message)
    return Said(ConditionType.STALLED, "False", Reason.PROGRESSING, "nothing needs a person")


def _lag_known(case: Case) -> Said:
    if isinstance(case.obs.registry, Unknown):
        return Said(ConditionType.LAG_KNOWN, "False", case.obs.registry.reason, case.obs.registry.message)
    if isinstance(case.lag, Unknown):
        return Said(ConditionType.LAG_KNOWN, "False", case.lag.reason, case.lag.message)
    return Said(ConditionType.LAG_KNOWN, "True", Reason.MEASURED, "from the registry's checkpoints and the log's ends")


def _degraded(case: Case) -> Said:
    if case.current is None:
        return Said(ConditionType.DEGRADED, "False", Reason.NO_BUILD, "nothing has been built yet")
    trouble = _trouble(case, case.current)
    if trouble is None:
        return Said(ConditionType.DEGRADED, "False", Reason.AS_EXPECTED, "the read model is fed as the spec asks")
    return Said(ConditionType.DEGRADED, "True", trouble.reason, trouble.message)


def _trouble(case: Case, build: BuildView) -> Unknown | None:
    """What keeps `build` from being fed, worst first."""
    if case.stuck is not None:
        return case.stuck
    for part in (case.misfit, case.obs.worker, case.obs.source, case.blocked):
        if isinstance(part, Unknown):
            return part
    return _nobody_works(case, build) or case.parked


def _nobody_works(case: Case, build: BuildView) -> Unknown | None:
    wanted = 0 if case.spec is None else wanted_replicas(case.spec)
    since = None if case.child is None or case.child.ready > 0 else case.child.unavailable_since
    if wanted == 0 or since is None or case.now - since < PATIENCE_WITH_PODS:
        return None
    resource = case.obs.resource
    labels = selector_text(resource.name, build.number)
    return Unknown(
        Reason.NO_WORKER_READY,
        f"0 of {wanted} projector pods are ready; see: kubectl --namespace {resource.namespace} "
        f"describe pods --selector {labels}",
    )


def _phase(case: Case, said: dict[ConditionType, Said]) -> Phase:
    if case.obs.resource.deleting:
        return Phase.DELETING
    if said[ConditionType.STALLED].status == "True":
        return Phase.STALLED
    if case.suspended:
        return Phase.SUSPENDED
    return _phase_of_build(case, said)


def _phase_of_build(case: Case, said: dict[ConditionType, Said]) -> Phase:
    if case.live is not None:
        return Phase.DEGRADED if said[ConditionType.DEGRADED].status == "True" else Phase.LIVE
    if said[ConditionType.READY].status == "Unknown":
        return Phase.DEGRADED
    if case.candidate is not None:
        return Phase.REPLAYING if case.candidate.state is BuildState.REPLAYING else Phase.CATCHING_UP
    return Phase.PENDING


def _candidate(case: Case) -> Candidate | None:
    build = case.candidate
    if build is None:
        return None
    return Candidate(version=build.version, build=build.number, step=build.state, percent=lag.percent(build))


def _parked(case: Case) -> ParkedStatus | None:
    return None if case.current is None else ParkedStatus(keys=case.current.parked_keys)


def _replicas(case: Case) -> int | None:
    if not case.children_known:
        known: int | None = case.obs.resource.status.get("replicas")
        return known
    return 0 if case.child is None else case.child.replicas


def _selector(case: Case) -> str | None:
    if case.child is not None:
        return selector_text(case.obs.resource.name, case.child.build)
    before: str | None = case.obs.resource.status.get("selector")
    return before
