"""Which records of builds there ought to be, and what is done about those that are there."""

import itertools
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from projection_operator.core.actions import ApplyRecord, RemoveRecord
from projection_operator.core.decide import decide
from projection_operator.core.manifests import Owner, labels_of, owner_reference
from projection_operator.core.observation import Observation, Recorded, Unknown
from projection_operator.core.reasons import Reason
from projector.registry import BuildState, EndedBuild, Ending, ProjectionView
from tests.support.projections import (
    INVALID,
    NOW,
    SURVEY,
    TARGET_DOWN,
    UNREADABLE,
    back,
    beside,
    build,
    desired,
    observation,
    resource,
    second,
    second_build,
    view,
)
from tests.unit.operator_core.test_product import every

REPLAYING, CATCHING_UP, LIVE = BuildState.REPLAYING, BuildState.CATCHING_UP, BuildState.LIVE
WARM, ABANDONED = BuildState.WARM, BuildState.ABANDONED
THEN, LATER = "2026-01-02T03:04:05Z", "2026-01-02T04:04:05Z"
HOUR = timedelta(hours=1)
UNSERVED = Unknown(Reason.CLUSTER_UNAVAILABLE, "404: not served")


def seen(one: Observation, *records: Recorded) -> Observation:
    """With these records in the cluster."""
    return replace(one, records=records)


def actions(one: Observation) -> dict[str, ApplyRecord | RemoveRecord]:
    found = decide(one, NOW).records
    assert len({action.name for action in found}) == len(found)
    return {action.name: action for action in found}


def written(one: Observation, number: int) -> dict[str, Any]:
    """The status that is written."""
    action = actions(one)[f"orders-b{number}"]
    assert isinstance(action, ApplyRecord)
    return dict(action.status)


def spec(one: Observation, number: int) -> dict[str, Any]:
    action = actions(one)[f"orders-b{number}"]
    assert isinstance(action, ApplyRecord)
    assert action.manifest is not None
    found: dict[str, Any] = action.manifest["spec"]
    return found


def record(number: int, step: str | None = None, version: str = "1", token: str = "", **status: Any) -> Recorded:
    said = {"step": step, **status} if step else status
    named = {"projection": "orders", "version": version, "build": number, "rebuildToken": token}
    return Recorded(f"orders-b{number}", number, named, said)


def after(one: Observation) -> Observation:
    """The same with what was written."""
    known = {action.name: action for action in decide(one, NOW).records if isinstance(action, ApplyRecord)}
    before = {} if isinstance(one.records, Unknown) else {each.name: each for each in one.records}
    new = [
        Recorded(
            name,
            int(name.rpartition("b")[2]),
            action.manifest["spec"] if action.manifest is not None else before[name].spec,
            action.status,
        )
        for name, action in known.items()
    ]
    kept = [each for name, each in before.items() if name not in known]
    return seen(one, *kept, *new)


def ended(number: int, ending: Ending = Ending.ABORTED, version: str = "1", reason: str = "for a reason") -> EndedBuild:
    return EndedBuild(number, version, "", ending, reason, NOW + HOUR)


def registry(*over: EndedBuild, live: int = 90) -> ProjectionView:
    return view(build(number=live), ended=tuple(sorted(over, key=lambda one: -one.number)))


def test_a_first_build_is_recorded_from_nothing() -> None:
    one = seen(observation(registry=view(build(REPLAYING, (50, 0))), children=()))
    action = actions(one)["orders-b7"]
    assert isinstance(action, ApplyRecord)
    assert action.manifest == {
        "apiVersion": "projections.dev/v1alpha1",
        "kind": "ProjectionRebuild",
        "metadata": {
            "name": "orders-b7",
            "namespace": "shop",
            "labels": labels_of("orders", 7),
            "ownerReferences": [owner_reference(Owner("shop", "orders", "uid-1"))],
        },
        "spec": {"projection": "orders", "version": "1", "build": 7, "rebuildToken": ""},
    }
    assert action.status == {
        "step": "Replaying",
        "percent": 25,
        "events": 200,
        "startedAt": THEN,
        "message": "build 7 of version 1 has replayed 25 %",
    }


def test_a_candidate_is_recorded_with_what_was_live_and_its_plan() -> None:
    one = seen(beside(second_build(REPLAYING, token="")))
    plan = decide(one, NOW).status.plan
    assert plan is not None
    assert spec(one, 8) == {
        "projection": "orders",
        "version": "2",
        "build": 8,
        "rebuildToken": "",
        "fromVersion": "1",
        "fromBuild": 7,
        "plan": plan.hash,
    }
    assert "fromBuild" not in spec(one, 7), "what was live at its begin, nobody knows"


