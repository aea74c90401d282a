"""Which build gets which indexes, when, and what is said of it."""

from dataclasses import replace
from datetime import timedelta

import pytest

from projection_operator.core import actions
from projection_operator.core.case import Case
from projection_operator.core.decide import CLEARING, Decision, decide
from projection_operator.core.observation import Observation
from projection_operator.core.plan import plan
from projection_operator.core.status import PlanStatus
from projector.indexes import Indexes, IndexFailure, Indexing, IndexView
from projector.registry import BuildState
from projector.spec.definition import Definition
from projector.spec.models import Index
from tests.support.projections import (
    INVALID,
    NOW,
    OTHER_RULES,
    TARGET_DOWN,
    beside,
    build,
    child,
    observation,
    resource,
    second_build,
    spec,
    view,
)
from tests.unit.operator_core.rows_indexes import AT, BROKEN, BY_NAME, NAME, SECOND, asking, indexed

LIVE, WARM, REPLAYING = BuildState.LIVE, BuildState.WARM, BuildState.REPLAYING
BY_AT = IndexView(AT, valid=True)


def tasks(seen: Observation) -> list[actions.BuildIndexes]:
    return [one for one in decide(seen, NOW).actions if isinstance(one, actions.BuildIndexes)]


def with_status(seen: Observation, before: Observation) -> Decision:
    """The next decision, after the status of the one before was written."""
    status = decide(before, NOW).status.to_dict()
    return decide(replace(seen, resource=resource(status)), NOW)


def test_nothing_is_made_before_all_is_replayed() -> None:
    seen = observation(registry=view(build(REPLAYING, (100, 99), indexes=Indexes())), desired=asking(NAME))
    assert tasks(seen) == []
    assert decide(seen, NOW).status.phase == "Replaying"
    # Also where one has been made, of a spec of before: what goes, goes at the end.
    seen = observation(registry=view(build(REPLAYING, (1, 1), indexes=Indexes((BY_AT,)))), desired=asking(NAME))
    assert tasks(seen) == []


def test_a_table_is_analyzed_before_it_is_opened_also_without_indexes() -> None:
    seen = observation(registry=view(build(REPLAYING, indexes=Indexes())))
    assert tasks(seen) == [actions.BuildIndexes(7, False, (), (), analyze=True)]
    decision = decide(seen, NOW)
    assert decision.requeue_after == CLEARING
    assert (decision.status.phase, decision.status.candidate and decision.status.candidate.percent) == ("Indexing", 100)


def test_statistics_come_after_the_last_index() -> None:
    seen = indexed(REPLAYING, analyzed=False)
    seen = replace(seen, desired=asking(NAME, AT))
    assert tasks(seen) == [actions.BuildIndexes(7, False, (NAME, AT), (), analyze=True)]
    failing = indexed(REPLAYING, analyzed=False, failures=(BROKEN,))
    assert tasks(replace(failing, desired=asking(NAME, AT))) == [
        actions.BuildIndexes(7, False, (AT,), (), analyze=False)
    ]
    assert tasks(replace(failing, desired=asking(NAME))) == []


def test_what_failed_is_tried_again_after_a_while_and_the_others_at_once() -> None:
    failing = replace(indexed(failures=(BROKEN,)), desired=asking(NAME, AT))
    assert tasks(failing) == [actions.BuildIndexes(7, True, (AT,), (), analyze=False)]
    later = decide(failing, NOW + timedelta(minutes=5)).actions
    assert later == (actions.BuildIndexes(7, True, (NAME, AT), (), analyze=False),)


