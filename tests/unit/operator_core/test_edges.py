"""Each row of the table of edges: when it decides, what it does, and what conditions say then."""

from dataclasses import dataclass, replace
from typing import Any

import pytest

from projection_operator.core import actions
from projection_operator.core.case import Case
from projection_operator.core.conditions import previous
from projection_operator.core.decide import decide
from projection_operator.core.edges import EDGES, edge
from projection_operator.core.observation import FINALIZER, Desired, Observation, SourceView, WorkerAccess
from projection_operator.core.reasons import Reason
from projector.ports import Ends, Partition
from projector.registry import BuildState, PublicName
from tests.support.projections import (
    INVALID,
    NO_SECRET,
    NOW,
    P0,
    P1,
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
    spec,
    view,
)

NONE_YET = {"registry": view(), "children": ()}
OTHER_DEFINITION = desired(rules=[{"events": ["E"], "key": {"id": "event.id"}, "set": {"name": "event.other"}}])


def on_its_way(state: BuildState, at: tuple[int, int], **changes: object) -> Observation:
    return observation(registry=view(build(state, at)), **changes)


@dataclass(frozen=True)
class Row:
    """Expected: the edge, its reason, the actions, and Ready, Reconciling, Stalled."""

    edge: str
    seen: Observation
    reason: Reason
    actions: tuple[type, ...]
    conditions: tuple[str, str, str]


DELETING: dict[str, Any] = {"deleting": True, "delete_target": True, "finalizers": (FINALIZER,)}
REPLAYING, CATCHING_UP = BuildState.REPLAYING, BuildState.CATCHING_UP
F, T, U = "False", "True", "Unknown"