def test_a_way_back_that_is_asked_for_meanwhile_is_not_the_candidates_plan() -> None:
    builds = (build(WARM), second_build(LIVE), build(REPLAYING, number=9, version="3"))
    one = seen(observation(registry=view(*builds), survey=SURVEY))
    assert decide(one, NOW).status.plan is not None
    assert "plan" not in spec(one, 9)


def test_nothing_is_written_twice_and_a_change_without_the_spec() -> None:
    one = after(seen(beside(second_build(REPLAYING, (50, 50)))))
    assert actions(one) == {}
    on = replace(one, registry=view(build(), second_build(REPLAYING, (100, 50))))
    (action,) = actions(on).values()
    assert isinstance(action, ApplyRecord)
    assert (action.name, action.manifest, action.status["percent"]) == ("orders-b8", None, 75)


@pytest.mark.parametrize(
    ("one", "step"),
    [
        (beside(second_build(REPLAYING, (0, 0))), "Replaying"),
        (beside(second_build(CATCHING_UP, (0, 0))), "CatchingUp"),
        (beside(second_build(CATCHING_UP), desired=second(promotion={"mode": "Manual"})), "AwaitingApproval"),
        (beside(second_build(CATCHING_UP)), "Swapping"),
        (back(desired=second(), registry=view(build(WARM), second_build(LIVE))), "Live"),
    ],
)
def test_steps_on_the_way_are_those_of_the_status(one: Observation, step: str) -> None:
    said = written(seen(one), 8)
    assert said["step"] == step
    assert ("finishedAt" in said) == (step == "Live")


def test_the_message_is_what_keeps_the_candidate() -> None:
    waits = beside(second_build(CATCHING_UP), desired=second(promotion={"mode": "Manual"}))
    assert "set spec.promotion.approvedPlan" in written(seen(waits), 8)["message"]
    refused = beside(second_build(CATCHING_UP), refused=Unknown(Reason.SWAP_REFUSED, "a view is in the way"))
    assert written(seen(refused), 8)["message"].startswith("a view is in the way. Mend what it names")


@pytest.mark.parametrize(
    ("ending", "step"),
    [
        (Ending.ABORTED, "Aborted"),
        (Ending.REJECTED, "Rejected"),
        (Ending.SUPERSEDED, "Superseded"),
        (Ending.EXPIRED, "Retired"),
        (None, "Superseded"),
    ],
)
def test_a_build_that_was_given_up(ending: Ending | None, step: str) -> None:
    over = second_build(ABANDONED, (50, 50), ending=ending, reason="why", changed_at=NOW + HOUR, published_at=None)
    told = (EndedBuild(8, "2", "", ending or Ending.SUPERSEDED, "why", NOW + HOUR),)
    said = written(seen(beside(over, registry=view(build(), over, ended=told))), 8)
    assert (said["step"], said["message"], said["percent"]) == (step, "why", 50)
    assert (said["startedAt"], said["finishedAt"]) == (THEN, LATER)


def test_what_a_record_knew_stays_when_only_the_end_is_left() -> None:
    whole = record(8, "Aborted", percent=50, events=200, startedAt=THEN, finishedAt=LATER, message="x")
    said = written(seen(observation(registry=registry(ended(8))), whole), 8)
    assert said == {**whole.status, "message": "for a reason"}
    assert written(seen(observation(registry=registry(ended(8)))), 8) == {
        "step": "Aborted",
        "finishedAt": LATER,
        "message": "for a reason",
    }


def test_a_build_that_was_live_does_not_end_when_its_table_is_dropped() -> None:
    gone = observation(registry=registry(ended(8, Ending.EXPIRED)))
    assert "finishedAt" not in written(seen(gone), 8)
    said = written(seen(gone, record(8, "Replaced", finishedAt=THEN)), 8)
    assert (said["step"], said["finishedAt"]) == ("Retired", THEN)


def warm(number: int, replaced: timedelta = HOUR, **changes: Any) -> Any:
    return build(WARM, number=number, changed_at=NOW + replaced, **changes)


