"""The plan: what it says of a change, and when it is another one."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from projection_operator.core.case import Case
from projection_operator.core.observation import Observation, SourceView, Unknown
from projection_operator.core.plan import HASH_LENGTH, SHOWN, approved, needs_approval, plan, shown
from projection_operator.core.reasons import Reason
from projection_operator.core.status import PlanStatus
from projector.ports import Ends, Partition
from projector.registry import BuildState, EndedBuild, Ending, Survey, Unmanaged
from projector.spec.definition import Definition
from tests.support.projections import (
    INVALID,
    NOW,
    P0,
    P1,
    SOURCE_DOWN,
    SURVEY,
    TARGET_DOWN,
    back,
    beside,
    build,
    desired,
    observation,
    resource,
    second,
    second_build,
    source,
    spec,
    view,
)
from tests.support.specs import COLUMNS, spec_data

TRIGGER = Unmanaged("trigger", "audit", "CREATE TRIGGER audit")
HAND_MADE = replace(SURVEY, unmanaged=(TRIGGER,))
TARGET = spec_data()["target"]["postgresql"]
SOURCE = spec_data()["source"]


def with_columns(*columns: Mapping[str, Any]) -> dict[str, Any]:
    return {"target": {"postgresql": {**TARGET, "columns": list(columns)}}}


def made(seen: Observation) -> PlanStatus:
    found = plan(Case(seen, NOW))
    assert isinstance(found, PlanStatus)
    return found


def test_of_a_replay_whole() -> None:
    live = build(created_at=NOW - timedelta(seconds=50), replayed_at=NOW)
    seen = beside(registry=view(live), source=source(1_000, 3_000))
    found = made(seen)
    assert found == PlanStatus(
        hash=found.hash,
        kind="Replay",
        from_version="1",
        from_build=7,
        to_version="2",
        events=4_000,
        seconds=1_000,
        bytes=65_536,
        creates=("table public.t__b…, with the number of its build",),
        drops=("table public.t__b7, 24h after the swap",),
        grants=("SELECT to web",),
    )
    assert len(found.hash) == HASH_LENGTH


def test_of_a_rollback_whole() -> None:
    found = made(back())
    assert found == PlanStatus(
        hash=found.hash,
        kind="Rollback",
        from_version="2",
        from_build=8,
        to_version="1",
        events=0,
        grants=("SELECT to web",),
    )


@pytest.mark.parametrize(
    "seen",
    [
        observation(survey=SURVEY),
        observation(desired=second(), registry=view(), survey=None),
        beside(registry=TARGET_DOWN),
        beside(desired=INVALID),
    ],
    ids=["what is live is asked for", "nothing is live", "registry unknown", "spec not valid"],
)
def test_none_where_nothing_is_replaced(seen: Observation) -> None:
    assert plan(Case(seen, NOW)) is None
    assert not approved(Case(seen, NOW))
    assert not shown(Case(seen, NOW))


@pytest.mark.parametrize(
    ("seen", "reason"),
    [
        (beside(survey=TARGET_DOWN), Reason.TARGET_UNAVAILABLE),
        (beside(survey=None), Reason.OUT_OF_STEP),
        (beside(source=SOURCE_DOWN), Reason.SOURCE_UNAVAILABLE),
    ],
)
def test_unknown_where_a_part_is(seen: Observation, reason: Reason) -> None:
    found = plan(Case(seen, NOW))
    assert isinstance(found, Unknown)
    assert found.reason is reason
    assert not approved(Case(seen, NOW))


def test_a_rollback_needs_no_log() -> None:
    assert made(back(source=SOURCE_DOWN)).kind == "Rollback"


NAME, TOTAL = COLUMNS[1], COLUMNS[2]
TOTAL_AS_NUMERIC = {"name": "total", "type": "numeric", "default": "0"}
STARTED = {"name": "started", "type": "date"}
ERROR = "readers' prepared statements whose result columns change (SELECT *, or a changed type) see one error"
WAITS = "the swap waits until what depends on the view is dropped, since its columns change"


@pytest.mark.parametrize(
    ("columns", "lines", "warned"),
    [
        (COLUMNS, (), ()),
        ((*COLUMNS, STARTED), ("+ started date",), (ERROR,)),
        (COLUMNS[:-1], ("- data jsonb",), (ERROR, WAITS)),
        ((*COLUMNS[:2], TOTAL_AS_NUMERIC, *COLUMNS[3:]), ("~ total bigint -> numeric",), (ERROR, WAITS)),
        ((*COLUMNS[:2], STARTED, *COLUMNS[2:]), ("+ started date",), (ERROR, WAITS)),
        ((*COLUMNS[2:], *COLUMNS[:2]), (), (ERROR, WAITS)),
        (
            (*COLUMNS[:2], TOTAL_AS_NUMERIC, *COLUMNS[3:-1], STARTED),
            ("~ total bigint -> numeric", "+ started date", "- data jsonb"),
            (ERROR, WAITS),
        ),
        ((*COLUMNS[:2], {**TOTAL, "default": "1"}, *COLUMNS[3:]), (), ()),
    ],
    ids=["same", "grows", "shrinks", "type", "in between", "other order", "all", "default"],
)
def test_columns_and_what_readers_meet(
    columns: Sequence[Mapping[str, Any]], lines: tuple[str, ...], warned: tuple[str, ...]
) -> None:
    depended = replace(SURVEY, dependents=("view app.totals",))
    found = made(beside(desired=second(**with_columns(*columns)), survey=depended))
    assert (found.columns, found.warnings) == (lines, warned)
    alone = made(beside(desired=second(**with_columns(*columns))))
    assert alone.warnings == warned[:1]


def test_the_way_back_of_a_changed_shape_warns_too() -> None:
    grown = Definition.of(spec(**with_columns(*COLUMNS, STARTED)))
    builds = (build(BuildState.WARM), second_build(BuildState.LIVE, definition=grown))
    found = made(back(registry=view(*builds), survey=replace(SURVEY, dependents=("view app.totals",))))
    assert (found.columns, found.warnings) == (("- started date",), (ERROR, WAITS))


def test_what_is_lost_and_what_is_not_read_are_warned_of() -> None:
    lossy = {**SOURCE, "allowPartialHistory": "the first year is archived"}
    found = made(beside(desired=second(source=lossy), survey=HAND_MADE))
    assert found.unmanaged == ("trigger audit",)
    assert found.warnings == (
        "unmanaged objects of the live table are not made on the new one: approve the plan to acknowledge that",
        "the log may lack its first events: the first year is archived",
    )


def test_a_topic_that_is_read_no_more_is_told() -> None:
    kafka = {**SOURCE["kafka"], "topics": ["payments"]}
    seen = beside(desired=second(source={"kafka": kafka}))
    expected = "topic orders is no longer read: how far the live table is in it does not hold back the swap"
    assert made(seen).warnings == (expected,)
    more = beside(desired=second(source={"kafka": {**kafka, "topics": ["payments", "orders"]}}))
    assert made(more).warnings == ()


def test_long_lists_are_cut_and_counted() -> None:
    many = tuple(f"SELECT to role{number}" for number in range(SHOWN + 2))
    found = made(beside(survey=replace(SURVEY, grants=many)))
    assert len(found.grants) == SHOWN + 1
    assert found.grants[-1] == "and 2 more"
    exactly = made(beside(survey=replace(SURVEY, grants=many[:SHOWN])))
    assert exactly.grants == many[:SHOWN]


def test_time_is_not_said_where_the_live_build_never_replayed_anything() -> None:
    assert made(beside()).seconds is None
    empty = build(at=(0, 0), replayed_at=NOW, created_at=NOW)
    none = replace(empty, checkpoints=tuple(replace(point, replay_end=0) for point in empty.checkpoints))
    assert made(beside(registry=view(none))).seconds is None
    assert made(beside(registry=view(build(replayed_at=NOW, created_at=NOW)))).seconds == 1


def ended(number: int) -> EndedBuild:
    return EndedBuild(number, "2", "", Ending.SUPERSEDED, "", NOW)


FAILED = view(build(), ended=(ended(8),))
ANEW = SourceView({Partition("orders", "topic-2", number): Ends(0, 100) for number in range(2)})


@pytest.mark.parametrize(
    "other",
    [
        beside(registry=view(build(number=6))),
        beside(registry=FAILED),
        beside(desired=desired(version="2")),
        beside(desired=second(version="3")),
        beside(desired=second(rebuildToken="again")),
        beside(source=ANEW),
        beside(survey=HAND_MADE),
        back(),
    ],
    ids=["live build", "attempt", "definition", "version", "token", "topic id", "unmanaged objects", "rollback"],
)
def test_another_decision_is_another_plan(other: Observation) -> None:
    assert made(other).hash != made(beside()).hash


def test_the_live_build_is_part_of_the_plan_whatever_the_newest_attempt() -> None:
    kept = build(BuildState.WARM, number=6, version="0")
    before = made(beside(registry=view(kept, build())))
    went_back = replace(kept, state=BuildState.LIVE), build(BuildState.WARM, version="1")
    after = made(beside(registry=view(*went_back)))
    assert (before.from_build, after.from_build) == (7, 6)
    assert before.hash != after.hash


GROWN_LIVE = view(build(at=(5_000, 7_000), parked_keys=3))
GIVEN_UP = view(build(), second_build(BuildState.ABANDONED))


@pytest.mark.parametrize(
    "same",
    [
        beside(registry=GROWN_LIVE),
        beside(source=source(5_000, 7_000)),
        beside(survey=replace(SURVEY, rows=10**9, total_bytes=10**12)),
        beside(survey=replace(SURVEY, grants=("SELECT to web", "SELECT to app"), dependents=("view app.totals",))),
        beside(desired=second(scaling={"replicas": 9}, promotion={"mode": "Manual"})),
        beside(resource=resource({"plan": {"hash": "of another change"}})),
        beside(source=source(100, 100, 100)),
    ],
    ids=["lag", "log", "sizes", "readers", "scaling", "status", "more partitions"],
)
def test_what_only_moves_makes_no_other_plan(same: Observation) -> None:
    assert made(same).hash == made(beside()).hash


@pytest.mark.parametrize("state", [BuildState.REPLAYING, BuildState.CATCHING_UP])
def test_a_plan_approved_before_the_build_is_begun_stays_approved(state: BuildState) -> None:
    wanted = second(promotion={"mode": "Manual", "approvedPlan": made(beside()).hash})
    assert approved(Case(beside(desired=wanted), NOW))
    assert approved(Case(beside(second_build(state), desired=wanted), NOW))


def test_a_plan_approved_for_an_attempt_that_failed_is_void_for_the_next() -> None:
    wanted = second(promotion={"mode": "Manual", "approvedPlan": made(beside()).hash})
    assert not approved(Case(beside(registry=FAILED, desired=wanted), NOW))
    assert not approved(Case(beside(registry=GIVEN_UP, desired=wanted), NOW))
    again = beside(second_build(BuildState.CATCHING_UP, number=9), desired=wanted, registry=None)
    next_one = second_build(BuildState.CATCHING_UP, number=9)
    assert not approved(Case(replace(again, registry=view(build(), next_one, ended=(ended(8),))), NOW))


@pytest.mark.parametrize(
    ("survey", "mode", "needed"),
    [(SURVEY, "Auto", False), (SURVEY, "Manual", True), (HAND_MADE, "Auto", True), (HAND_MADE, "Manual", True)],
)
def test_a_person_is_asked_in_mode_manual_or_about_unmanaged_objects(survey: Survey, mode: str, needed: bool) -> None:
    seen = beside(second_build(BuildState.CATCHING_UP), survey=survey, desired=second(promotion={"mode": mode}))
    assert needs_approval(Case(seen, NOW)) is needed
    assert approved(Case(seen, NOW)) is not needed
    named = second(promotion={"mode": mode, "approvedPlan": made(seen).hash})
    assert approved(Case(replace(seen, desired=named), NOW))


def test_a_plan_is_shown_once_the_status_names_it() -> None:
    seen = beside()
    assert not shown(Case(seen, NOW))
    assert shown(Case(replace(seen, resource=resource({"plan": {"hash": made(seen).hash}})), NOW))
    assert not shown(Case(replace(seen, resource=resource({"plan": {"hash": "another"}})), NOW))


def test_a_log_of_two_incarnations_is_one_plan_whatever_their_order() -> None:
    both = {P0: Ends(0, 100), Partition("payments", "topic-9", 0): Ends(0, 10)}
    turned = dict(reversed(both.items()))
    assert made(beside(source=SourceView(both))).hash == made(beside(source=SourceView(turned))).hash
    assert (
        made(beside(source=SourceView(both))).hash
        != made(beside(source=SourceView({P0: Ends(0, 9), P1: Ends(0, 9)}))).hash
    )