ROWS = (
    Row(
        "deleting, not ours to hold",
        observation(resource=resource(deleting=True)),
        Reason.DELETING, (), (F, T, F),
    ),
    Row(
        "deleting, target kept",
        observation(resource=resource(deleting=True, finalizers=(FINALIZER,))),
        Reason.DELETING, (actions.RemoveFinalizer,), (F, T, F),
    ),
    Row(
        "deleting, registry unknown",
        observation(resource=resource(**DELETING), registry=NO_SECRET),
        Reason.SECRET_MISSING, (), (F, F, T),
    ),
    Row(
        "deleting, entries left",
        observation(resource=resource(**DELETING)),
        Reason.DELETING, (actions.RemoveDeployment, actions.DeleteProjection), (F, T, F),
    ),
    Row(
        "deleting, nothing left",
        observation(resource=resource(**DELETING), registry=None, children=()),
        Reason.DELETING, (actions.RemoveFinalizer,), (F, T, F),
    ),
    Row(
        "finalizer missing",
        observation(resource=resource(delete_target=True), registry=None, children=()),
        Reason.PENDING, (actions.AddFinalizer,), (F, T, F),
    ),
    Row(
        "finalizer not wanted",
        observation(resource=resource(finalizers=(FINALIZER,))),
        Reason.PENDING, (actions.RemoveFinalizer,), (T, T, F),
    ),
    Row("spec invalid", observation(desired=INVALID), Reason.INVALID_SPEC, (), (T, F, T)),
    Row(
        "spec invalid",
        observation(desired=UNREADABLE, registry=None, children=()),
        Reason.INVALID_SPEC, (), (F, F, T),
    ),
    Row("registry unknown", observation(registry=TARGET_DOWN, children=()), Reason.TARGET_UNAVAILABLE, (), (F, T, F)),
    Row(
        "registry unknown",
        observation(registry=TARGET_DOWN, resource=resource({"liveBuild": 7, "liveVersion": "1"})),
        Reason.TARGET_UNAVAILABLE, (), (U, T, F),
    ),
    Row("not registered", observation(registry=None, children=()), Reason.PENDING, (actions.Claim,), (F, T, F)),
    Row(
        "not registered",
        observation(registry=view(build(), resource_uid="uid-0")),
        Reason.PENDING, (actions.Claim,), (T, T, F),
    ),
    Row(
        "other public name",
        observation(registry=view(build(), public_name=PublicName("public", "old"))),
        Reason.TARGET_CHANGED, (), (T, F, T),
    ),
    Row("live, log does not fit", observation(source=source(100, 90)), Reason.SOURCE_CHANGED, (), (T, F, T)),
    Row(
        "live, log does not fit",
        observation(source=SourceView({P0: Ends(101, 120), P1: Ends(0, 100)})),
        Reason.SOURCE_CHANGED, (), (T, F, T),
    ),
    Row("live, log does not fit", observation(source=TOPIC_MISSING), Reason.TOPIC_MISSING, (), (T, F, T)),
    Row(
        "live, other version",
        observation(desired=desired(version="2")),
        Reason.VERSION_CHANGE_NOT_SERVED, (), (T, F, T),
    ),
    Row(
        "live, other version",
        observation(desired=desired(rebuildToken="again")),
        Reason.VERSION_CHANGE_NOT_SERVED, (), (T, F, T),
    ),
    Row("live, redefined", observation(desired=OTHER_DEFINITION), Reason.DEFINITION_CHANGED, (), (T, F, T)),
    Row(
        "live, suspended",
        observation(desired=desired(suspend=True)),
        Reason.SUSPENDED, (actions.EnsureDeployment,), (T, F, F),
    ),
    Row("live", observation(), Reason.SERVING, (), (T, F, F)),
    Row("live", observation(source=SOURCE_DOWN), Reason.SERVING, (), (T, F, F)),
    Row("live", observation(worker=NO_SECRET), Reason.SERVING, (), (T, F, F)),
    Row(
        "candidate, superseded",
        on_its_way(REPLAYING, (1, 1), desired=desired(version="2")),
        Reason.ABANDONING, (actions.Abandon,), (F, T, F),
    ),
    Row(
        "candidate, superseded",
        on_its_way(CATCHING_UP, (1, 1), desired=desired(rebuildToken="again"), source=SOURCE_DOWN),
        Reason.ABANDONING, (actions.Abandon,), (F, T, F),
    ),
    Row(
        "candidate, redefined",
        on_its_way(REPLAYING, (1, 1), desired=OTHER_DEFINITION),
        Reason.DEFINITION_CHANGED, (), (F, F, T),
    ),
    Row(
        "candidate, log does not fit",
        on_its_way(CATCHING_UP, (100, 100), source=source(100, 100, 5)),
        Reason.PARTITIONS_GROWN, (), (F, F, T),
    ),
    Row(
        "suspended",
        on_its_way(REPLAYING, (100, 100), desired=desired(suspend=True)),
        Reason.SUSPENDED, (actions.EnsureDeployment,), (F, F, F),
    ),
    Row("suspended", observation(**NONE_YET, desired=desired(suspend=True)), Reason.SUSPENDED, (), (F, F, F)),
    Row(
        "replayed",
        on_its_way(REPLAYING, (100, 101), source=source(100, 101)),
        Reason.REPLAYING, (actions.OpenCatchUp,), (F, T, F),
    ),
    Row(
        "caught up",
        on_its_way(CATCHING_UP, (100, 100), source=source(150, 150)),
        Reason.CATCHING_UP, (actions.Publish,), (F, T, F),
    ),
    Row(
        "candidate, scaled to zero",
        on_its_way(REPLAYING, (1, 1), desired=desired(scaling={"replicas": 0})),
        Reason.SCALED_TO_ZERO, (actions.EnsureDeployment,), (F, F, F),
    ),
    Row(
        "candidate, log unknown",
        on_its_way(CATCHING_UP, (100, 100), source=SOURCE_DOWN),
        Reason.SOURCE_UNAVAILABLE, (), (F, T, F),
    ),
    Row("candidate, no access", on_its_way(REPLAYING, (1, 1), worker=NO_SECRET), Reason.SECRET_MISSING, (), (F, F, T)),
    Row("replaying", on_its_way(REPLAYING, (100, 99)), Reason.REPLAYING, (), (F, T, F)),
    Row(
        "catching up",
        on_its_way(CATCHING_UP, (100, 100), source=source(150, 151)),
        Reason.CATCHING_UP, (), (F, T, F),
    ),
    Row("no build, log unknown", observation(**NONE_YET, source=TOPIC_MISSING), Reason.TOPIC_MISSING, (), (F, F, T)),
    Row("no build, no access", observation(**NONE_YET, worker=NO_SECRET), Reason.SECRET_MISSING, (), (F, F, T)),
    Row("no build", observation(**NONE_YET), Reason.BEGINNING, (actions.BeginBuild,), (F, T, F)),
)  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.edge}: {row.reason}")
def test_row(row: Row) -> None:
    assert edge(Case(row.seen, NOW)).name == row.edge
    decision = decide(row.seen, NOW)
    assert tuple(type(action) for action in decision.actions) == row.actions
    status = decision.status.to_dict()
    ready, reconciling, stalled = (previous(status, kind) for kind in ("Ready", "Reconciling", "Stalled"))
    assert (ready["status"], reconciling["status"], stalled["status"]) == row.conditions
    told = stalled if stalled["status"] == "True" else reconciling
    assert told["reason"] == row.reason


def test_every_row_of_the_table_is_tested() -> None:
    assert {row.edge for row in ROWS} == {one.name for one in EDGES}


def test_names_are_unique_and_the_last_row_always_holds() -> None:
    names = [one.name for one in EDGES]
    assert len(set(names)) == len(names)
    assert EDGES[-1].when(Case(observation(), NOW))


