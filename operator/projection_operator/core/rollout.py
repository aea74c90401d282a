"""A candidate on its way: replayed, caught up, approved, shown; or given up."""

from collections.abc import Callable

from projection_operator.core import lag
from projection_operator.core.actions import Abandon, OpenCatchUp, Publish, Swap
from projection_operator.core.case import Case
from projection_operator.core.indexing import failed, failure, indexing, unprepared
from projection_operator.core.manifests import selector_text
from projection_operator.core.observation import Unknown
from projection_operator.core.outcome import Edge, Outcome, named, pass_on, sure
from projection_operator.core.plan import approved, plan
from projection_operator.core.reasons import Reason
from projection_operator.core.serving import misfit, of_log, redefined, suspended
from projection_operator.core.status import PlanStatus
from projection_operator.core.terms import distance, max_lag, near, swap_terms
from projector.registry import BuildState, Ending
from projector.spec.base import length


def _aborted(case: Case) -> bool:
    candidate, spec = case.candidate, case.spec
    return candidate is not None and spec is not None and spec.promotion.abort_version == candidate.version


def _abort(case: Case) -> Outcome:
    build = sure(case.candidate)
    abandon = Abandon(build.number, Ending.ABORTED, "promotion.abortVersion names its version")
    return Outcome(Reason.ABANDONING, f"giving up {named(build)}: spec.promotion.abortVersion names it", (abandon,))


def _superseded(case: Case) -> bool:
    return case.candidate is not None and case.held is None and not case.asked(case.candidate)


def _supersede(case: Case) -> Outcome:
    build = sure(case.candidate)
    abandon = Abandon(build.number, Ending.SUPERSEDED, "another version or rebuildToken is asked for")
    message = f"giving up build {build.number} of version {build.version}: another version or rebuildToken is asked for"
    return Outcome(Reason.ABANDONING, message, (abandon,))


GIVEN_UP: tuple[Edge, ...] = (
    Edge("candidate, aborted", _aborted, _abort),
    Edge("candidate, superseded", _superseded, _supersede),
)


def _cannot_pass(case: Case) -> bool:
    return case.candidate is not None and misfit(case, case.candidate) is not None


def _replayed(case: Case) -> bool:
    return _in(BuildState.REPLAYING)(case) and lag.replayed(sure(case.candidate))


def _open(case: Case) -> Outcome:
    build = sure(case.candidate)
    return Outcome(Reason.REPLAYING, f"build {build.number} has replayed everything", (OpenCatchUp(build.number),))


def _to_prepare(case: Case) -> bool:
    return _replayed(case) or _caught_up(case)


def _caught_up(case: Case) -> bool:
    return _in(BuildState.CATCHING_UP)(case) and near(case, sure(case.candidate))


def _publish(case: Case) -> Outcome:
    build = sure(case.candidate)
    return Outcome(Reason.CATCHING_UP, f"build {build.number} has caught up", (Publish(build.number),))


def _unplanned(case: Case) -> bool:
    return case.live is not None and _caught_up(case) and isinstance(plan(case), Unknown)


def awaits_approval(case: Case) -> bool:
    """Whether a person has to approve the plan before the candidate is shown."""
    return case.live is not None and _caught_up(case) and not approved(case)


def _await(case: Case) -> Outcome:
    found, build = plan(case), sure(case.candidate)
    assert isinstance(found, PlanStatus)  # noqa: S101 - the row above decided all else
    manual = case.spec is not None and case.spec.promotion.mode == "Manual"
    why = "spec.promotion.mode is Manual" if manual else "the live table has objects that the new one lacks"
    return Outcome(
        Reason.AWAITING_APPROVAL,
        f"{named(build)} has caught up and waits: {why}. See status.plan; to show it, set "
        f"spec.promotion.approvedPlan to {found.hash}",
    )


def _swap(case: Case) -> Outcome:
    build = sure(case.candidate)
    swap = Swap(build.number, swap_terms(case, build))
    return Outcome(Reason.SWAPPING, f"{named(build)} takes the place of {named(sure(case.live))}", (swap,))


