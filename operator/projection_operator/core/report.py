"""Status from the facts and the outcome."""

from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from projection_operator.core import indexing, lag, rebuild
from projection_operator.core.case import Case
from projection_operator.core.conditions import Said, Truth, conditions
from projection_operator.core.manifests import selector_text
from projection_operator.core.observation import Unknown
from projection_operator.core.outcome import Outcome
from projection_operator.core.plan import plan
from projection_operator.core.reasons import STALLED, Reason
from projection_operator.core.status import (
    Candidate,
    ConditionType,
    IndexStatus,
    LagStatus,
    ParkedStatus,
    Phase,
    PlanStatus,
    Retained,
    Status,
)
from projection_operator.core.trouble import trouble

T = TypeVar("T")

_AT_REST = frozenset({Reason.SERVING, Reason.SUSPENDED, Reason.SCALED_TO_ZERO, Reason.HELD})


def report(case: Case, said: Outcome) -> Status:
    """The status to write."""
    spoken = (
        _ready(case, said),
        _reconciling(case, said),
        _stalled(said),
        _lag_known(case),
        _degraded(case),
        *rebuild.conditions(case, said),
    )
    by_type = {condition.type: condition for condition in spoken}
    live, version = _live(case)
    unseen = isinstance(case.obs.registry, Unknown)
    return Status(
        observed_generation=case.obs.resource.generation,
        phase=_phase(case, said, by_type),
        live_version=version,
        live_build=live,
        candidate=_last_known(case, "candidate", _CANDIDATE) if unseen else rebuild.candidate(case, said),
        retained=_retained(case, unseen),
        plan=_plan(case),
        parked=_parked(case),
        indexes=(_last_known(case, "indexes", _INDEXES) or ()) if unseen else _indexes(case),
        lag=LagStatus(events=case.lag.events, seconds=case.lag.seconds) if isinstance(case.lag, lag.Lag) else None,
        replicas=_replicas(case),
        selector=_selector(case),
        conditions=conditions(spoken, case.obs.resource, case.now),
    )


_CANDIDATE = TypeAdapter(Candidate)
_INDEXES = TypeAdapter(tuple[IndexStatus, ...])
_RETAINED = TypeAdapter(tuple[Retained, ...])


def _last_known(case: Case, field: str, kind: TypeAdapter[T]) -> T | None:
    """What the status said of builds, where they cannot be seen: unknown is not gone."""
    try:
        return kind.validate_python(case.obs.resource.status.get(field))
    except ValidationError:
        return None


def _retained(case: Case, unseen: bool) -> tuple[Retained, ...]:
    if unseen or case.spec is None:
        return _last_known(case, "retained", _RETAINED) or ()
    return rebuild.retained(case)


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


def _reconciling(case: Case, said: Outcome) -> Said:
    if said.reason in STALLED or said.reason in _AT_REST:
        reason = said.reason if said.reason in _AT_REST else Reason.SETTLED
        message = said.message if said.reason in _AT_REST else "stalled: see the condition Stalled"
        return Said(ConditionType.RECONCILING, "False", reason, message)
    if _any_will_do(case):
        message = f"{said.message}; spec.readinessPolicy is ServingAny, and a version serves"
        return Said(ConditionType.RECONCILING, "False", said.reason, message)
    hindered = None if case.live is None or case.candidate is None else trouble(case, case.candidate)
    if hindered is not None and said.reason in _ON_THE_WAY:
        return Said(ConditionType.RECONCILING, "True", hindered.reason, f"{said.message}; {hindered.message}")
    return Said(ConditionType.RECONCILING, "True", said.reason, said.message)


_ON_THE_WAY = frozenset({Reason.REPLAYING, Reason.CATCHING_UP})


def _any_will_do(case: Case) -> bool:
    return case.live is not None and case.spec is not None and case.spec.readiness_policy == "ServingAny"


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
    found = trouble(case, case.current)
    if found is None:
        return Said(ConditionType.DEGRADED, "False", Reason.AS_EXPECTED, "the read model is fed as the spec asks")
    return Said(ConditionType.DEGRADED, "True", found.reason, found.message)


def _phase(case: Case, said: Outcome, conditions_: dict[ConditionType, Said]) -> Phase:
    if case.obs.resource.deleting:
        return Phase.DELETING
    if conditions_[ConditionType.STALLED].status == "True":
        return Phase.STALLED
    if case.suspended:
        return Phase.SUSPENDED
    return _phase_of_build(case, said, conditions_)


def _phase_of_build(case: Case, said: Outcome, conditions_: dict[ConditionType, Said]) -> Phase:
    degraded = conditions_[ConditionType.DEGRADED].status == "True"
    unknown = conditions_[ConditionType.READY].status == "Unknown"
    if (degraded and case.live is not None) or unknown:
        return Phase.DEGRADED
    if case.returning is not None:
        return Phase.ROLLING_BACK
    if case.candidate is not None and case.held is None:
        return rebuild.step(case, said)
    return Phase.PENDING if case.live is None else Phase.LIVE


def _plan(case: Case) -> PlanStatus | None:
    """Told while the change is not made; a plan that cannot be made now is not the one of before."""
    found = plan(case)
    return found if isinstance(found, PlanStatus) else None


def _parked(case: Case) -> ParkedStatus | None:
    return None if case.current is None else ParkedStatus(keys=case.current.parked_keys)


def _indexes(case: Case) -> tuple[IndexStatus, ...]:
    return () if case.current is None else tuple(indexing.statuses(case, case.current))


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