@pytest.mark.parametrize(
    ("builds", "records", "steps"),
    [
        ((warm(7), build(number=8)), (), {7: "Replaced", 8: "Live"}),
        ((build(number=7), warm(8)), (), {7: "Live", 8: "RolledBack"}),
        # What was replaced before that was not replaced by the older one.
        ((build(number=7), warm(8), warm(9, 2 * HOUR)), (), {7: "Live", 8: "Replaced", 9: "RolledBack"}),
        # Once told it stays told, whatever is live later.
        ((warm(7), warm(8), build(number=9)), (record(8, "RolledBack"),), {7: "Replaced", 8: "RolledBack", 9: "Live"}),
        ((build(number=7), warm(8)), (record(8, "Replaced"),), {7: "Live", 8: "Replaced"}),
        # Shown again, and replaced after that.
        (
            (warm(7), warm(8, 2 * HOUR), build(number=9)),
            (record(8, "Live"),),
            {7: "Replaced", 8: "Replaced", 9: "Live"},
        ),
    ],
)
def test_replaced_or_rolled_back(
    builds: tuple[Any, ...], records: tuple[Recorded, ...], steps: Mapping[int, str]
) -> None:
    one = seen(observation(registry=view(*builds)), *records)
    assert {number: written(one, number)["step"] for number in steps} == steps


def test_shown_again_a_build_keeps_the_time_at_which_it_was_first_shown() -> None:
    again = build(published_at=NOW + HOUR)
    one = observation(registry=view(again))
    assert written(seen(one, record(7, "RolledBack", finishedAt=THEN)), 7)["finishedAt"] == THEN
    assert written(seen(one), 7)["finishedAt"] == LATER


def removed(one: Observation) -> set[str]:
    return {action.name for action in decide(one, NOW).records if isinstance(action, RemoveRecord)}


LIMITED = desired(rebuild={"historyLimit": 2})


def test_the_oldest_beyond_the_limit_go_and_do_not_come_back() -> None:
    over = tuple(ended(number) for number in (1, 2, 3, 4))
    one = observation(desired=LIMITED, registry=registry(*over))
    assert set(actions(seen(one))) == {"orders-b3", "orders-b4", "orders-b90"}
    full = seen(one, *(record(number, "Aborted") for number in (1, 2, 3, 4)))
    assert removed(full) == {"orders-b1", "orders-b2"}
    settled = after(seen(one))
    assert actions(settled) == {}


def test_what_is_live_or_on_its_way_is_beside_the_limit() -> None:
    builds = (build(), warm(8), warm(9), warm(10), build(REPLAYING, number=11, version="3"))
    found = actions(seen(observation(desired=LIMITED, registry=view(*builds))))
    assert set(found) == {"orders-b7", "orders-b9", "orders-b10", "orders-b11"}


def test_what_the_registry_shows_no_more_stays_as_it_is_within_the_limit() -> None:
    old = [record(number, "Retired") for number in (1, 2, 3)]
    one = seen(observation(desired=LIMITED, registry=registry(ended(5))), *old, record(4, "Replaced"))
    assert removed(one) == {"orders-b1", "orders-b2", "orders-b4"}, "the last is unfounded, and takes nobody's place"
    assert "orders-b3" not in actions(one)


@pytest.mark.parametrize("step", [None, "Replaying", "Live", "Replaced"])
def test_a_record_of_what_the_registry_does_not_have_goes(step: str | None) -> None:
    assert removed(seen(observation(), record(3, step))) == {"orders-b3"}
    assert removed(seen(observation(registry=None), record(3, step))) == {"orders-b3"}


@pytest.mark.parametrize(
    "other",
    [record(7, "Live", "0"), record(7, "Live", "1", "x"), record(7, "Live", startedAt=LATER)],
    ids=["version", "token", "begin"],
)
def test_a_record_of_a_build_with_this_number_in_another_database_is_written_anew(other: Recorded) -> None:
    (action,) = actions(seen(observation(), other)).values()
    assert action == RemoveRecord("orders-b7")


@pytest.mark.parametrize(
    "one",
    [
        replace(observation(), records=UNSERVED),
        seen(observation(registry=TARGET_DOWN), record(7, "Live"), record(3)),
        seen(observation(resource=resource(deleting=True)), record(3)),
        seen(observation(desired=UNREADABLE), record(3)),
    ],
    ids=["records unknown", "registry unknown", "deleting", "no spec"],
)
def test_what_is_not_known_is_left_alone(one: Observation) -> None:
    assert decide(one, NOW).records == ()


def test_an_invalid_spec_keeps_nobody_from_the_records() -> None:
    assert written(seen(observation(desired=INVALID)), 7)["step"] == "Live"


def test_long_reasons_are_cut() -> None:
    one = seen(observation(registry=registry(ended(8, reason="x" * 5000))))
    assert len(written(one, 8)["message"]) == 4096


def test_a_part_of_the_product_of_all_that_may_be_observed() -> None:
    known = (record(7, "Live"), record(8, "Replaced"), record(3))
    for one in itertools.islice(every(), 0, None, 97):
        found = decide(replace(one, records=known), NOW).records
        assert len({action.name for action in found}) == len(found)
        if isinstance(one.registry, Unknown) or one.resource.deleting:
            assert found == ()