def test_a_failure_is_told_in_the_servers_words_with_what_to_do() -> None:
    stalled = decide(indexed(failures=(BROKEN,)), NOW).status.conditions[2]
    assert (stalled.type, stalled.reason) == ("Stalled", "IndexFailed")
    assert stalled.message == (
        "index (name) of version 1 (build 7) cannot be made: could not extend file: No space left on device; tried "
        "again after 2026-01-02T03:09:05Z. Mend what the server names, or take it out of "
        "spec.target.postgresql.indexes."
    )
    told = with_status(indexed(failures=(BROKEN,)), indexed())
    assert [one.reason for one in told.events] == ["IndexFailed"]


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (Indexes(under_way=Indexing(40)), "index (name) is made, 40 %"),
        (
            Indexes(under_way=Indexing(95, "pid 7 (psql)")),
            "index (name) is made, 95 %; it waits for a transaction of pid 7 (psql)",
        ),
        (Indexes(), "index (name) is to be made"),
        (Indexes((BY_NAME, IndexView(AT, valid=True))), "index (at, name) is to be dropped"),
        (Indexes((BY_NAME,), under_way=Indexing(1)), "an index is made, 1 %"),
    ],
)
def test_reconciling_says_what_is_done(state: Indexes, message: str) -> None:
    seen = observation(registry=view(build(indexes=state)), desired=asking(NAME))
    said = {one.type: one for one in decide(seen, NOW).status.conditions}
    assert said["Reconciling"].message == f"version 1 (build 7): {message}"
    assert said["Ready"].status == "True"


def test_the_step_of_a_candidate_has_the_share_of_all_its_indexes() -> None:
    seen = indexed(REPLAYING, made=(BY_AT,), under_way=Indexing(40), analyzed=False)
    seen = replace(seen, desired=asking(NAME, AT), rates={7: 100.0})
    candidate = decide(seen, NOW).status.candidate
    assert candidate is not None
    assert (candidate.step, candidate.percent, candidate.eta, candidate.events_per_second) == (
        "Indexing",
        70,
        None,
        None,
    )


def test_the_status_lists_what_is_there_missing_and_going() -> None:
    indexes = Indexes(
        (BY_NAME, IndexView(Index(columns=("day",)), valid=False)), (IndexFailure(AT, "too long", NOW),), Indexing(12)
    )
    wanted = (AT, NAME, Index(columns=("data",), method="gin"))
    seen = observation(registry=view(build(indexes=indexes)), desired=asking(*wanted))
    assert decide(seen, NOW).status.to_dict()["indexes"] == [
        {"columns": ["at", "name"], "method": "btree", "state": "Missing", "message": "too long"},
        {"columns": ["name"], "method": "btree", "state": "Valid"},
        {"columns": ["data"], "method": "gin", "state": "Building", "percent": 12},
        {"columns": ["day"], "method": "btree", "state": "Dropping"},
    ]


def test_an_index_that_failed_and_is_tried_again_is_building() -> None:
    seen = indexed(failures=(BROKEN,), under_way=Indexing(5))
    (only,) = decide(seen, NOW).status.indexes
    assert (only.state, only.percent, only.message) == ("Building", 5, BROKEN.message)


def test_through_an_outage_of_the_registry_the_status_keeps_what_it_said() -> None:
    seen = indexed(made=(BY_NAME,))
    decision = with_status(replace(seen, registry=TARGET_DOWN), seen)
    assert [one.state for one in decision.status.indexes] == ["Valid"]
    assert "IndexDropped" not in {event.reason for event in decision.events}


def test_events_tell_of_each_index_once() -> None:
    empty, made = indexed(), indexed(made=(BY_NAME,))
    (event,) = with_status(made, empty).events
    assert (event.reason, event.message) == ("IndexBuilt", "index (name) of build 7 is made")
    assert with_status(made, made).events == ()
    # Broken off and made anew tells of it again: readers were without.
    assert [one.reason for one in with_status(empty, made).events] == []


def test_an_index_that_was_taken_out_of_the_spec_is_told_when_it_is_gone() -> None:
    nothing_asked = replace(indexed(made=(BY_NAME,)), desired=asking())
    assert with_status(nothing_asked, indexed(made=(BY_NAME,))).events == ()
    (event,) = with_status(replace(indexed(), desired=asking()), nothing_asked).events
    assert (event.reason, event.message) == ("IndexDropped", "index (name) of build 7 is dropped")


def test_indexes_of_another_build_are_no_event() -> None:
    after = observation(registry=view(second_build(LIVE, indexes=Indexes((BY_NAME,)))), desired=SECOND, children=())
    reasons = [event.reason for event in with_status(after, indexed()).events]
    assert "IndexBuilt" not in reasons


