"""The whole product of what may be observed: always a named result, and what must never happen does not."""

import itertools
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

from projection_operator.core import actions
from projection_operator.core.case import Case
from projection_operator.core.conditions import previous
from projection_operator.core.decide import decide
from projection_operator.core.edges import EDGES, edge
from projection_operator.core.lag import Lag
from projection_operator.core.observation import FINALIZER, Observation, SourceView, Unknown
from projection_operator.core.plan import approved, plan, shown
from projection_operator.core.reasons import Reason
from projection_operator.core.status import PlanStatus, Status
from projector.ports import Ends
from projector.registry import BuildState, EndedBuild, Ending, PublicName, Survey, Unmanaged
from tests.support.projections import (
    INVALID,
    NO_SECRET,
    NOW,
    P0,
    P1,
    ROLE,
    SOURCE_DOWN,
    SURVEY,
    TARGET_DOWN,
    TOPIC_MISSING,
    UNREADABLE,
    build,
    checkpoint,
    child,
    desired,
    holding,
    observation,
    resource,
    second,
    second_build,
    source,
    view,
)

RESOURCES = (
    resource(),
    resource(delete_target=True),
    resource(delete_target=True, finalizers=(FINALIZER,)),
    resource(finalizers=(FINALIZER,)),
    resource(deleting=True),
    resource(deleting=True, finalizers=(FINALIZER,)),
    resource(deleting=True, delete_target=True, finalizers=(FINALIZER,)),
    resource({"liveBuild": 7, "liveVersion": "1", "lag": {"events": 5}, "replicas": 1, "conditions": []}),
)
HELD = (holding("1"), holding("2"), holding("9"))
DESIRED = (
    desired(),
    desired(rebuildToken="again"),
    desired(suspend=True),
    desired(scaling={"replicas": 0}),
    second(),
    INVALID,
    UNREADABLE,
)
CHANGED = (
    desired(),
    desired(rebuildToken="again"),
    second(),
    INVALID,
    second(suspend=True, rollback={"keepWarm": False}),
    second(promotion={"mode": "Manual"}),
    second(promotion={"abortVersion": "2"}),
)
REPLAYING, CATCHING_UP, LIVE, WARM, ABANDONED = (
    BuildState.REPLAYING,
    BuildState.CATCHING_UP,
    BuildState.LIVE,
    BuildState.WARM,
    BuildState.ABANDONED,
)
PLACES = ((0, 0), (100, 100))
OLDER = build(WARM, number=5, version="0", changed_at=NOW.replace(year=2025))
ALONE = (
    None,
    TARGET_DOWN,
    NO_SECRET,
    view(),
    view(build(), resource_uid="uid-0"),
    view(build(), public_name=PublicName("public", "old")),
    view(build(ABANDONED), build(REPLAYING, number=8)),
    view(build(parked_keys=3, worker_role="another_role")),
    view(build(checkpoints=(checkpoint(P0, 5, stuck="event.id is missing"),))),
    *(view(build(state, at)) for state in (REPLAYING, CATCHING_UP, LIVE, ABANDONED) for at in PLACES),
)
ABORTED = EndedBuild(8, "2", "", Ending.ABORTED, "promotion.abortVersion names its version", NOW)
TOGETHER = (
    # Live and candidate, without and with one that is kept.
    *(
        view(*kept, build(), second_build(state, at))
        for kept in ((), (OLDER,))
        for state in (REPLAYING, CATCHING_UP)
        for at in PLACES
    ),
    view(build(), second_build(ABANDONED)),
    view(build(), ended=(ABORTED,)),
    # Version 2 took over; 1 is kept, near or far.
    *(view(build(WARM, at), second_build(LIVE)) for at in PLACES),
    view(build(WARM), second_build(LIVE), build(CATCHING_UP, number=9, token="again")),  # noqa: S106 - no password
    view(build(), second_build(WARM), build(REPLAYING, (0, 0), number=9, version="3")),
)
SOURCES = (
    source(),
    source(100, 201),
    source(100, 90),
    source(100, 100, 1),
    SourceView({P0: Ends(50, 100, 150), P1: Ends(0, 100, 100)}, None, {P0: NOW.replace(year=2025)}),
    SOURCE_DOWN,
    TOPIC_MISSING,
)
CHANGED_SOURCES = (source(), source(100, 201), SOURCE_DOWN, TOPIC_MISSING)
WORKERS = (
    ((), ROLE),
    ((child(),), ROLE),
    ((child(ready=0, unavailable_since=NOW.replace(year=2025)), child(3)), NO_SECRET),
    (SOURCE_DOWN, ROLE),
)
"""Deployments and access go together, to keep the product small."""

