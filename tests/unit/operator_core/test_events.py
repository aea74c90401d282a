"""Events on transitions only: what the new status says that the old one did not."""

from dataclasses import replace
from itertools import pairwise

import pytest

from projection_operator.core.decide import Decision, decide
from projection_operator.core.observation import Observation
from projector.registry import BuildState
from tests.support.projections import (
    NOW,
    P0,
    SOURCE_DOWN,
    TARGET_DOWN,
    TOPIC_MISSING,
    UNREADABLE,
    back,
    beside,
    build,
    checkpoint,
    observation,
    second,
    second_build,
    source,
    view,
)


def after(before: Observation, now: Observation) -> Decision:
    """What is decided on `now`, where the status is that of `before`."""
    written = decide(before, NOW).status.to_dict()
    return decide(replace(now, resource=replace(now.resource, status=written)), NOW)


def told(*seen: Observation) -> list[tuple[str, str]]:
    """Type and reason of the events of each step."""
    steps = (after(before, now) for before, now in pairwise(seen))
    return [(event.type, event.reason.value) for step in steps for event in step.events]


STUCK = view(build(checkpoints=(checkpoint(P0, 5, stuck="event.id is missing"),)))
NOTHING = observation(registry=view(), children=())
FIRST_REPLAY = observation(registry=view(build(BuildState.REPLAYING, (0, 0))))
FIRST_CATCHES_UP = observation(registry=view(build(BuildState.CATCHING_UP)))
LIVE = observation()
REPLAYING = beside(second_build(BuildState.REPLAYING, (0, 0)))
WAITING = beside(second_build(BuildState.CATCHING_UP), desired=second(promotion={"mode": "Manual"}))
SWAPPED = back(desired=second())
BACK_AGAIN = observation(registry=view(build(), second_build(BuildState.WARM)))


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        (NOTHING, FIRST_REPLAY, [("Normal", "BuildBegun")]),
        (FIRST_REPLAY, FIRST_CATCHES_UP, [("Normal", "CatchingUp")]),
        (FIRST_CATCHES_UP, LIVE, [("Normal", "Published")]),
        (FIRST_REPLAY, NOTHING, [("Normal", "BuildGivenUp")]),
        (LIVE, LIVE, []),
        (LIVE, observation(source=TOPIC_MISSING), [("Warning", "TopicMissing")]),
        (observation(source=TOPIC_MISSING), LIVE, [("Normal", "Recovered"), ("Normal", "Recovered")]),
        (LIVE, observation(registry=TARGET_DOWN), [("Warning", "TargetUnavailable")]),
        (LIVE, observation(source=SOURCE_DOWN), [("Warning", "SourceUnavailable")]),
        (LIVE, observation(registry=STUCK, source=source(5)), [("Warning", "PartitionsStuck")]),
        (LIVE, beside(), [("Normal", "Planned")]),
        (beside(), REPLAYING, [("Normal", "BuildBegun")]),
        (REPLAYING, WAITING, [("Normal", "CatchingUp")]),
        (WAITING, WAITING, []),
        (WAITING, SWAPPED, [("Normal", "Swapped")]),
        (REPLAYING, LIVE, [("Normal", "BuildGivenUp")]),
        (SWAPPED, back(), [("Normal", "Planned")]),
        (back(), BACK_AGAIN, [("Normal", "RolledBack")]),
        (SWAPPED, observation(registry=view(second_build(BuildState.LIVE)), desired=second()), [("Normal", "Retired")]),
    ],
)
def test_of_a_step(before: Observation, now: Observation, expected: list[tuple[str, str]]) -> None:
    assert told(before, now) == expected


def test_a_version_change_there_and_back_tells_each_step_once() -> None:
    reasons = [
        reason
        for _, reason in told(
            LIVE, beside(), beside(), REPLAYING, REPLAYING, WAITING, WAITING, SWAPPED, SWAPPED, back(), back(),
            BACK_AGAIN, BACK_AGAIN, LIVE, LIVE,
        )
    ]  # fmt: skip
    assert reasons == ["Planned", "BuildBegun", "CatchingUp", "Swapped", "Planned", "RolledBack", "Retired"]


@pytest.mark.parametrize(
    "known", [REPLAYING, SWAPPED, WAITING, FIRST_REPLAY], ids=["replaying", "kept", "waiting", "first"]
)
def test_an_outage_of_the_target_is_not_the_end_of_what_was_known(known: Observation) -> None:
    silent = replace(known, registry=TARGET_DOWN, survey=None)
    reasons = {reason for _, reason in told(known, silent)}
    assert reasons == {"TargetUnavailable"}
    written = after(known, silent).status.to_dict()
    before = decide(known, NOW).status.to_dict()
    assert written.get("candidate") == before.get("candidate")
    assert written["retained"] == before["retained"]
    again = decide(replace(known, resource=replace(known.resource, status=written)), NOW)
    assert not {event.reason.value for event in again.events} & {"BuildBegun", "BuildGivenUp", "Retired", "CatchingUp"}


def test_a_spec_that_cannot_be_read_is_not_the_end_of_what_is_kept() -> None:
    assert told(SWAPPED, replace(SWAPPED, desired=UNREADABLE)) == [("Warning", "InvalidSpec")]


def test_what_a_former_release_wrote_is_not_believed_where_it_cannot_be_read() -> None:
    silent = replace(REPLAYING, registry=TARGET_DOWN)
    odd = {"candidate": {"number": 8}, "retained": [{"version": "1"}]}
    status = decide(replace(silent, resource=replace(silent.resource, status=odd)), NOW).status
    assert (status.candidate, status.retained) == (None, ())


def test_what_the_events_of_a_change_say() -> None:
    assert [event.message for event in after(WAITING, SWAPPED).events] == [
        "version 2 (build 8) is live, in the place of version 1 (build 7), which is kept"
    ]
    assert [event.message for event in after(back(), BACK_AGAIN).events] == [
        "version 1 (build 7) is live again, in the place of version 2 (build 8), which is kept"
    ]
    assert [event.message for event in after(BACK_AGAIN, LIVE).events] == [
        "version 2 (build 8) is no longer kept; its table is dropped"
    ]
    (planned,) = after(LIVE, beside()).events
    assert planned.message.startswith("Replay from version 1 to 2, 200 events to read; see status.plan (")