def test_an_abandoned_build_goes_in_two_steps_while_the_next_one_begins() -> None:
    given_up = build(BuildState.ABANDONED)
    first = decide(observation(registry=view(given_up), children=(child(),)), NOW).actions
    assert [type(action) for action in first] == [actions.BeginBuild, actions.RemoveDeployment]
    second = decide(observation(registry=view(given_up), children=()), NOW).actions
    assert [type(action) for action in second] == [actions.BeginBuild, actions.Retire]


def test_a_deployment_of_a_build_that_is_no_more_is_removed() -> None:
    decision = decide(observation(children=(child(), child(3))), NOW)
    assert decision.actions == (actions.RemoveDeployment("orders-b3"),)


COMMUTATIVE = {"ordering": {"mode": "Commutative"}}
COUNTING = desired(
    **COMMUTATIVE, rules=[{"events": ["E"], "key": {"id": "event.id"}, "increment": {"total": "event.n"}}]
)


def test_where_order_does_not_matter_added_partitions_are_admitted_once() -> None:
    assert COUNTING.definition is not None
    counting = build(definition=COUNTING.definition)
    seen = observation(desired=COUNTING, registry=view(counting), source=source(100, 100, 7))
    assert decide(seen, NOW).actions == (actions.AdmitPartitions(7, (Partition("orders", "topic-1", 2),)),)
    admitted = replace(counting, checkpoints=(*counting.checkpoints, checkpoint(Partition("orders", "topic-1", 2), 0)))
    assert decide(replace(seen, registry=view(admitted)), NOW).actions == ()


def test_through_an_outage_of_the_registry_a_handler_keeps_the_image_that_runs() -> None:
    handled = desired(rules=None, handler="shop.p:f", projector={"image": "team@sha256:" + "2" * 64})
    assert handled.spec is not None
    seen = observation(registry=TARGET_DOWN, desired=Desired(handled.spec.model_copy(update={"suspend": True})))
    (ensure,) = decide(seen, NOW).actions
    assert isinstance(ensure, actions.EnsureDeployment)
    assert ensure.manifest["spec"]["template"]["spec"]["containers"][0]["image"] == "projector:1.2.3"


def test_partitions_are_admitted_to_every_build_but_those_given_up() -> None:
    assert COUNTING.definition is not None
    builds = [
        build(state, number=number, definition=COUNTING.definition)
        for number, state in enumerate((BuildState.ABANDONED, BuildState.LIVE, BuildState.REPLAYING), 7)
    ]
    seen = observation(desired=COUNTING, registry=view(*builds), source=source(100, 100, 7), children=())
    admitted = [one.build for one in decide(seen, NOW).actions if isinstance(one, actions.AdmitPartitions)]
    assert admitted == [8, 9]


def test_a_build_goes_over_to_the_role_that_workers_log_in_as() -> None:
    seen = observation(worker=WorkerAccess("another_role"))
    assert decide(seen, NOW).actions == (actions.AdmitWorker(7, "another_role"),)
    assert decide(observation(worker=NO_SECRET), NOW).actions == ()


def test_a_handler_runs_in_the_image_of_its_build() -> None:
    with_handler = build().definition.model_copy(update={"handler": "shop.p:f", "image": "team@sha256:1"})
    (ensure,) = decide(observation(registry=view(build(definition=with_handler))), NOW).actions
    assert isinstance(ensure, actions.EnsureDeployment)
    assert ensure.manifest["spec"]["template"]["spec"]["containers"][0]["image"] == "team@sha256:1"


def test_through_an_outage_of_the_registry_suspend_and_scaling_still_work() -> None:
    seen = observation(registry=TARGET_DOWN, desired=desired(suspend=True))
    (ensure,) = decide(seen, NOW).actions
    assert isinstance(ensure, actions.EnsureDeployment)
    assert ensure.manifest["spec"]["replicas"] == 0
    assert ensure.build == 7


def test_an_invalid_spec_still_scales_what_was_built() -> None:
    scaled = Desired(spec(scaling={"replicas": 5}), INVALID.problems)
    (ensure,) = decide(observation(desired=scaled), NOW).actions
    assert isinstance(ensure, actions.EnsureDeployment)
    assert ensure.manifest["spec"]["replicas"] == 5


def test_nothing_is_done_about_deployments_that_could_not_be_read() -> None:
    seen = observation(children=SOURCE_DOWN, desired=desired(scaling={"replicas": 5}))
    assert decide(seen, NOW).actions == ()


def test_a_refused_act_is_told_and_tried_again() -> None:
    seen = observation(**NONE_YET)
    decision = decide(replace(seen, refused=NO_SECRET), NOW)
    assert previous(decision.status.to_dict(), "Stalled")["reason"] == "SecretMissing"
    assert decision.requeue_after <= 10