HAND_MADE = Survey(
    1, 1, ("view app.totals",), (), (Unmanaged("trigger", "audit", ""),), blind="GRANT pg_read_all_stats TO x"
)
MEETS: tuple[dict[str, Any], ...] = (
    {"survey": SURVEY, "children": (child(), child(8, version="2", limit="500"))},
    {"survey": HAND_MADE, "children": (child(),), "rebuilding": 3, "rates": {8: 2.5}},
    {"survey": SURVEY, "children": SOURCE_DOWN, "rebuilding": 4},
    {"survey": TARGET_DOWN, "compacted": SOURCE_DOWN, "worker": NO_SECRET},
)
"""What a change of version meets."""

REFUSED = Unknown(Reason.TARGET_TAKEN, "spec.target.postgresql.table: public.t is another's")


def every() -> Iterator[Observation]:
    """One build with what it meets, several with what a change of version meets, and all with an act that failed."""
    for body, wanted, registry, log, (children, worker) in itertools.product(
        RESOURCES, DESIRED, ALONE, SOURCES, WORKERS
    ):
        yield observation(
            resource=body, desired=wanted, registry=registry, source=log, children=children, worker=worker
        )
    for body, wanted, registry, log, met in itertools.product(
        (*RESOURCES[:1], *HELD), CHANGED, TOGETHER, CHANGED_SOURCES, MEETS
    ):
        seen = observation(resource=body, desired=wanted, registry=registry, source=log, **met)
        yield seen
        found = plan(Case(seen, NOW))
        if isinstance(found, PlanStatus):
            yield replace(seen, resource=replace(body, status={"plan": {"hash": found.hash}}))
    for body, wanted, registry in itertools.product(RESOURCES, DESIRED, ALONE + TOGETHER):
        yield observation(resource=body, desired=wanted, registry=registry, survey=SURVEY, refused=REFUSED)


def test_every_observation_has_a_named_result() -> None:
    reached: set[str] = set()
    seen = 0
    for one in every():
        seen += 1
        case = Case(one, NOW)
        reached.add(edge(case).name)
        decision = decide(one, NOW)
        assert 0 < decision.requeue_after <= 30
        coherent(case, decision.status)
        together(decision.actions)
        for action in decision.actions:
            allowed(case, action)
    assert seen > 25_000
    # A candidate that stands still and a changed definition have rows of their own.
    # Those of indexes have a product of their own.
    missing = {row.name for row in EDGES if "index" not in row.name} - reached
    assert missing == {"candidate, stands still", "candidate, redefined", "live, redefined", "rollback, redefined"}


CONDITIONS = {
    "Ready", "Reconciling", "Stalled", "LagKnown", "Degraded", "Rebuilding", "ApprovalRequired", "Held",
}  # fmt: skip


def coherent(case: Case, status: Status) -> None:
    said = {condition.type: condition for condition in status.conditions}
    assert set(said) == CONDITIONS
    assert all(condition.observed_generation == 3 for condition in status.conditions)
    assert not (said["Stalled"].status == "True" and said["Reconciling"].status == "True")
    assert (said["LagKnown"].status == "True") == (status.lag is not None)
    if said["Ready"].status == "True":
        assert case.live is not None
        assert status.live_build == case.live.number
    if case.live is not None and not case.obs.resource.deleting:
        # Whatever becomes of a candidate, what is live serves.
        assert said["Ready"].status == "True"
    if said["Rebuilding"].status == "True" or said["ApprovalRequired"].status == "True":
        assert status.candidate is not None
        assert status.live_build not in {None, status.candidate.build}
    # The conditions that kubectl shows must say something.
    assert all(condition.message for condition in status.conditions)