def test_catching_up_is_told_after_the_indexes_and_not_before() -> None:
    before = observation(registry=view(build(REPLAYING, (1, 1))))
    during = indexed(REPLAYING, analyzed=False)
    assert "CatchingUp" not in {event.reason for event in with_status(during, before).events}
    after = indexed(BuildState.CATCHING_UP, made=(BY_NAME,))
    assert "CatchingUp" in {event.reason for event in with_status(after, during).events}


def test_the_live_build_comes_first_and_holds_no_candidate_up() -> None:
    candidate = actions.BuildIndexes(8, False, (NAME,), (), analyze=True)
    seen = beside(second_build(REPLAYING, indexes=Indexes()), desired=SECOND)
    assert tasks(seen) == [actions.BuildIndexes(7, True, (NAME,), (), analyze=False), candidate]
    live_has = view(build(indexes=Indexes((BY_NAME,))), second_build(REPLAYING, indexes=Indexes()))
    assert tasks(replace(seen, registry=live_has)) == [candidate]
    kept = view(build(WARM, number=6), build(), second_build(BuildState.CATCHING_UP))
    assert [task.build for task in tasks(replace(seen, registry=kept))] == [7]


def test_what_fails_on_one_build_holds_no_other_up() -> None:
    builds = (build(indexes=Indexes(failures=(BROKEN,))), second_build(REPLAYING, indexes=Indexes()))
    (task,) = tasks(beside(desired=SECOND, registry=view(*builds)))
    assert task.build == 8


def test_a_build_of_another_version_keeps_what_its_readers_had() -> None:
    replaced = (build(WARM, indexes=Indexes((BY_AT,))), second_build(LIVE, indexes=Indexes((BY_NAME, BY_AT))))
    seen = observation(registry=view(*replaced), desired=SECOND, children=(child(), child(8, version="2")))
    assert tasks(seen) == [actions.BuildIndexes(8, True, (), (AT,), analyze=False)]
    done = view(replaced[0], second_build(LIVE, indexes=Indexes((BY_NAME,))))
    assert tasks(replace(seen, registry=done)) == [actions.BuildIndexes(7, True, (NAME,), (), analyze=False)]


def test_a_build_gets_only_indexes_that_it_has_the_columns_for() -> None:
    few = Definition.of(spec()).model_copy(update={"columns": Definition.of(spec()).columns[:1]})
    old = build(WARM, definition=few)
    seen = observation(registry=view(old, second_build(LIVE, indexes=Indexes((BY_NAME,)))), desired=SECOND, children=())
    assert tasks(seen) == []


@pytest.mark.parametrize("wanted", [asking(NAME, suspend=True), replace(asking(NAME), problems=INVALID.problems)])
def test_nothing_begins_while_suspended_or_while_the_spec_is_wrong(wanted: object) -> None:
    assert tasks(observation(desired=wanted)) == []


def test_nothing_begins_for_a_build_that_is_given_up_in_the_same_pass() -> None:
    seen = beside(second_build(REPLAYING, indexes=Indexes()), desired=asking(version="3"))
    assert tasks(seen) == []


def test_the_plan_lists_the_indexes_and_stays_the_same_without_them() -> None:
    found = plan(Case(beside(desired=SECOND), NOW))
    assert isinstance(found, PlanStatus)
    assert found.creates[1:] == ("index on it: (name)",)
    fewer = plan(Case(beside(desired=asking(version="2", rules=OTHER_RULES)), NOW))
    assert isinstance(fewer, PlanStatus)
    assert fewer.hash == found.hash


def test_indexes_hold_no_step_up_and_wait_for_nothing_that_is_cleared_away() -> None:
    given_up = build(BuildState.ABANDONED, number=6)
    live = view(given_up, build(indexes=Indexes()), second_build(BuildState.CATCHING_UP, indexes=Indexes((BY_NAME,))))
    order = [type(one) for one in decide(beside(desired=SECOND, registry=live), NOW).actions]
    assert order[-4:] == [actions.Swap, actions.BuildIndexes, actions.RemoveGroup, actions.Retire]
