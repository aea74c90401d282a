"""The whole product of what may be observed: always a named result, and what must never happen does not."""

import itertools
from collections.abc import Iterator

from projection_operator.core import actions
from projection_operator.core.case import Case
from projection_operator.core.conditions import previous
from projection_operator.core.decide import decide
from projection_operator.core.edges import edge
from projection_operator.core.lag import CAUGHT_UP, Lag
from projection_operator.core.observation import FINALIZER, Observation, SourceView, Unknown
from projection_operator.core.reasons import Reason
from projection_operator.core.status import Status
from projector.ports import Ends
from projector.registry import BuildState, PublicName
from tests.support.projections import (
    INVALID,
    NO_SECRET,
    NOW,
    P0,
    P1,
    ROLE,
    SOURCE_DOWN,
    TARGET_DOWN,
    TOPIC_MISSING,
    UNREADABLE,
    build,
    checkpoint,
    child,
    desired,
    observation,
    resource,
    source,
    view,
)

RESOURCES = (
    resource(),
    resource(delete_target=True),
    resource(delete_target=True, finalizers=(FINALIZER,)),
    resource(deleting=True),
    resource(deleting=True, finalizers=(FINALIZER,)),
    resource(deleting=True, delete_target=True, finalizers=(FINALIZER,)),
    resource({"liveBuild": 7, "liveVersion": "1", "lag": {"events": 5}, "replicas": 1, "conditions": []}),
)
DESIRED = (
    desired(),
    desired(version="2"),
    desired(rebuildToken="again"),
    desired(suspend=True),
    desired(scaling={"replicas": 0}),
    INVALID,
    UNREADABLE,
)
STATES = (BuildState.REPLAYING, BuildState.CATCHING_UP, BuildState.LIVE, BuildState.ABANDONED)
REGISTRIES = (
    None,
    TARGET_DOWN,
    NO_SECRET,
    view(),
    view(build(), resource_uid="uid-0"),
    view(build(), public_name=PublicName("public", "old")),
    view(build(BuildState.ABANDONED), build(BuildState.REPLAYING, number=8)),
    view(build(parked_keys=3, worker_role="another_role")),
    view(build(checkpoints=(checkpoint(P0, 5, stuck="event.id is missing"),))),
    *(view(build(state, at)) for state in STATES for at in ((0, 0), (100, 100))),
)
SOURCES = (
    source(),
    source(100, 201),
    source(100, 90),
    source(100, 100, 1),
    source(oldest=None),
    SourceView({P0: Ends(50, 100, 150), P1: Ends(0, 100, 100)}, None, {P0: NOW.replace(year=2025)}),
    SOURCE_DOWN,
    TOPIC_MISSING,
)
WORKERS = (
    ((), ROLE),
    ((child(),), ROLE),
    ((child(),), NO_SECRET),
    ((child(ready=0, unavailable_since=NOW.replace(year=2025)), child(3)), NO_SECRET),
    (SOURCE_DOWN, ROLE),
)
"""Deployments and access go together, to keep the product small."""

REFUSED = Unknown(Reason.TARGET_TAKEN, "spec.target.postgresql.table: public.t is another's")


def every() -> Iterator[Observation]:
    parts = itertools.product(RESOURCES, DESIRED, REGISTRIES, SOURCES, WORKERS)
    for body, wanted, registry, log, (children, worker) in parts:
        yield observation(
            resource=body, desired=wanted, registry=registry, source=log, children=children, worker=worker
        )
    for body, wanted, registry in itertools.product(RESOURCES, DESIRED, REGISTRIES):
        yield observation(resource=body, desired=wanted, registry=registry, refused=REFUSED)


def test_every_observation_has_a_named_result() -> None:
    seen = 0
    for one in every():
        seen += 1
        case = Case(one, NOW)
        assert edge(case).name
        decision = decide(one, NOW)
        assert 0 < decision.requeue_after <= 30
        _coherent(case, decision.status)
        for action in decision.actions:
            _allowed(case, action)
    assert seen > 25_000


def _coherent(case: Case, status: Status) -> None:
    said = {condition.type: condition for condition in status.conditions}
    assert set(said) == {"Ready", "Reconciling", "Stalled", "LagKnown", "Degraded"}
    assert all(condition.observed_generation == 3 for condition in status.conditions)
    assert not (said["Stalled"].status == "True" and said["Reconciling"].status == "True")
    assert (said["LagKnown"].status == "True") == (status.lag is not None)
    if said["Ready"].status == "True":
        assert case.live is not None
        assert status.live_build == case.live.number
    # The conditions that kubectl shows must say something.
    assert all(condition.message for condition in status.conditions)


def _allowed(case: Case, action: actions.Action) -> None:
    assert not (isinstance(case.obs.registry, Unknown) and isinstance(action, actions.RegistryAction))
    match action:
        case actions.BeginBuild():
            assert case.current is None
            assert case.valid
            assert not case.suspended
        case actions.Publish(number):
            assert case.live is None
            assert isinstance(case.lag, Lag)
            assert case.lag.events <= CAUGHT_UP
            assert case.candidate is not None
            assert case.candidate.number == number
        case actions.Abandon(number) | actions.Retire(number):
            assert case.live is None or case.live.number != number
        case actions.DeleteProjection():
            assert case.obs.resource.deleting
            assert case.obs.resource.delete_target
        case actions.RemoveDeployment(name):
            live = case.live
            assert case.obs.resource.deleting or live is None or name != f"orders-b{live.number}"
        case actions.AdmitPartitions():
            raise AssertionError("the projections here rest on the order of a key's events")
        case actions.EnsureDeployment():
            assert not case.obs.resource.deleting
        case _:
            pass


def test_deciding_twice_with_what_was_written_changes_nothing() -> None:
    one = observation(registry=view(build(BuildState.REPLAYING, (10, 20))))
    first = decide(one, NOW)
    body = resource(first.status.to_dict())
    second = decide(observation(registry=one.registry, resource=body), NOW.replace(year=2027))
    before, after = first.status.to_dict(), second.status.to_dict()
    # Lag ages; nothing else may move.
    assert before.pop("lag")["seconds"] < after.pop("lag")["seconds"]
    assert after == before
    assert second.events == ()
    assert previous(after, "Ready")["lastTransitionTime"] == "2026-01-02T03:04:05Z"