STEPS = (actions.BeginBuild, actions.OpenCatchUp, actions.Publish, actions.Swap)


def together(found: tuple[actions.Action, ...]) -> None:
    """One step at a time, and nothing is done to a build that is given up in the same pass."""
    assert sum(isinstance(action, STEPS) for action in found) <= 1
    leaving = {action.build for action in found if isinstance(action, actions.Abandon)}
    touched = actions.EnsureDeployment | actions.AdmitWorker | actions.OpenCatchUp | actions.Publish | actions.Swap
    assert not leaving & {action.build for action in found if isinstance(action, touched)}
    assert len(found) == len({repr(action) for action in found})


def allowed(case: Case, action: actions.Action) -> None:
    assert not (isinstance(case.obs.registry, Unknown) and isinstance(action, actions.RegistryAction))
    match action:
        case actions.BeginBuild():
            may_begin(case, action)
        case actions.OpenCatchUp(number):
            assert state_of(case, number) is BuildState.REPLAYING
            assert not case.suspended
        case actions.Publish(number):
            assert case.live is None
            assert isinstance(case.lag, Lag)
            assert case.lag.events <= 100
            assert state_of(case, number) is BuildState.CATCHING_UP
        case actions.Swap():
            may_swap(case, action)
        case actions.Abandon(number) | actions.Retire(number):
            assert case.live is None or case.live.number != number
        case actions.DeleteProjection():
            assert case.obs.resource.deleting
            assert case.obs.resource.delete_target
        case actions.RemoveDeployment(name):
            kept = {f"orders-b{one.number}" for one in case.kept}
            assert case.obs.resource.deleting or name not in kept
        case actions.AdmitPartitions():
            raise AssertionError("the projections here rest on the order of a key's events")
        case actions.EnsureDeployment():
            assert not case.obs.resource.deleting
        case _:
            pass


def state_of(case: Case, number: int) -> BuildState:
    assert case.view is not None
    return next(one.state for one in case.view.builds if one.number == number)


def may_begin(case: Case, begin: actions.BeginBuild) -> None:
    assert case.valid
    assert not case.suspended
    assert case.candidate is None
    assert case.spec is not None
    assert case.spec.promotion.abort_version != begin.version
    assert case.view is not None
    assert not any((one.version, one.token) == (begin.version, begin.token) for one in case.view.ended)
    assert not any((one.version, one.token) == (begin.version, begin.token) for one in case.kept)
    if case.live is not None:
        assert case.held is None
        assert shown(case)
        assert case.obs.rebuilding < case.obs.site.max_rebuilds


def may_swap(case: Case, swap: actions.Swap) -> None:
    coming = state_of(case, swap.build)
    assert coming in {BuildState.CATCHING_UP, BuildState.WARM}
    assert case.live is not None
    assert case.live.number != swap.build
    assert not case.asked(case.live)
    if coming is BuildState.CATCHING_UP:
        assert case.held is None
        assert not case.suspended
        assert approved(case)


def test_deciding_twice_with_what_was_written_changes_nothing() -> None:
    one = observation(registry=view(build(BuildState.REPLAYING, (10, 20))))
    first = decide(one, NOW)
    body = resource(first.status.to_dict())
    again = decide(observation(registry=one.registry, resource=body), NOW + timedelta(minutes=29))
    before, after = first.status.to_dict(), again.status.to_dict()
    # Lag ages; nothing else may move.
    assert before.pop("lag")["seconds"] < after.pop("lag")["seconds"]
    assert after == before
    assert again.events == ()
    assert previous(after, "Ready")["lastTransitionTime"] == "2026-01-02T03:04:05Z"
