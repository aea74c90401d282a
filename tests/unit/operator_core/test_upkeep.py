"""What holds whatever comes next: Deployments, partitions, roles, and what is left of builds that were given up."""

from dataclasses import replace

from projection_operator.core import actions
from projection_operator.core.decide import decide
from projection_operator.core.observation import Desired, WorkerAccess
from projector.ports import Partition
from projector.registry import BuildState
from tests.support.projections import (
    INVALID,
    NO_SECRET,
    NOW,
    SOURCE_DOWN,
    TARGET_DOWN,
    beside,
    build,
    checkpoint,
    child,
    desired,
    observation,
    second_build,
    source,
    spec,
    view,
)


def test_an_abandoned_build_goes_in_steps_while_the_next_one_begins() -> None:
    given_up = build(BuildState.ABANDONED)
    first = decide(observation(registry=view(given_up), children=(child(),)), NOW).actions
    assert [type(action) for action in first] == [actions.RemoveDeployment, actions.BeginBuild]
    second = decide(observation(registry=view(given_up), children=()), NOW).actions
    assert [type(action) for action in second] == [actions.BeginBuild, actions.RemoveGroup, actions.Retire]


def test_a_step_forward_comes_after_what_keeps_builds_fed_and_before_what_is_left_of_others() -> None:
    builds = (build(), second_build(BuildState.CATCHING_UP), build(BuildState.ABANDONED, number=4))
    found = decide(beside(registry=view(*builds), children=(child(),)), NOW).actions
    assert [type(action) for action in found] == [
        actions.EnsureDeployment,
        actions.Swap,
        actions.RemoveGroup,
        actions.Retire,
    ]
    given_up = beside(second_build(BuildState.REPLAYING, (1, 1)), desired=desired(scaling={"replicas": 5}))
    assert [type(action) for action in decide(given_up, NOW).actions] == [actions.Abandon, actions.EnsureDeployment]


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
