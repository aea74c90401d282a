"""What the status says of a rebuild: the candidate, what is kept, and their conditions."""

from datetime import datetime, timedelta

from projection_operator.core import indexing, lag
from projection_operator.core.case import Case
from projection_operator.core.conditions import Said
from projection_operator.core.observation import HOLD_VERSION
from projection_operator.core.outcome import Outcome, named
from projection_operator.core.reasons import Reason
from projection_operator.core.status import Candidate, ConditionType, Phase, Retained
from projection_operator.core.upkeep import kept_until, replicas_of
from projector.registry import BuildState, BuildView

_STEPS = {
    Reason.AWAITING_APPROVAL: Phase.AWAITING_APPROVAL,
    Reason.SWAPPING: Phase.SWAPPING,
    Reason.SWAP_WAITING: Phase.SWAPPING,
    Reason.SWAP_REFUSED: Phase.SWAPPING,
}
_INDEXING = frozenset({Reason.INDEXING, Reason.INDEX_FAILED})


def step(case: Case, said: Outcome) -> Phase:
    """Where the candidate stands."""
    if said.reason in _INDEXING:
        return Phase.INDEXING
    if case.candidate is not None and case.candidate.state is BuildState.REPLAYING:
        return Phase.REPLAYING
    return _STEPS.get(said.reason, Phase.CATCHING_UP)


def candidate(case: Case, said: Outcome) -> Candidate | None:
    """The build on its way."""
    build = case.candidate
    if build is None:
        return None
    where = step(case, said)
    rate = case.obs.rates.get(build.number) if where is Phase.REPLAYING else None
    return Candidate(
        version=build.version,
        build=build.number,
        step=where,
        percent=indexing.percent(case, build) if where is Phase.INDEXING else lag.percent(build),
        events_per_second=None if rate is None else round(rate),
        eta=_eta(case, build, rate),
    )


def _eta(case: Case, build: BuildView, rate: float | None) -> str | None:
    if not rate:
        return None
    left = lag.to_replay(build) - lag.replayed_events(build)
    return timestamp(case.now + timedelta(seconds=left / rate))


def retained(case: Case) -> tuple[Retained, ...]:
    """Builds that were live and are kept, newest first."""
    spec = case.spec
    if spec is None:
        return ()
    return tuple(
        Retained(
            version=build.version,
            build=build.number,
            fed=replicas_of(case, build) > 0,
            until=timestamp(kept_until(spec, build)),
        )
        for build in sorted(case.warm, key=lambda build: -build.number)
    )


def timestamp(at: datetime) -> str:
    """A time as the API server writes it; what is finer than a second is not said."""
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def conditions(case: Case, said: Outcome) -> tuple[Said, ...]:
    """Rebuilding, ApprovalRequired and Held."""
    return _rebuilding(case), _approval(said), _held(case)


def _rebuilding(case: Case) -> Said:
    live, build = case.live, case.candidate
    if live is None or build is None:
        return Said(ConditionType.REBUILDING, "False", Reason.NO_REBUILD, "no version is being built beside a live one")
    reason = Reason.REPLAYING if build.state is BuildState.REPLAYING else Reason.CATCHING_UP
    return Said(ConditionType.REBUILDING, "True", reason, f"{named(build)} is built beside {named(live)}")


def _approval(said: Outcome) -> Said:
    if said.reason is Reason.AWAITING_APPROVAL:
        return Said(ConditionType.APPROVAL_REQUIRED, "True", said.reason, said.message)
    return Said(ConditionType.APPROVAL_REQUIRED, "False", Reason.NOT_NEEDED, "no plan waits for a person")


def _held(case: Case) -> Said:
    if case.held is None:
        return Said(ConditionType.HELD, "False", Reason.NOT_HELD, f"the annotation {HOLD_VERSION} is not set")
    message = f"the annotation {HOLD_VERSION} holds version {case.held}, whatever spec.version says"
    return Said(ConditionType.HELD, "True", Reason.HELD, message)
