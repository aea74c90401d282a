"""Rows of secondary indexes, of a first build and of a live one."""

from datetime import timedelta
from typing import Any

from projection_operator.core import actions
from projection_operator.core.observation import Desired, Observation
from projection_operator.core.reasons import Reason
from projector.indexes import Indexes, IndexFailure, Indexing, IndexView
from projector.registry import BuildState
from projector.spec.models import Index
from tests.support.projections import NOW, OTHER_RULES, beside, build, observation, second_build, spec, view
from tests.support.specs import spec_data
from tests.unit.operator_core.rows import F, Row, T

NAME, AT = Index(columns=("name",)), Index(columns=("at", "name"))
BY_NAME = IndexView(NAME, valid=True)
BROKEN = IndexFailure(NAME, "could not extend file: No space left on device", NOW)
BROKEN_LONG_AGO = IndexFailure(NAME, BROKEN.message, NOW - timedelta(minutes=6))
REPLAYING, CATCHING_UP = BuildState.REPLAYING, BuildState.CATCHING_UP


def asking(*indexes: Index, **changes: Any) -> Desired:
    """A spec with these indexes."""
    target = spec_data(indexes=[{"columns": list(one.columns), "method": one.method} for one in indexes])["target"]
    return Desired(spec(target=target, **changes))


SECOND = asking(NAME, version="2", rules=OTHER_RULES)


def indexed(state: BuildState = BuildState.LIVE, *, analyzed: bool = True, **parts: Any) -> Observation:
    """A projection that asks for an index, with a build that has what `parts` say."""
    indexes = Indexes(analyzed_at=NOW if analyzed else None, **parts)
    return observation(registry=view(build(state, indexes=indexes)), desired=asking(NAME))


INDEX_ROWS = (
    Row(
        "candidate, indexes missing",
        indexed(REPLAYING, analyzed=False),
        Reason.INDEXING, (actions.BuildIndexes,), (F, T, F),
    ),
    Row(
        "candidate, indexes missing",
        indexed(REPLAYING, made=(BY_NAME,), analyzed=False),
        Reason.INDEXING, (actions.BuildIndexes,), (F, T, F),
    ),
    Row(
        "candidate, indexes missing",
        indexed(REPLAYING, made=(BY_NAME, IndexView(AT, valid=True))),
        Reason.INDEXING, (actions.BuildIndexes,), (F, T, F),
    ),
    # As long as one is made, nothing else begins: whoever makes it may be the operator before us.
    Row("candidate, indexes missing", indexed(REPLAYING, under_way=Indexing(3)), Reason.INDEXING, (), (F, T, F)),
    Row(
        "candidate, indexes missing",
        indexed(REPLAYING, made=(BY_NAME,), under_way=Indexing(3)),
        Reason.INDEXING, (), (F, T, F),
    ),
    Row(
        "candidate, indexes missing",
        indexed(CATCHING_UP),
        Reason.INDEXING, (actions.BuildIndexes,), (F, T, F),
    ),
    Row("candidate, index failed", indexed(REPLAYING, failures=(BROKEN,)), Reason.INDEX_FAILED, (), (F, F, T)),
    Row(
        "candidate, index failed",
        indexed(CATCHING_UP, failures=(BROKEN_LONG_AGO,)),
        Reason.INDEX_FAILED, (actions.BuildIndexes,), (F, F, T),
    ),
    # A failure of what is there, or not asked for any more, is over.
    Row(
        "replayed",
        indexed(REPLAYING, made=(BY_NAME,), failures=(BROKEN, IndexFailure(AT, "x", NOW))),
        Reason.REPLAYING, (actions.OpenCatchUp,), (F, T, F),
    ),
    Row("live, indexes missing", indexed(), Reason.INDEXING, (actions.BuildIndexes,), (T, T, F)),
    Row(
        "live, indexes missing",
        indexed(made=(IndexView(NAME, valid=False),)),
        Reason.INDEXING, (actions.BuildIndexes,), (T, T, F),
    ),
    Row("live, index failed", indexed(failures=(BROKEN,)), Reason.INDEX_FAILED, (), (T, F, T)),
    Row("live", indexed(made=(BY_NAME,), analyzed=False), Reason.SERVING, (), (T, F, F)),
    Row(
        "caught up",
        beside(second_build(CATCHING_UP, indexes=Indexes(made=(BY_NAME,))), desired=SECOND),
        Reason.SWAPPING, (actions.Swap, actions.BuildIndexes), (T, T, F),
    ),
)  # fmt: skip
