"""Status as kubectl shows it, whole."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from projection_operator.core import actions
from projection_operator.core.conditions import previous
from projection_operator.core.decide import decide
from projection_operator.core.observation import Desired, Observation, SourceView, Unknown
from projection_operator.core.reasons import ADVICE, STALLED, Reason, advised, patience
from projection_operator.core.status import Phase
from projector.ports import Ends
from projector.registry import BuildState, ProjectionView
from tests.support.projections import (
    INVALID,
    NO_SECRET,
    NOW,
    P0,
    P1,
    SOURCE_DOWN,
    TARGET_DOWN,
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

SINCE = "2026-01-02T03:04:05Z"
STUCK = view(build(checkpoints=(checkpoint(P0, 5, stuck="event.id is missing"),)))
HANGING = SourceView({P0: Ends(0, 100, 130), P1: Ends(0, 100, 100)}, None, {P0: NOW - timedelta(seconds=90)})
MANUAL = second(promotion={"mode": "Manual"})
WAITS = Unknown(Reason.SWAP_WAITING, "the swap was tried and changed nothing: someone reads")
REFUSED = Unknown(Reason.SWAP_REFUSED, "view report depends on a column that changes")
LIVE_BEFORE = {"liveBuild": 7, "liveVersion": "1"}


def status(seen: Observation) -> dict[str, Any]:
    return decide(seen, NOW).status.to_dict()


def condition(kind: str, value: str, reason: str, message: str) -> dict[str, Any]:
    return {
        "type": kind,
        "status": value,
        "reason": reason,
        "message": message,
        "observedGeneration": 3,
        "lastTransitionTime": SINCE,
    }


QUIET = (
    condition("Rebuilding", "False", "NoRebuild", "no version is being built beside a live one"),
    condition("ApprovalRequired", "False", "NotNeeded", "no plan waits for a person"),
    condition("Held", "False", "NotHeld", "the annotation projections.dev/hold-version is not set"),
)


def test_live_whole() -> None:
    serving = "version 1 (build 7) serves as public.t"
    assert status(observation(source=source(120, 100))) == {
        "observedGeneration": 3,
        "phase": "Live",
        "liveVersion": "1",
        "liveBuild": 7,
        "retained": [],
        "indexes": [],
        "lag": {"events": 20, "seconds": 8},
        "parked": {"keys": 0},
        "replicas": 1,
        "selector": "projections.dev/projection=orders,projections.dev/build=7",
        "conditions": [
            condition("Ready", "True", "Serving", serving),
            condition("Reconciling", "False", "Serving", serving),
            condition("Stalled", "False", "Progressing", "nothing needs a person"),
            condition("LagKnown", "True", "Measured", "from the registry's checkpoints and the log's ends"),
            condition("Degraded", "False", "AsExpected", "the read model is fed as the spec asks"),
            *QUIET,
        ],
    }


def test_replaying_whole() -> None:
    replaying = "build 7 of version 1 has replayed 45 %"
    assert status(observation(registry=view(build(BuildState.REPLAYING, (10, 80))))) == {
        "observedGeneration": 3,
        "phase": "Replaying",
        "candidate": {"version": "1", "build": 7, "step": "Replaying", "percent": 45},
        "retained": [],
        "indexes": [],
        "lag": {"events": 110, "seconds": 8},
        "parked": {"keys": 0},
        "replicas": 1,
        "selector": "projections.dev/projection=orders,projections.dev/build=7",
        "conditions": [
            condition("Ready", "False", "Replaying", replaying),
            condition("Reconciling", "True", "Replaying", replaying),
            condition("Stalled", "False", "Progressing", "nothing needs a person"),
            condition("LagKnown", "True", "Measured", "from the registry's checkpoints and the log's ends"),
            condition("Degraded", "False", "AsExpected", "the read model is fed as the spec asks"),
            *QUIET,
        ],
    }


def test_missing_secret_whole() -> None:
    missing = (
        "spec.target.postgresql.connectionSecretRef: Secret shop/read-db does not exist. "
        "Create it; the operator looks again every few seconds."
    )
    assert status(observation(registry=NO_SECRET, worker=NO_SECRET, source=NO_SECRET, children=())) == {
        "observedGeneration": 3,
        "phase": "Stalled",
        "retained": [],
        "indexes": [],
        "replicas": 0,
        "conditions": [
            condition("Ready", "False", "SecretMissing", missing),
            condition("Reconciling", "False", "Settled", "stalled: see the condition Stalled"),
            condition("Stalled", "True", "SecretMissing", missing),
            condition("LagKnown", "False", "SecretMissing", missing),
            condition("Degraded", "False", "NoBuild", "nothing has been built yet"),
            *QUIET,
        ],
    }


@pytest.mark.parametrize(
    ("seen", "phase"),
    [
        (observation(), Phase.LIVE),
        (observation(registry=view(), children=()), Phase.PENDING),
        (observation(registry=view(build(BuildState.CATCHING_UP))), Phase.CATCHING_UP),
        (observation(desired=desired(suspend=True)), Phase.SUSPENDED),
        (beside(), Phase.LIVE),
        (beside(second_build(BuildState.REPLAYING)), Phase.REPLAYING),
        (beside(second_build(BuildState.CATCHING_UP, (0, 0))), Phase.CATCHING_UP),
        (beside(second_build(BuildState.CATCHING_UP), desired=MANUAL), Phase.AWAITING_APPROVAL),
        (beside(second_build(BuildState.CATCHING_UP)), Phase.SWAPPING),
        (beside(second_build(BuildState.CATCHING_UP), refused=WAITS), Phase.SWAPPING),
        (beside(second_build(BuildState.CATCHING_UP), refused=REFUSED), Phase.STALLED),
        (beside(second_build(BuildState.REPLAYING), resource=holding("1")), Phase.LIVE),
        (beside(second_build(BuildState.REPLAYING), desired=second(suspend=True)), Phase.SUSPENDED),
        (back(), Phase.ROLLING_BACK),
        (back((0, 0)), Phase.ROLLING_BACK),
        (observation(desired=INVALID), Phase.STALLED),
        (observation(registry=STUCK, source=source(5)), Phase.DEGRADED),
        (observation(source=SOURCE_DOWN), Phase.DEGRADED),
        (observation(source=HANGING), Phase.DEGRADED),
        (observation(registry=view(build(parked_keys=1))), Phase.DEGRADED),
        (observation(registry=TARGET_DOWN, resource=resource(LIVE_BEFORE)), Phase.DEGRADED),
        (observation(resource=resource(deleting=True)), Phase.DELETING),
    ],
)
def test_phase(seen: Observation, phase: Phase) -> None:
    assert status(seen)["phase"] == phase


def degraded(seen: Observation) -> tuple[str, str]:
    """Reason and message."""
    found = previous(status(seen), "Degraded")
    return found["reason"], found["message"]


def test_a_transaction_that_hangs_is_told_with_the_way_out_and_is_no_lag() -> None:
    seen = observation(source=HANGING)
    assert degraded(seen) == (
        "SourceBlocked",
        (
            "topic orders, partition 0: a transaction that begins at offset 100 is open since 2026-01-02T03:02:35Z or "
            "longer; 30 offsets from there on cannot be read, and are not counted as lag. If its producer is gone: "
            "kafka-transactions.sh --bootstrap-server kafka:9092 abort --topic orders --partition 0 --start-offset 100"
        ),
    )
    assert status(seen)["lag"] == {"events": 0, "seconds": 0}
    young = replace(HANGING, unsettled={P0: NOW - timedelta(seconds=89)})
    assert degraded(observation(source=young))[0] == "AsExpected"


def test_a_hanging_transaction_keeps_no_build_from_being_shown() -> None:
    seen = observation(source=HANGING, registry=view(build(BuildState.CATCHING_UP)))
    assert actions.Publish(7) in decide(seen, NOW).actions
    replayed = observation(source=HANGING, registry=view(build(BuildState.REPLAYING)))
    assert actions.OpenCatchUp(7) in decide(replayed, NOW).actions


def test_parked_keys_are_told_with_the_command_that_shows_them() -> None:
    seen = observation(registry=view(build(parked_keys=3)))
    assert degraded(seen) == (
        "ParkedKeys",
        (
            "3 keys are parked: an event of each could not be applied, and its later ones wait behind it; all other "
            "keys go on. To see them: projector parked list --installation 11111111-2222-3333-4444-555555555555 "
            "--namespace shop --name orders. To let one go on, with the same options: projector parked discard "
            "--key <key> --offset <first> --reason <why>, then projector parked replay --key <key>"
        ),
    )
    assert status(seen)["parked"] == {"keys": 3}
    assert "parked" not in status(observation(registry=view(), children=()))


@pytest.mark.parametrize(
    ("registry", "seconds"),
    [(view(build()), 30), (view(build(parked_keys=1)), 5), (view(build(checkpoints=STUCK.builds[0].checkpoints)), 5)],
    ids=["well", "parked keys", "stuck"],
)
def test_what_a_person_may_mend_beside_a_quiet_log_is_looked_at_soon(registry: ProjectionView, seconds: float) -> None:
    ends = [one.next_offset for one in registry.builds[0].checkpoints]
    quiet = observation(resource=resource({"lag": {"events": 0}}), registry=registry, source=source(*ends))
    assert decide(quiet, NOW).requeue_after == seconds


def test_what_stops_partitions_is_told_before_what_is_parked() -> None:
    point = checkpoint(P0, 5, stuck="more than 100 keys would be parked")
    seen = observation(registry=view(build(checkpoints=(point,), parked_keys=100)), source=source(5))
    reason, message = degraded(seen)
    assert reason == "PartitionsStuck"
    assert "--reason <why>. Parked keys: 100; see projector parked list --installation" in message
    assert degraded(observation(source=SOURCE_DOWN, registry=view(build(parked_keys=1))))[0] == "SourceUnavailable"


def test_invalid_spec_tells_every_problem_with_its_place() -> None:
    stalled = previous(status(observation(desired=INVALID)), "Stalled")
    assert stalled["message"].startswith("spec.rules[0].set.total, column 3: expected bigint, found text. Mend")


def test_stuck_events_degrade_what_is_live() -> None:
    said = status(observation(registry=STUCK, source=source(5)))
    degraded = previous(said, "Degraded")
    assert (degraded["status"], degraded["reason"]) == ("True", "PartitionsStuck")
    assert degraded["message"].startswith("topic orders, partition 0, offset 5: event.id is missing. ")
    assert previous(said, "Ready")["status"] == "True"


def test_lag_that_is_not_known_is_absent() -> None:
    before = {**LIVE_BEFORE, "lag": {"events": 12, "seconds": 3}}
    for seen in (
        observation(source=SOURCE_DOWN, resource=resource(before)),
        observation(registry=TARGET_DOWN, resource=resource(before)),
        observation(source=source(100, 1), resource=resource(before)),
    ):
        said = status(seen)
        assert "lag" not in said
        assert previous(said, "LagKnown")["status"] == "False"


def test_pods_that_do_not_start_are_trouble_after_a_while_only() -> None:
    def seen(seconds: int) -> Mapping[str, Any]:
        since = NOW - timedelta(seconds=seconds)
        return previous(status(observation(children=(child(ready=0, unavailable_since=since),))), "Degraded")

    assert seen(19)["status"] == "False"
    late = seen(20)
    assert late["reason"] == "NoWorkerReady"
    assert "kubectl --namespace shop describe pods --selector projections.dev/projection=orders" in late["message"]


@pytest.mark.parametrize("wanted", [desired(suspend=True), desired(scaling={"replicas": 0})])
def test_where_no_pods_are_asked_for_none_are_missed(wanted: Desired) -> None:
    idle = (child(ready=0, unavailable_since=NOW - timedelta(hours=1)),)
    assert degraded(observation(desired=wanted, children=idle))[0] == "AsExpected"


def test_transition_time_moves_with_the_status_only() -> None:
    replaying = observation(registry=view(build(BuildState.REPLAYING, (0, 0))))
    catching_up = view(build(BuildState.CATCHING_UP))
    first = status(replaying)
    later = NOW + timedelta(hours=1)
    second = decide(observation(registry=catching_up, resource=resource(first)), later).status.to_dict()
    third = decide(observation(resource=resource(second)), later).status.to_dict()
    assert previous(second, "Ready")["lastTransitionTime"] == SINCE
    assert previous(second, "Ready")["reason"] == "CatchingUp"
    assert previous(third, "Ready")["lastTransitionTime"] == "2026-01-02T04:04:05Z"


@pytest.mark.parametrize("reason", [reason for reason in Reason if reason.value.startswith("Secret")])
def test_problems_of_secrets_are_looked_at_again_within_10_s(reason: Reason) -> None:
    assert patience(reason) <= 10


def test_all_look_again_within_30_s_and_every_stall_says_what_to_do() -> None:
    assert all(0 < patience(reason) <= 30 for reason in Reason)
    # These say it in their own message.
    assert STALLED - ADVICE.keys() == {Reason.ABORTED, Reason.FOREIGN_REGISTRY, Reason.PARTIAL_HISTORY, Reason.REJECTED}
    assert advised(Reason.TOPIC_MISSING, "x.") == "x. Create the topic, or correct the name."
