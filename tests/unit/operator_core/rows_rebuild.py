"""Rows of a change of version beside a live build, and of the way back."""

from dataclasses import replace
from datetime import timedelta

from projection_operator.core import actions
from projection_operator.core.case import Case
from projection_operator.core.observation import Desired, Observation, Site, SourceView
from projection_operator.core.plan import plan
from projection_operator.core.reasons import Reason
from projection_operator.core.status import PlanStatus
from projector.ports import Ends
from projector.registry import BuildState, EndedBuild, Ending, Survey, Unmanaged
from tests.support.projections import (
    IMAGE,
    INSTALLATION,
    INVALID,
    NO_SECRET,
    NOW,
    OTHER_RULES,
    P0,
    P1,
    SOURCE_DOWN,
    SURVEY,
    TARGET_DOWN,
    TOPIC_MISSING,
    UNREADABLE,
    back,
    beside,
    build,
    checkpoint,
    child,
    desired,
    holding,
    resource,
    second,
    second_build,
    source,
    view,
)
from tests.unit.operator_core.rows import F, Row, T

REPLAYING, CATCHING_UP, WARM = BuildState.REPLAYING, BuildState.CATCHING_UP, BuildState.WARM
HALFWAY = second_build(REPLAYING, (50, 50))
READY = second_build(CATCHING_UP)
HAND_MADE = Survey(1, 1, (), (), (Unmanaged("trigger", "audit", ""),))
BLIND = replace(SURVEY, blind="GRANT pg_read_all_stats TO operator")
MANUAL = {"mode": "Manual"}


def planned(seen: Observation) -> Observation:
    """The status has the plan."""
    return replace(seen, resource=replace(seen.resource, status={"plan": {"hash": hash_of(seen)}}))


def hash_of(seen: Observation) -> str:
    found = plan(Case(seen, NOW))
    assert isinstance(found, PlanStatus)
    return found.hash


def approving(seen: Observation, **promotion: str) -> Observation:
    """The spec names the plan."""
    return replace(seen, desired=second(promotion={**promotion, "approvedPlan": hash_of(seen)}))


def full(others: int, limit: int) -> Observation:
    return planned(beside(site=Site(INSTALLATION, IMAGE, limit), rebuilding=others))


def behind(*at: int) -> Observation:
    """A candidate that follows the log, at `at`, while the live build is at 200."""
    candidate = second_build(CATCHING_UP, at)
    return beside(candidate, registry=view(build(at=(200, 200)), candidate), source=source(200, 200))


def standing_still() -> Observation:
    since = NOW - timedelta(hours=1)
    points = tuple(replace(checkpoint(partition, 50), moved_at=since) for partition in (P0, P1))
    return beside(second_build(REPLAYING, checkpoints=points, changed_at=since))


LOST = EndedBuild(8, "2", "", Ending.ABORTED, "promotion.abortVersion names its version", NOW)
AGAIN: Desired = desired(rebuildToken="again")


def twice(state: BuildState) -> Observation:
    """Version 1 was built twice and is held; its second build is in `state`."""
    builds = [build(WARM, number=6), build(state, token="again")]  # noqa: S106 - not a password
    if state is WARM:
        builds.append(second_build(BuildState.LIVE))
    children = tuple(child(one.number, version=one.version) for one in builds)
    return back(desired=second(), resource=holding("1"), registry=view(*builds), children=children)


HELD_BACK = back(desired=second(), resource=holding("1"))
CUT_OFF = SourceView({P0: Ends(0, 90), P1: Ends(0, 100)})

