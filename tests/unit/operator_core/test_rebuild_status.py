"""What the status says of a candidate beside a live build, and of builds that are kept."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from projection_operator.core.conditions import previous
from projection_operator.core.decide import decide
from projection_operator.core.observation import Observation, SourceView, Unknown
from projection_operator.core.reasons import Reason
from projector.ports import Ends
from projector.registry import BuildState
from tests.support.projections import (
    NO_SECRET,
    NOW,
    P0,
    P1,
    SOURCE_DOWN,
    back,
    beside,
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

REPLAYING, CATCHING_UP, WARM = BuildState.REPLAYING, BuildState.CATCHING_UP, BuildState.WARM
HALFWAY = second_build(REPLAYING, (50, 50))
READY = second_build(CATCHING_UP)
MANUAL = second(promotion={"mode": "Manual"})


def status(seen: Observation) -> dict[str, Any]:
    return decide(seen, NOW).status.to_dict()


def condition(seen: Observation, kind: str) -> tuple[str, str, str]:
    found = previous(status(seen), kind)
    return found["status"], found["reason"], found["message"]


def test_a_replay_beside_a_live_build() -> None:
    said = status(beside(HALFWAY, rates={8: 12.5}))
    assert said["candidate"] == {
        "version": "2",
        "build": 8,
        "step": "Replaying",
        "percent": 50,
        "eventsPerSecond": 12,
        "eta": "2026-01-02T03:04:13Z",
    }
    assert (said["liveBuild"], said["liveVersion"]) == (7, "1")
    assert said["plan"]["toVersion"] == "2"
    assert condition(beside(HALFWAY), "Rebuilding") == (
        "True",
        "Replaying",
        "version 2 (build 8) is built beside version 1 (build 7)",
    )


@pytest.mark.parametrize("rates", [{}, {7: 12.5}, {8: 0.0}], ids=["none yet", "of another build", "stands still"])
def test_without_a_rate_there_is_no_eta(rates: dict[int, float]) -> None:
    assert "eta" not in status(beside(HALFWAY, rates=rates))["candidate"]


def test_after_the_replay_neither_rate_nor_eta() -> None:
    said = status(beside(READY, rates={8: 12.5}))["candidate"]
    assert said == {"version": "2", "build": 8, "step": "Swapping", "percent": 100}


def refused(reason: Reason) -> Unknown:
    return Unknown(reason, "for a reason")


@pytest.mark.parametrize(
    ("seen", "step"),
    [
        (beside(HALFWAY), "Replaying"),
        (beside(second_build(REPLAYING)), "Replaying"),
        (beside(second_build(CATCHING_UP, (0, 0))), "CatchingUp"),
        (beside(READY, desired=MANUAL), "AwaitingApproval"),
        (beside(READY), "Swapping"),
        (beside(READY, refused=refused(Reason.SWAP_WAITING)), "Swapping"),
        (beside(READY, refused=refused(Reason.SWAP_REFUSED)), "Swapping"),
        (beside(READY, refused=refused(Reason.DEPOSED)), "CatchingUp"),
        (beside(HALFWAY, refused=refused(Reason.SWAP_WAITING)), "Replaying"),
        (beside(READY, resource=holding("1")), "CatchingUp"),
    ],
)
def test_step(seen: Observation, step: str) -> None:
    assert status(seen)["candidate"]["step"] == step


def test_a_swap_that_is_refused_stalls_and_the_live_version_stays_ready() -> None:
    seen = beside(READY, refused=refused(Reason.SWAP_REFUSED))
    assert condition(seen, "Stalled")[:2] == ("True", "SwapRefused")
    assert condition(seen, "Ready")[:2] == ("True", "Serving")
    waits = beside(READY, refused=refused(Reason.SWAP_WAITING))
    assert condition(waits, "Stalled")[0] == "False"
    assert condition(waits, "Reconciling")[:2] == ("True", "SwapWaiting")


@pytest.mark.parametrize(
    ("seen", "rebuilding"),
    [
        (observation(), "NoRebuild"),
        (observation(registry=view(build(REPLAYING))), "NoRebuild"),
        (beside(), "NoRebuild"),
        (back(), "NoRebuild"),
        (beside(HALFWAY), "Replaying"),
        (beside(READY), "CatchingUp"),
    ],
    ids=["live", "first", "planned", "rollback", "replaying", "catching up"],
)
def test_rebuilding_means_beside_a_live_build(seen: Observation, rebuilding: str) -> None:
    assert condition(seen, "Rebuilding")[1] == rebuilding


def test_what_waits_for_a_person_says_what_to_set() -> None:
    said = status(beside(READY, desired=MANUAL))
    plan_hash = said["plan"]["hash"]
    found = previous(said, "ApprovalRequired")
    assert (found["status"], found["reason"]) == ("True", "AwaitingApproval")
    assert found["message"] == (
        "version 2 (build 8) has caught up and waits: spec.promotion.mode is Manual. See status.plan; to show it, set "
        f"spec.promotion.approvedPlan to {plan_hash}"
    )
    assert condition(beside(HALFWAY, desired=MANUAL), "ApprovalRequired")[:2] == ("False", "NotNeeded")


def test_a_version_that_is_held_is_told_with_both_ways_out() -> None:
    seen = beside(HALFWAY, resource=holding("1"))
    assert condition(seen, "Held")[:2] == ("True", "Held")
    assert condition(seen, "Reconciling") == (
        "False",
        "Held",
        (
            "version 1 (build 7) is held by the annotation projections.dev/hold-version; spec.version asks for 2. To "
            "let go: set spec.version to 1, or remove the annotation"
        ),
    )
    missing = condition(back(resource=holding("9")), "Stalled")
    assert missing[2].startswith(
        "annotation projections.dev/hold-version: no table of version 9 is kept (kept: 1, 2); nothing is changed."
    )


def test_an_empty_annotation_holds_nothing() -> None:
    assert condition(observation(resource=holding("")), "Held")[:2] == ("False", "NotHeld")


def test_builds_that_are_kept_newest_first_with_their_end() -> None:
    hour_ago = NOW - timedelta(hours=1)
    kept = (build(WARM, number=5, version="0", changed_at=hour_ago), build(WARM))
    seen = observation(desired=second(), registry=view(*kept, second_build(BuildState.LIVE)))
    assert status(seen)["retained"] == [
        {"version": "1", "build": 7, "fed": True, "until": "2026-01-03T03:04:05Z"},
        {"version": "0", "build": 5, "fed": True, "until": "2026-01-03T02:04:05Z"},
    ]


@pytest.mark.parametrize(
    ("wanted", "fed"),
    [
        (second(rollback={"keepWarm": False}), False),
        (second(scaling={"replicas": 0}), False),
        (second(suspend=True), False),
        (desired(rollback={"keepWarm": False}), True),
    ],
    ids=["not warm", "scaled to zero", "suspended", "asked for again"],
)
def test_fed_means_that_pods_run(wanted: Any, fed: bool) -> None:
    assert [one["fed"] for one in status(back(desired=wanted))["retained"]] == [fed]


STUCK = second_build(REPLAYING, checkpoints=(checkpoint(P0, 5, stuck="event.id is missing"), checkpoint(P1, 5)))
HANGING = SourceView({P0: Ends(0, 100, 130), P1: Ends(0, 100)}, None, {P0: NOW - timedelta(seconds=90)})
NO_PODS = (child(), child(8, ready=0, version="2", unavailable_since=NOW - timedelta(seconds=20)))
YOUNG_PODS = (child(), child(8, ready=0, version="2", unavailable_since=NOW - timedelta(seconds=19)))


@pytest.mark.parametrize(
    ("seen", "reason"),
    [
        (beside(HALFWAY), "Replaying"),
        (beside(STUCK), "PartitionsStuck"),
        (beside(replace(HALFWAY, parked_keys=2)), "ParkedKeys"),
        (beside(HALFWAY, source=HANGING), "SourceBlocked"),
        (beside(HALFWAY, children=NO_PODS), "NoWorkerReady"),
        (beside(HALFWAY, children=YOUNG_PODS), "Replaying"),
        (beside(STUCK, children=NO_PODS), "PartitionsStuck"),
    ],
    ids=["well", "stuck", "parked", "blocked", "no pods", "young pods", "stuck without pods"],
)
def test_what_hinders_a_candidate_is_told_where_its_progress_is(seen: Observation, reason: str) -> None:
    found = condition(seen, "Reconciling")
    assert found[:2] == ("True", reason)
    assert found[2].startswith("build 8 of version 2 has replayed ")
    # The candidate's trouble is not the live build's.
    if seen.source != HANGING:
        assert condition(seen, "Degraded")[:2] == ("False", "AsExpected")


def test_trouble_of_the_live_build_is_not_the_candidates() -> None:
    broken = build(checkpoints=(checkpoint(P0, 5, stuck="event.id is missing"), checkpoint(P1, 100)))
    seen = beside(HALFWAY, registry=view(broken, HALFWAY))
    assert condition(seen, "Degraded")[:2] == ("True", "PartitionsStuck")
    assert condition(seen, "Reconciling")[:2] == ("True", "Replaying")


def test_the_pods_of_a_candidate_are_named_by_their_own_label() -> None:
    assert "projections.dev/build=8" in condition(beside(HALFWAY, children=NO_PODS), "Reconciling")[2]


def test_any_live_version_will_do_where_the_spec_says_so() -> None:
    seen = beside(HALFWAY, desired=second(readinessPolicy="ServingAny"))
    assert condition(seen, "Reconciling")[:2] == ("False", "Replaying")
    first = observation(registry=view(build(REPLAYING, (0, 0))), desired=desired(readinessPolicy="ServingAny"))
    assert condition(first, "Reconciling")[:2] == ("True", "Replaying")


def test_lag_replicas_and_parked_keys_speak_of_the_live_build() -> None:
    candidate = second_build(REPLAYING, (0, 0), parked_keys=9)
    registry = view(build(at=(90, 100), parked_keys=1), candidate)
    children = (child(replicas=2), child(8, version="2", replicas=5))
    said = status(beside(candidate, registry=registry, children=children))
    assert (said["lag"]["events"], said["parked"]["keys"], said["replicas"]) == (10, 1, 2)
    assert said["selector"].endswith("projections.dev/build=7")


def test_no_progress_names_the_deadline_and_the_logs_to_look_at() -> None:
    since = NOW - timedelta(minutes=11)
    points = tuple(replace(checkpoint(partition, 50), moved_at=since) for partition in (P0, P1))
    still = second_build(REPLAYING, checkpoints=points, changed_at=since)
    found = condition(beside(still, desired=second(rebuild={"stepDeadline": "10m"})), "Stalled")
    assert found[:2] == ("True", "NoProgress")
    assert "spec.rebuild.stepDeadline (10m)" in found[2]
    assert "projections.dev/build=8" in found[2]


def test_a_step_of_the_registry_is_progress_too() -> None:
    since = NOW - timedelta(hours=1)
    points = tuple(replace(checkpoint(partition, 10), moved_at=since) for partition in (P0, P1))
    opened = second_build(CATCHING_UP, checkpoints=points, changed_at=NOW)
    assert condition(beside(opened), "Stalled")[0] == "False"
    assert condition(beside(replace(opened, changed_at=since)), "Stalled")[:2] == ("True", "NoProgress")


@pytest.mark.parametrize("lost", [{"source": SOURCE_DOWN}, {"worker": NO_SECRET}], ids=["log", "access"])
def test_what_a_candidate_cannot_reach_degrades_the_live_build_too(lost: dict[str, Any]) -> None:
    assert condition(beside(HALFWAY, **lost), "Degraded")[0] == "True"
    assert condition(beside(HALFWAY, **lost), "Ready")[0] == "True"


def test_a_plan_is_gone_from_the_status_once_its_version_is_live() -> None:
    assert "plan" in status(beside(READY))
    assert "plan" not in status(back(desired=second()))
    assert "plan" not in status(observation(resource=resource({"plan": {"hash": "of the past"}})))


def test_a_log_that_goes_on_changes_only_sizes_of_the_plan() -> None:
    first, later = (status(beside(source=source(end, end)))["plan"] for end in (100, 200))
    assert (first.pop("events"), later.pop("events")) == (200, 400)
    assert first == later