def _scaled_to_zero(case: Case) -> bool:
    return case.candidate is not None and case.spec is not None and replicas_of_candidate(case) == 0


def replicas_of_candidate(case: Case) -> int:
    """Pods that the spec asks for while a candidate is on its way."""
    spec = case.spec
    if spec is None:
        return 0
    return spec.scaling.replicas if spec.rebuild.parallelism is None else spec.rebuild.parallelism


def _stands_still(case: Case) -> bool:
    build, spec = case.candidate, case.spec
    if build is None or spec is None:
        return False
    moved = max((point.moved_at for point in build.checkpoints), default=build.changed_at)
    return case.now - max(moved, build.changed_at) > length(spec.rebuild.step_deadline)


def _no_progress(case: Case) -> Outcome:
    build, resource = sure(case.candidate), case.obs.resource
    deadline = case.spec.rebuild.step_deadline if case.spec else ""
    labels = selector_text(resource.name, build.number)
    return Outcome(
        Reason.NO_PROGRESS,
        f"{named(build)} has made no progress for longer than spec.rebuild.stepDeadline ({deadline}); see: "
        f"kubectl --namespace {resource.namespace} logs --selector {labels}",
    )


def _replay(case: Case) -> Outcome:
    build = sure(case.candidate)
    return Outcome(
        Reason.REPLAYING, f"build {build.number} of version {build.version} has replayed {lag.percent(build)} %"
    )


def _catch_up(case: Case) -> Outcome:
    build = sure(case.candidate)
    return Outcome(
        Reason.CATCHING_UP,
        f"build {build.number} of version {build.version} is {distance(case, build)}; shown at {max_lag(case)}",
    )


def _in(state: BuildState) -> Callable[[Case], bool]:
    return lambda case: case.candidate is not None and case.candidate.state is state


CANDIDATE: tuple[Edge, ...] = (
    Edge(
        "candidate, redefined",
        lambda c: c.candidate is not None and c.redefined(c.candidate),
        lambda c: redefined(sure(c.candidate)),
    ),
    Edge(
        "candidate, log does not fit",
        _cannot_pass,
        lambda c: of_log(misfit(c, sure(c.candidate))),
    ),
    Edge("suspended", lambda c: c.suspended, suspended),
    Edge(
        "candidate, index failed",
        lambda c: _to_prepare(c) and failure(c, sure(c.candidate)) is not None,
        lambda c: failed(c, c.candidate),
    ),
    Edge(
        "candidate, indexes missing",
        lambda c: _to_prepare(c) and unprepared(c, sure(c.candidate)),
        lambda c: indexing(c, c.candidate),
    ),
    Edge("replayed", _replayed, _open),
    Edge("caught up, first", lambda c: c.live is None and _caught_up(c), _publish),
    Edge("caught up, plan unknown", _unplanned, lambda c: pass_on(plan(c))),
    Edge("caught up, not approved", awaits_approval, _await),
    Edge("caught up", _caught_up, _swap),
    Edge(
        "candidate, scaled to zero",
        _scaled_to_zero,
        lambda _: Outcome(Reason.SCALED_TO_ZERO, "spec.scaling.replicas is 0: no projector runs"),
    ),
    Edge(
        "candidate, log unknown",
        lambda c: c.candidate is not None and isinstance(c.log_of(c.candidate), Unknown),
        lambda c: pass_on(c.log_of(sure(c.candidate))),
    ),
    Edge(
        "candidate, no access",
        lambda c: c.candidate is not None and isinstance(c.obs.worker, Unknown),
        lambda c: pass_on(c.obs.worker),
    ),
    Edge("candidate, stands still", _stands_still, _no_progress),
    Edge("replaying", _in(BuildState.REPLAYING), _replay),
    Edge("catching up", _in(BuildState.CATCHING_UP), _catch_up),
)
