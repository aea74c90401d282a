"""Deployments and remains of several builds: live, candidate and kept."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from projection_operator.core import actions
from projection_operator.core.decide import decide
from projection_operator.core.manifests import MAX_RATE
from projection_operator.core.observation import Child, Desired, Observation, WorkerAccess
from projection_operator.core.upkeep import GROUP_PATIENCE
from projector.registry import BuildState, BuildView, Ending
from tests.support.projections import (
    INVALID,
    NOW,
    SURVEY,
    TARGET_DOWN,
    back,
    beside,
    build,
    child,
    desired,
    holding,
    observation,
    resource,
    second,
    second_build,
    view,
)

REPLAYING, CATCHING_UP, WARM, LIVE = BuildState.REPLAYING, BuildState.CATCHING_UP, BuildState.WARM, BuildState.LIVE
HALFWAY = second_build(REPLAYING, (50, 50))


def ensured(seen: Observation) -> dict[int, int]:
    """Replicas of the Deployments that are to be written."""
    found = [one for one in decide(seen, NOW).actions if isinstance(one, actions.EnsureDeployment)]
    return {one.build: one.manifest["spec"]["replicas"] for one in found}


def limits(seen: Observation) -> dict[int, str | None]:
    """The limit of events per second in them."""
    found = {}
    for one in decide(seen, NOW).actions:
        if isinstance(one, actions.EnsureDeployment):
            env = one.manifest["spec"]["template"]["spec"]["containers"][0]["env"]
            found[one.build] = {each["name"]: each["value"] for each in env}.get(MAX_RATE)
    return found


def kinds(seen: Observation) -> list[type]:
    return [type(action) for action in decide(seen, NOW).actions]


def three(wanted: Desired, candidate: BuildView | None = None) -> Observation:
    """Version 0 is kept, 1 live, 2 on its way; nothing runs yet."""
    builds = (build(WARM, number=5, version="0"), build(), candidate or HALFWAY)
    return beside(registry=view(*builds), children=(), desired=wanted)


@pytest.mark.parametrize(
    ("wanted", "replicas"),
    [
        (second(scaling={"replicas": 3}), {5: 3, 7: 3, 8: 3}),
        (second(scaling={"replicas": 3}, rebuild={"parallelism": 9}), {5: 3, 7: 3, 8: 9}),
        (second(scaling={"replicas": 0}, rebuild={"parallelism": 9}), {5: 0, 7: 0, 8: 9}),
        (second(scaling={"replicas": 3}, rollback={"keepWarm": False}), {5: 0, 7: 3, 8: 3}),
        (second(suspend=True, scaling={"replicas": 3}, rebuild={"parallelism": 9}), {5: 0, 7: 0, 8: 0}),
    ],
    ids=["as scaled", "parallelism", "zero but parallelism", "not warm", "suspended"],
)
@pytest.mark.parametrize("state", [REPLAYING, CATCHING_UP])
def test_each_build_has_its_pods(wanted: Desired, replicas: dict[int, int], state: BuildState) -> None:
    assert ensured(three(wanted, second_build(state, (0, 0)))) == replicas


def test_edits_of_scaling_do_not_touch_a_candidate_with_its_own_parallelism() -> None:
    running = (child(replicas=2), child(8, version="2", replicas=4))
    wanted = {"scaling": {"replicas": 6}, "rebuild": {"parallelism": 4}}
    assert ensured(beside(HALFWAY, children=running, desired=second(**wanted))) == {7: 6}
    shared = second(scaling={"replicas": 6})
    assert ensured(beside(HALFWAY, children=running, desired=shared)) == {7: 6, 8: 6}


def test_a_build_that_is_not_kept_warm_runs_again_once_it_is_asked_for() -> None:
    cold = (child(replicas=0), child(8, version="2"))
    wanted = {"rollback": {"keepWarm": False}}
    assert ensured(back(desired=second(**wanted), children=cold)) == {}
    assert ensured(back((0, 0), desired=desired(**wanted), children=cold)) == {7: 1}
    held = back((0, 0), desired=second(**wanted), children=cold, resource=holding("1"))
    assert ensured(held) == {7: 1}


def test_a_deployment_that_is_gone_comes_back_whichever_build_it_is_of() -> None:
    for missing in (7, 8):
        running = tuple(one for one in (child(), child(8, version="2")) if one.build != missing)
        assert ensured(beside(HALFWAY, children=running)) == {missing: 1}
        assert ensured(back(desired=second(), children=running)) == {missing: 1}


# The limit of events per second.

LIMITED = second(rebuild={"maxEventsPerSecond": 500})
SLOWER = second(rebuild={"maxEventsPerSecond": 100})


def candidates(state: BuildState, limit: str | None, wanted: Desired) -> Observation:
    running = (child(), child(8, version="2", limit=limit))
    return beside(second_build(state, (50, 50)), children=running, desired=wanted)


def test_a_candidate_is_limited_and_the_live_build_is_not() -> None:
    seen = beside(HALFWAY, children=(child(),), desired=LIMITED)
    assert limits(seen) == {8: "500"}
    assert limits(replace(seen, children=(child(), child(8, version="2", limit="500")))) == {}


def test_the_limit_is_shared_among_the_pods() -> None:
    wanted = second(rebuild={"maxEventsPerSecond": 500, "parallelism": 4})
    assert limits(beside(HALFWAY, children=(child(),), desired=wanted)) == {8: "125"}
    none = second(rebuild={"maxEventsPerSecond": 500}, scaling={"replicas": 0})
    assert limits(beside(HALFWAY, children=(child(replicas=0),), desired=none)) == {8: "500"}


def test_a_changed_limit_reaches_a_replay() -> None:
    assert limits(candidates(REPLAYING, "500", SLOWER)) == {8: "100"}
    assert limits(candidates(REPLAYING, "500", second())) == {8: None}


@pytest.mark.parametrize("wanted", [SLOWER, LIMITED, second()], ids=["changed", "same", "removed"])
def test_after_the_replay_the_limit_stays_as_it_runs_so_that_no_pod_starts_anew(wanted: Desired) -> None:
    assert limits(candidates(CATCHING_UP, "500", wanted)) == {}
    live = (child(), child(8, version="2", limit="500"))
    assert limits(back(desired=wanted, children=live)) == {}
    # An edit of something else keeps it as well.
    assert wanted.spec is not None
    scaled = Desired(wanted.spec.model_copy(update={"scaling": wanted.spec.scaling.model_copy(update={"replicas": 2})}))
    assert limits(back(desired=scaled, children=live)) == {7: None, 8: "500"}


def test_through_an_outage_each_keeps_its_replicas_and_its_limit() -> None:
    running = (child(replicas=2), child(8, version="2", replicas=4, limit="500"))
    silent = beside(registry=TARGET_DOWN, children=running, desired=second(scaling={"replicas": 9}))
    assert ensured(silent) == {}
    template = {"template": {"metadata": {"labels": {"team": "sales"}}}}
    edited = replace(silent, desired=second(scaling={"replicas": 9}, projector=template))
    assert ensured(edited) == {7: 2, 8: 4}
    assert limits(edited) == {7: None, 8: "500"}
    assert ensured(replace(silent, desired=second(suspend=True))) == {7: 0, 8: 0}


def test_a_new_role_is_let_into_every_build_that_is_kept() -> None:
    builds = (build(WARM, number=5, version="0"), build(), HALFWAY, build(BuildState.ABANDONED, number=4))
    seen = beside(registry=view(*builds), worker=WorkerAccess("another_role"), children=())
    admitted = [one.build for one in decide(seen, NOW).actions if isinstance(one, actions.AdmitWorker)]
    assert admitted == [5, 7, 8]


# Expiry.

DAY = timedelta(hours=24)


def expired(seen: Observation) -> list[int]:
    found = [one for one in decide(seen, NOW).actions if isinstance(one, actions.Abandon)]
    assert all(one.ending is Ending.EXPIRED for one in found)
    return [one.build for one in found]


def replaced(ago: timedelta, **changes: Any) -> Observation:
    builds = (build(WARM, changed_at=NOW - ago), second_build(LIVE))
    return back(**{"registry": view(*builds), "desired": second(), **changes})


@pytest.mark.parametrize(
    ("seen", "builds"),
    [
        (replaced(DAY), [7]),
        (replaced(DAY - timedelta(seconds=1)), []),
        (replaced(timedelta(hours=1), desired=second(rollback={"retainFor": "1h"})), [7]),
        (replaced(timedelta(), desired=second(rollback={"retainFor": "0s"})), [7]),
        (replaced(DAY, desired=second(suspend=True)), [7]),
        (replaced(DAY, desired=desired()), []),
        (replaced(DAY, resource=holding("1")), []),
        (replaced(DAY, desired=desired(rebuildToken="again")), [7]),
        (replaced(DAY, desired=Desired(second().spec, INVALID.problems)), []),
        (replaced(DAY, resource=resource(deleting=True)), []),
        (replaced(DAY, registry=TARGET_DOWN), []),
    ],
    ids=[
        "over", "not yet", "shorter", "nothing kept", "suspended", "asked for", "held", "another token", "invalid spec",
        "deleting", "unknown",
    ],
)  # fmt: skip
def test_a_build_that_was_replaced_is_kept_for_as_long_as_the_spec_says(seen: Observation, builds: list[int]) -> None:
    assert expired(seen) == builds


def test_nothing_is_done_for_a_build_that_expires_in_this_pass() -> None:
    seen = replaced(DAY, children=(), worker=WorkerAccess("another_role"))
    found = decide(seen, NOW).actions
    assert [one.build for one in found if isinstance(one, actions.AdmitWorker)] == [8]
    assert ensured(seen) == {8: 1}


def test_an_expired_build_loses_its_deployment_in_the_next_pass_only() -> None:
    assert kinds(replaced(DAY)) == [actions.Abandon]
    gone = (build(BuildState.ABANDONED, ending=Ending.EXPIRED), second_build(LIVE))
    after = back(desired=second(), registry=view(*gone))
    assert decide(after, NOW).actions == (actions.RemoveDeployment("orders-b7"),)


# What is left of a build that was given up.


def left(ago: timedelta, children: tuple[Child, ...] = (child(),)) -> Observation:
    given_up = second_build(BuildState.ABANDONED, changed_at=NOW - ago)
    return observation(registry=view(build(), given_up), children=children, survey=SURVEY)


GROUP = actions.RemoveGroup(("kafka:9092",), "projections.11111111.shop.orders.b8")


def test_a_table_goes_after_the_pods_and_the_group_before_the_table() -> None:
    running = left(timedelta(), (child(), child(8, version="2")))
    assert decide(running, NOW).actions == (actions.RemoveDeployment("orders-b8"),)
    assert decide(left(timedelta()), NOW).actions == (GROUP, actions.Retire(8))


def test_a_group_that_cannot_be_forgotten_holds_a_table_for_some_minutes_only() -> None:
    assert decide(left(GROUP_PATIENCE), NOW).actions == (GROUP, actions.Retire(8))
    assert decide(left(GROUP_PATIENCE + timedelta(seconds=1)), NOW).actions == (actions.Retire(8),)


def test_remains_are_looked_at_again_soon_but_not_at_once() -> None:
    assert decide(left(timedelta()), NOW).requeue_after == 1.0
    assert decide(replaced(DAY), NOW).requeue_after < 1.0


def test_a_plan_that_was_shown_is_carried_out_soon() -> None:
    assert decide(beside(), NOW).requeue_after < 1.0


def test_a_candidate_that_is_given_up_in_this_pass_gets_no_deployment() -> None:
    seen = beside(HALFWAY, desired=desired(), children=(child(),))
    assert kinds(seen) == [actions.Abandon]
