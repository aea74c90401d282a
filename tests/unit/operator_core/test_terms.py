"""When a build is near enough to be shown, and on which terms."""

import pytest

from projection_operator.core.case import Case
from projection_operator.core.observation import Observation, SourceView, Unknown
from projection_operator.core.terms import behind, distance, near, swap_terms
from projector.ports import Ends, Partition
from projector.registry import BuildState, BuildView, SwapTerms
from tests.support.projections import (
    NOW,
    P0,
    P1,
    SOURCE_DOWN,
    beside,
    build,
    checkpoint,
    desired,
    observation,
    second,
    second_build,
    source,
    view,
)
from tests.support.specs import spec_data

CATCHING_UP = BuildState.CATCHING_UP
LOSSY = {**spec_data()["source"], "allowPartialHistory": "the log was made anew"}
NEW = tuple(Partition("orders", "topic-2", number) for number in range(2))
LOST = {"source": SourceView(dict.fromkeys(NEW, Ends(0, 50)))}
"""The topic was deleted and created again."""


def facing(live: BuildView, candidate: BuildView, **changes: object) -> Case:
    return Case(beside(candidate, **{"registry": view(live, candidate), **changes}), NOW)


@pytest.mark.parametrize(
    ("live_at", "at", "events"),
    [
        ((200, 200), (200, 200), 0),
        ((200, 200), (150, 190), 60),
        # Farther in one partition does not make up for another.
        ((200, 200), (190, 500), 10),
        ((200, 200), (500, 500), 0),
        # A partition without a checkpoint is not passed.
        ((200, 200), (200,), 200),
        ((200,), (200, 0), 0),
    ],
)
def test_beside_a_live_build_its_checkpoints_are_the_measure(
    live_at: tuple[int, ...], at: tuple[int, ...], events: int
) -> None:
    candidate = second_build(CATCHING_UP, at)
    case = facing(build(at=live_at), candidate, source=source(10_000, 10_000))
    assert behind(case, candidate) == events
    assert near(case, candidate) is (events <= 100)


def test_a_missing_partition_counts_from_where_the_live_build_began() -> None:
    candidate = second_build(CATCHING_UP, (100,))
    live = build(checkpoints=(checkpoint(P0, 100), checkpoint(P1, 130)))
    assert behind(facing(live, candidate), candidate) == 130


@pytest.mark.parametrize(
    ("limit", "is_near"), [({}, True), ({"maxLag": 99}, False), ({"maxLag": 0}, False), ({"maxLag": 100}, True)]
)
def test_near_is_as_the_spec_says(limit: dict[str, int], is_near: bool) -> None:
    candidate = second_build(CATCHING_UP, (100, 0))
    wanted = second(promotion={"caughtUp": limit})
    assert near(facing(build(), candidate, desired=wanted), candidate) is is_near


def test_where_nothing_is_live_the_log_is_the_measure() -> None:
    first = build(CATCHING_UP, (100, 40))
    case = Case(observation(registry=view(first)), NOW)
    assert (behind(case, first), near(case, first)) == (60, True)
    unknown = Case(observation(registry=view(first), source=SOURCE_DOWN), NOW)
    assert behind(unknown, first) == SOURCE_DOWN
    assert not near(unknown, first)
    assert distance(unknown, first) == f"at an unknown distance ({SOURCE_DOWN.message})"
    assert distance(case, first) == "60 events behind"


def test_a_silent_log_holds_up_no_swap_of_builds_whose_positions_are_known() -> None:
    candidate = second_build(CATCHING_UP)
    assert near(facing(build(), candidate, source=SOURCE_DOWN), candidate)


def of_new_log(at: int = 50) -> BuildView:
    return second_build(CATCHING_UP, checkpoints=tuple(checkpoint(partition, at, end=50) for partition in NEW))


def test_partitions_that_the_log_has_lost_hold_up_a_swap() -> None:
    candidate = of_new_log()
    case = facing(build(), candidate, **LOST)
    assert behind(case, candidate) == 200
    assert not near(case, candidate)
    assert swap_terms(case, candidate).ungated == frozenset()


def test_partitions_that_the_log_has_lost_are_passed_over_where_the_spec_says_so() -> None:
    candidate = of_new_log()
    case = facing(build(), candidate, **LOST, desired=second(source=LOSSY))
    assert behind(case, candidate) == 0
    assert near(case, candidate)
    assert swap_terms(case, candidate).ungated == {P0, P1}


def lossy(**changes: object) -> Observation:
    return beside(second_build(CATCHING_UP), **{"desired": second(source=LOSSY), **changes})


@pytest.mark.parametrize(
    ("seen", "ungated"),
    [
        (lossy(), frozenset()),
        # Cut off: the live build was farther than the log goes now.
        (lossy(source=source(100, 99)), {P1}),
        # Retention before the live build's position loses nothing that a swap has to pass.
        (lossy(source=SourceView({P0: Ends(90, 100), P1: Ends(90, 100)})), frozenset()),
        # Unknown is not lost.
        (lossy(source=SOURCE_DOWN), frozenset()),
    ],
    ids=["nothing lost", "cut off", "retention", "unknown"],
)
def test_only_what_is_known_to_be_lost_is_passed_over(seen: Observation, ungated: set[Partition]) -> None:
    assert swap_terms(Case(seen, NOW), second_build(CATCHING_UP)).ungated == ungated


def test_a_topic_that_a_version_reads_no_more_says_nothing_about_how_far_it_is() -> None:
    payments = Partition("payments", "topic-9", 0)
    live = build(checkpoints=(*build().checkpoints, checkpoint(payments, 5_000)))
    candidate = second_build(CATCHING_UP)
    case = facing(live, candidate)
    assert behind(case, candidate) == 0
    assert swap_terms(case, candidate).ungated == {payments}
    # A partition of a topic that it does read is another matter.
    lacking = second_build(CATCHING_UP, (100,))
    assert swap_terms(facing(live, lacking), lacking).ungated == {payments}
    assert behind(facing(live, lacking), lacking) == 100


def test_terms_are_those_of_the_spec() -> None:
    candidate = second_build(CATCHING_UP)
    assert swap_terms(facing(build(), candidate), candidate) == SwapTerms(
        gate_ms=300, view_ms=20, wait_for_snapshots=True
    )
    promotion = {"oldSnapshots": "Ignore", "swap": {"viewLock": "1s", "gate": "1s500ms"}}
    other = facing(build(), candidate, desired=second(promotion=promotion))
    assert swap_terms(other, candidate) == SwapTerms(gate_ms=1_500, view_ms=1_000, wait_for_snapshots=False)


def test_an_unreadable_log_is_said_in_words_not_in_numbers() -> None:
    first = build(CATCHING_UP)
    gone = Case(observation(registry=view(first), source=source(100, 90), desired=desired()), NOW)
    found = behind(gone, first)
    assert isinstance(found, Unknown)
    assert found.message in distance(gone, first)