REBUILD_ROWS = (
    # The plan, and what speaks against a beginning.
    Row("no build, plan not shown", beside(), Reason.PLANNED, (), (T, T, F)),
    Row("no build, plan not shown", beside(desired=AGAIN), Reason.PLANNED, (), (T, T, F)),
    Row(
        "no build, plan not shown",
        beside(resource=resource({"plan": {"hash": "of another change"}})),
        Reason.PLANNED, (), (T, T, F),
    ),
    Row("no build", planned(beside()), Reason.BEGINNING, (actions.BeginBuild,), (T, T, F)),
    Row("no build", planned(beside(desired=AGAIN)), Reason.BEGINNING, (actions.BeginBuild,), (T, T, F)),
    Row("no build", planned(beside(survey=HAND_MADE)), Reason.BEGINNING, (actions.BeginBuild,), (T, T, F)),
    Row(
        "no build",
        planned(beside(desired=second(promotion=MANUAL))),
        Reason.BEGINNING, (actions.BeginBuild,), (T, T, F),
    ),
    Row("no build, plan unknown", beside(survey=TARGET_DOWN), Reason.TARGET_UNAVAILABLE, (), (T, T, F)),
    Row("no build, plan unknown", beside(survey=None), Reason.OUT_OF_STEP, (), (T, T, F)),
    Row("no build, swap would be blind", planned(beside(survey=BLIND)), Reason.NOT_PERMITTED, (), (T, F, T)),
    Row(
        "no build",
        planned(beside(survey=BLIND, desired=second(promotion={"oldSnapshots": "Ignore"}))),
        Reason.BEGINNING, (actions.BeginBuild,), (T, T, F),
    ),
    Row("no build, too many rebuilds", full(others=2, limit=2), Reason.REBUILDS_LIMITED, (), (T, T, F)),
    Row("no build", full(others=1, limit=2), Reason.BEGINNING, (actions.BeginBuild,), (T, T, F)),
    Row("no build, log unknown", beside(source=SOURCE_DOWN), Reason.SOURCE_UNAVAILABLE, (), (T, T, F)),
    Row("no build, no access", beside(worker=NO_SECRET), Reason.SECRET_MISSING, (), (T, F, T)),
    Row("no build, compaction unknown", beside(compacted=SOURCE_DOWN), Reason.SOURCE_UNAVAILABLE, (), (T, T, F)),
    Row(
        "no build, log is partial",
        beside(source=SourceView({P0: Ends(1, 100), P1: Ends(0, 100)})),
        Reason.PARTIAL_HISTORY, (), (T, F, T),
    ),
    Row(
        "no build, abort asked for",
        beside(desired=second(promotion={"abortVersion": "2"})),
        Reason.ABORTED, (), (T, F, T),
    ),
    Row("no build, given up before", beside(registry=view(build(), ended=(LOST,))), Reason.ABORTED, (), (T, F, T)),
    Row(
        "no build, plan not shown",
        beside(registry=view(build(), ended=(LOST,)), desired=second(rebuildToken="again")),
        Reason.PLANNED, (), (T, T, F),
    ),
    Row("suspended", beside(desired=second(suspend=True)), Reason.SUSPENDED, (actions.EnsureDeployment,), (T, F, F)),
    # A candidate beside what is live.
    Row(
        "candidate, aborted",
        beside(HALFWAY, desired=second(promotion={"abortVersion": "2"})),
        Reason.ABANDONING, (actions.Abandon,), (T, T, F),
    ),
    Row("candidate, superseded", beside(HALFWAY, desired=desired()), Reason.ABANDONING, (actions.Abandon,), (T, T, F)),
    Row(
        "candidate, superseded",
        beside(READY, desired=second(version="3")),
        Reason.ABANDONING, (actions.Abandon,), (T, T, F),
    ),
    Row(
        "candidate, redefined",
        beside(HALFWAY, desired=desired(version="2")),
        Reason.DEFINITION_CHANGED, (), (T, F, T),
    ),
    Row("candidate, log does not fit", beside(READY, source=source(100, 90)), Reason.SOURCE_CHANGED, (), (T, F, T)),
    Row("candidate, log does not fit", beside(READY, source=TOPIC_MISSING), Reason.TOPIC_MISSING, (), (T, F, T)),
    Row(
        "suspended",
        beside(HALFWAY, desired=second(suspend=True)),
        Reason.SUSPENDED, (actions.EnsureDeployment,) * 2, (T, F, F),
    ),
    Row("replayed", beside(second_build(REPLAYING)), Reason.REPLAYING, (actions.OpenCatchUp,), (T, T, F)),
    Row("replaying", beside(HALFWAY), Reason.REPLAYING, (), (T, T, F)),
    Row("candidate, stands still", standing_still(), Reason.NO_PROGRESS, (), (T, F, T)),
    Row(
        "candidate, scaled to zero",
        beside(HALFWAY, desired=second(scaling={"replicas": 0})),
        Reason.SCALED_TO_ZERO, (actions.EnsureDeployment,) * 2, (T, F, F),
    ),
    Row("candidate, log unknown", beside(HALFWAY, source=SOURCE_DOWN), Reason.SOURCE_UNAVAILABLE, (), (T, T, F)),
    Row("candidate, no access", beside(HALFWAY, worker=NO_SECRET), Reason.SECRET_MISSING, (), (T, F, T)),
    Row("catching up", behind(200, 99), Reason.CATCHING_UP, (), (T, T, F)),
    Row("caught up", behind(200, 100), Reason.SWAPPING, (actions.Swap,), (T, T, F)),
    Row("caught up", beside(READY), Reason.SWAPPING, (actions.Swap,), (T, T, F)),
    Row(
        "caught up",
        approving(beside(READY, desired=second(promotion=MANUAL)), **MANUAL),
        Reason.SWAPPING, (actions.Swap,), (T, T, F),
    ),
    Row("caught up", approving(beside(READY, survey=HAND_MADE)), Reason.SWAPPING, (actions.Swap,), (T, T, F)),
    Row(
        "caught up, not approved",
        beside(READY, desired=second(promotion=MANUAL)),
        Reason.AWAITING_APPROVAL, (), (T, T, F),
    ),
    Row(
        "caught up, not approved",
        beside(READY, desired=second(promotion={**MANUAL, "approvedPlan": "of another change"})),
        Reason.AWAITING_APPROVAL, (), (T, T, F),
    ),
    Row("caught up, not approved", beside(READY, survey=HAND_MADE), Reason.AWAITING_APPROVAL, (), (T, T, F)),
    Row("caught up, plan unknown", beside(READY, survey=TARGET_DOWN), Reason.TARGET_UNAVAILABLE, (), (T, T, F)),
    # The version that is held, and the way back.
    Row("live, held", beside(resource=holding("1")), Reason.HELD, (), (T, F, F)),
    Row("live, held", beside(READY, resource=holding("1")), Reason.HELD, (), (T, F, F)),
    Row("live, held", beside(resource=holding("1"), source=source(100, 90)), Reason.HELD, (), (T, F, F)),
    Row("live", beside(desired=desired(), resource=holding("1")), Reason.SERVING, (), (T, F, F)),
    # A version that was built twice: what is live of it stays, and of what is kept the newest comes.
    Row("live, held", twice(BuildState.LIVE), Reason.HELD, (), (T, F, F)),
    Row("held version is not kept", beside(resource=holding("9")), Reason.HELD_VERSION_MISSING, (), (T, F, T)),
    Row("held version is not kept", beside(READY, resource=holding("2")), Reason.HELD_VERSION_MISSING, (), (T, F, T)),
    Row(
        "candidate, aborted",
        beside(HALFWAY, resource=holding("1"), desired=second(promotion={"abortVersion": "2"})),
        Reason.ABANDONING, (actions.Abandon,), (T, T, F),
    ),
    Row("rollback", back(), Reason.ROLLING_BACK, (actions.Swap,), (T, T, F)),
    Row("held version is kept", HELD_BACK, Reason.ROLLING_BACK, (actions.Swap,), (T, T, F)),
    Row(
        "held version is kept",
        replace(HELD_BACK, desired=Desired(second().spec, INVALID.problems)),
        Reason.ROLLING_BACK, (actions.Swap,), (T, T, F),
    ),
    Row("spec invalid", replace(HELD_BACK, desired=UNREADABLE), Reason.INVALID_SPEC, (), (T, F, T)),
    Row(
        "spec invalid",
        back((0, 0), desired=Desired(second().spec, INVALID.problems), resource=holding("1")),
        Reason.INVALID_SPEC, (), (T, F, T),
    ),
    Row("rollback, behind", back((0, 0), desired=second(), resource=holding("1")), Reason.ROLLING_BACK, (), (T, T, F)),
    Row("rollback", back(desired=desired(promotion=MANUAL)), Reason.ROLLING_BACK, (actions.Swap,), (T, T, F)),
    Row("rollback", back((100, 0)), Reason.ROLLING_BACK, (actions.Swap,), (T, T, F)),
    Row("rollback, behind", back((99, 0)), Reason.ROLLING_BACK, (), (T, T, F)),
    Row("rollback, redefined", back(desired=desired(rules=OTHER_RULES)), Reason.DEFINITION_CHANGED, (), (T, F, T)),
    # Where it is as far as what readers see, its log does not matter.
    Row("rollback", back(source=TOPIC_MISSING), Reason.ROLLING_BACK, (actions.Swap,), (T, T, F)),
    Row("rollback, log does not fit", back((95, 0), source=CUT_OFF), Reason.SOURCE_CHANGED, (), (T, F, T)),
    Row("rollback, log does not fit", back((0, 0), source=TOPIC_MISSING), Reason.TOPIC_MISSING, (), (T, F, T)),
    Row(
        "no build, plan not shown",
        back(desired=desired(rebuildToken="again")),
        Reason.PLANNED, (), (T, T, F),
    ),
)  # fmt: skip
