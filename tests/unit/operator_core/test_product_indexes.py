"""The whole product of indexes and what a database has of them: nothing too early, and nothing twice."""

import itertools
from collections.abc import Iterator

from projection_operator.core import actions, lag
from projection_operator.core.case import Case
from projection_operator.core.decide import decide
from projection_operator.core.edges import EDGES, edge
from projection_operator.core.observation import Observation
from projector.indexes import Indexes, Indexing, IndexView
from projector.registry import BuildState, BuildView
from tests.support.projections import NOW, SURVEY, build, observation, second_build, view
from tests.unit.operator_core.rows_indexes import AT, BROKEN, BROKEN_LONG_AGO, BY_NAME, NAME, SECOND, asking
from tests.unit.operator_core.test_product import allowed, coherent, together

WANTED = (asking(), asking(NAME), asking(AT, NAME), asking(NAME, suspend=True), SECOND)
STATES = (BuildState.REPLAYING, BuildState.CATCHING_UP, BuildState.LIVE, BuildState.WARM, BuildState.ABANDONED)
HAD = tuple(
    Indexes(made, failures, under_way, analyzed_at)
    for made in ((), (BY_NAME,), (IndexView(NAME, valid=False),))
    for failures in ((), (BROKEN,), (BROKEN_LONG_AGO,))
    for under_way in (None, Indexing(50))
    for analyzed_at in (None, NOW)
)


def every() -> Iterator[Observation]:
    for wanted, state, at, had in itertools.product(WANTED, STATES, ((100, 99), (100, 100)), HAD):
        one = build(state, at, indexes=had)
        beside = (second_build(BuildState.LIVE),) if state is BuildState.WARM else ()
        yield observation(desired=wanted, registry=view(one, *beside), survey=SURVEY)
        if state is BuildState.LIVE:
            yield observation(desired=wanted, registry=view(one, second_build(BuildState.CATCHING_UP)), survey=SURVEY)


def test_every_observation_has_a_named_result() -> None:
    reached: set[str] = set()
    for one in every():
        case = Case(one, NOW)
        reached.add(edge(case).name)
        decision = decide(one, NOW)
        coherent(case, decision.status)
        together(decision.actions)
        assert 0 < decision.requeue_after <= 30
        for action in decision.actions:
            allowed(case, action)
            may_follow(case, action)
    assert {row.name for row in EDGES if "index" in row.name} < reached


def may_follow(case: Case, action: actions.Action) -> None:
    match action:
        case actions.BuildIndexes():
            may_begin(case, action, build_of(case, action.build))
        case actions.OpenCatchUp(number) | actions.Publish(number):
            # Nobody is shown a table that is slow, nor is one opened that is locked.
            assert ready(case, build_of(case, number))
        case actions.Swap(number):
            coming = build_of(case, number)
            assert coming.state is BuildState.WARM or ready(case, coming)
        case _:
            pass


def may_begin(case: Case, task: actions.BuildIndexes, found: BuildView) -> None:
    assert not case.suspended
    assert found in case.kept
    assert found.indexes.under_way is None
    assert task.in_use == (found.state is not BuildState.REPLAYING)
    assert task.in_use or lag.replayed(found)
    assert not (task.in_use and task.analyze)
    there = {one.index for one in found.indexes.made if one.valid}
    assert not there & set(task.wanted)
    assert not set(task.needless) & set(task.wanted)
    assert BROKEN not in found.indexes.failures or NAME not in task.wanted
    assert task.wanted or task.needless or task.analyze


def ready(case: Case, found: BuildView) -> bool:
    assert case.spec is not None
    had = found.indexes
    analyzed = found.state is not BuildState.REPLAYING or had.analyzed_at is not None
    return analyzed and had.under_way is None and not had.missing(case.spec.target.postgresql.indexes)


def build_of(case: Case, number: int) -> BuildView:
    assert case.view is not None
    return next(one for one in case.view.builds if one.number == number)
