"""Each row of the table of edges: when it decides, what it does, and what conditions say then."""

from dataclasses import replace

import pytest

from projection_operator.core.actions import Swap
from projection_operator.core.case import Case
from projection_operator.core.conditions import previous
from projection_operator.core.decide import decide
from projection_operator.core.edges import EDGES, edge
from projector.registry import BuildState
from tests.support.projections import NO_SECRET, NOW, observation
from tests.unit.operator_core.rows import Row
from tests.unit.operator_core.rows_first import FIRST_ROWS, NONE_YET
from tests.unit.operator_core.rows_indexes import INDEX_ROWS
from tests.unit.operator_core.rows_rebuild import REBUILD_ROWS, twice
from tests.unit.operator_core.rows_registration import REGISTRATION_ROWS

ROWS = (*REGISTRATION_ROWS, *FIRST_ROWS, *REBUILD_ROWS, *INDEX_ROWS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.edge}: {row.reason}")
def test_row(row: Row) -> None:
    assert edge(Case(row.seen, NOW)).name == row.edge
    decision = decide(row.seen, NOW)
    assert tuple(type(action) for action in decision.actions) == row.actions
    status = decision.status.to_dict()
    ready, reconciling, stalled = (previous(status, kind) for kind in ("Ready", "Reconciling", "Stalled"))
    assert (ready["status"], reconciling["status"], stalled["status"]) == row.conditions
    told = stalled if stalled["status"] == "True" else reconciling
    assert told["reason"] == row.reason


def test_every_row_of_the_table_is_tested() -> None:
    assert {row.edge for row in ROWS} == {one.name for one in EDGES}


def test_names_are_unique_and_the_last_row_always_holds() -> None:
    names = [one.name for one in EDGES]
    assert len(set(names)) == len(names)
    assert EDGES[-1].when(Case(observation(), NOW))


def test_a_refused_act_is_told_and_tried_again() -> None:
    seen = observation(**NONE_YET)
    decision = decide(replace(seen, refused=NO_SECRET), NOW)
    assert previous(decision.status.to_dict(), "Stalled")["reason"] == "SecretMissing"
    assert decision.requeue_after <= 10


def test_of_two_builds_of_a_version_that_is_held_the_newest_is_shown() -> None:
    (swap,) = decide(twice(BuildState.WARM), NOW).actions
    assert isinstance(swap, Swap)
    assert swap.build == 7
