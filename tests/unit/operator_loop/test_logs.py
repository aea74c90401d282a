"""Since when an open transaction has been seen to hold a partition's end."""

from datetime import timedelta

from projection_operator.targets.logs import Unsettled
from projector.ports import Ends, Partition
from tests.support.projections import NOW

PLACE = Partition("orders", "id-1", 0)
LATER = NOW + timedelta(minutes=5)


def test_an_end_that_stands_still_under_what_is_written_keeps_its_first_sight() -> None:
    seen = Unsettled()
    assert seen.look("kafka", {PLACE: Ends(0, 5, 7)}, NOW) == {PLACE: NOW}
    assert seen.look("kafka", {PLACE: Ends(2, 5, 90)}, LATER) == {PLACE: NOW}


def test_an_end_that_moves_begins_anew() -> None:
    seen = Unsettled()
    seen.look("kafka", {PLACE: Ends(0, 5, 7)}, NOW)
    assert seen.look("kafka", {PLACE: Ends(0, 6, 7)}, LATER) == {PLACE: LATER}


def test_a_settled_end_is_forgotten() -> None:
    seen = Unsettled()
    seen.look("kafka", {PLACE: Ends(0, 5, 7)}, NOW)
    assert seen.look("kafka", {PLACE: Ends(0, 5, 5)}, NOW) == {}
    assert seen.look("kafka", {PLACE: Ends(0, 5, 6)}, LATER) == {PLACE: LATER}


def test_clusters_are_apart_and_a_log_that_does_not_tell_is_never_blocked() -> None:
    seen = Unsettled()
    seen.look("kafka", {PLACE: Ends(0, 5, 7)}, NOW)
    assert seen.look("other", {PLACE: Ends(0, 5, 7)}, LATER) == {PLACE: LATER}
    assert seen.look("kafka", {PLACE: Ends(0, 5)}, LATER) == {}
