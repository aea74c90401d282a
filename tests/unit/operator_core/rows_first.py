"""Rows of a first build, from nothing to live, and of a live build that is asked for."""

from dataclasses import replace
from datetime import timedelta

from projection_operator.core import actions
from projection_operator.core.observation import Observation, SourceView
from projection_operator.core.reasons import Reason
from projector.ports import Ends
from projector.registry import BuildState, BuildView, EndedBuild, Ending
from tests.support.projections import (
    NO_SECRET,
    NOW,
    OTHER_DEFINITION,
    P0,
    P1,
    SOURCE_DOWN,
    TOPIC_MISSING,
    build,
    checkpoint,
    desired,
    holding,
    observation,
    source,
    view,
)
from tests.unit.operator_core.rows import F, Row, T

NONE_YET = {"registry": view(), "children": ()}
REPLAYING, CATCHING_UP = BuildState.REPLAYING, BuildState.CATCHING_UP
CUT = SourceView({P0: Ends(0, 100), P1: Ends(1, 100)})


def on_its_way(state: BuildState, at: tuple[int, int], **changes: object) -> Observation:
    return observation(registry=view(build(state, at)), **changes)


def standing(minutes: int) -> BuildView:
    """A replay that last moved so long ago."""
    since = NOW - timedelta(minutes=minutes)
    points = tuple(replace(checkpoint(partition, 50), moved_at=since) for partition in (P0, P1))
    return build(REPLAYING, checkpoints=points, changed_at=since)


def ended(ending: Ending, version: str = "1", of_token: str = "") -> Observation:
    """A former attempt ended so."""
    attempt = EndedBuild(6, version, of_token, ending, "for a reason", NOW)
    return observation(registry=view(ended=(attempt,)), children=())


GOOD_ENOUGH = desired(
    source={
        "kafka": {"bootstrapServers": ["kafka:9092"], "topics": ["orders"], "type": "header.ce_type"},
        "allowPartialHistory": "the first year is archived",
    }
)

FIRST_ROWS = (
    Row("live, log does not fit", observation(source=source(100, 90)), Reason.SOURCE_CHANGED, (), (T, F, T)),
    Row(
        "live, log does not fit",
        observation(source=SourceView({P0: Ends(101, 120), P1: Ends(0, 100)})),
        Reason.SOURCE_CHANGED, (), (T, F, T),
    ),
    Row("live, log does not fit", observation(source=TOPIC_MISSING), Reason.TOPIC_MISSING, (), (T, F, T)),
    Row("live, redefined", observation(desired=OTHER_DEFINITION), Reason.DEFINITION_CHANGED, (), (T, F, T)),
    Row(
        "live, suspended",
        observation(desired=desired(suspend=True)),
        Reason.SUSPENDED, (actions.EnsureDeployment,), (T, F, F),
    ),
    Row("live", observation(), Reason.SERVING, (), (T, F, F)),
    Row("live", observation(source=SOURCE_DOWN), Reason.SERVING, (), (T, F, F)),
    Row("live", observation(worker=NO_SECRET), Reason.SERVING, (), (T, F, F)),
    Row(
        "candidate, superseded",
        on_its_way(REPLAYING, (1, 1), desired=desired(version="2")),
        Reason.ABANDONING, (actions.Abandon,), (F, T, F),
    ),
    Row(
        "candidate, superseded",
        on_its_way(CATCHING_UP, (1, 1), desired=desired(rebuildToken="again"), source=SOURCE_DOWN),
        Reason.ABANDONING, (actions.Abandon,), (F, T, F),
    ),
    Row(
        "candidate, redefined",
        on_its_way(REPLAYING, (1, 1), desired=OTHER_DEFINITION),
        Reason.DEFINITION_CHANGED, (), (F, F, T),
    ),
    Row(
        "candidate, log does not fit",
        on_its_way(CATCHING_UP, (100, 100), source=source(100, 100, 5)),
        Reason.PARTITIONS_GROWN, (), (F, F, T),
    ),
    Row(
        "suspended",
        on_its_way(REPLAYING, (100, 100), desired=desired(suspend=True)),
        Reason.SUSPENDED, (actions.EnsureDeployment,), (F, F, F),
    ),
    Row("suspended", observation(**NONE_YET, desired=desired(suspend=True)), Reason.SUSPENDED, (), (F, F, F)),
    Row(
        "replayed",
        on_its_way(REPLAYING, (100, 101), source=source(100, 101)),
        Reason.REPLAYING, (actions.OpenCatchUp,), (F, T, F),
    ),
    Row(
        "caught up, first",
        on_its_way(CATCHING_UP, (100, 100), source=source(150, 150)),
        Reason.CATCHING_UP, (actions.Publish,), (F, T, F),
    ),
    Row(
        "candidate, scaled to zero",
        on_its_way(REPLAYING, (1, 1), desired=desired(scaling={"replicas": 0})),
        Reason.SCALED_TO_ZERO, (actions.EnsureDeployment,), (F, F, F),
    ),
    Row(
        "candidate, log unknown",
        on_its_way(CATCHING_UP, (100, 100), source=SOURCE_DOWN),
        Reason.SOURCE_UNAVAILABLE, (), (F, T, F),
    ),
    Row("candidate, no access", on_its_way(REPLAYING, (1, 1), worker=NO_SECRET), Reason.SECRET_MISSING, (), (F, F, T)),
    Row("replaying", on_its_way(REPLAYING, (100, 99)), Reason.REPLAYING, (), (F, T, F)),
    Row(
        "catching up",
        on_its_way(CATCHING_UP, (100, 100), source=source(150, 151)),
        Reason.CATCHING_UP, (), (F, T, F),
    ),
    Row("no build, log unknown", observation(**NONE_YET, source=TOPIC_MISSING), Reason.TOPIC_MISSING, (), (F, F, T)),
    Row("no build, no access", observation(**NONE_YET, worker=NO_SECRET), Reason.SECRET_MISSING, (), (F, F, T)),
    Row("no build", observation(**NONE_YET), Reason.BEGINNING, (actions.BeginBuild,), (F, T, F)),
    Row("no build", observation(**NONE_YET, resource=holding("9")), Reason.BEGINNING, (actions.BeginBuild,), (F, T, F)),
    Row(
        "candidate, aborted",
        on_its_way(REPLAYING, (1, 1), desired=desired(promotion={"abortVersion": "1"})),
        Reason.ABANDONING, (actions.Abandon,), (F, T, F),
    ),
    Row(
        "candidate, aborted",
        on_its_way(CATCHING_UP, (100, 100), desired=desired(promotion={"abortVersion": "1"}, suspend=True)),
        Reason.ABANDONING, (actions.Abandon,), (F, T, F),
    ),
    Row(
        "candidate, stands still",
        observation(registry=view(standing(minutes=31))),
        Reason.NO_PROGRESS, (), (F, F, T),
    ),
    Row("replaying", observation(registry=view(standing(minutes=30))), Reason.REPLAYING, (), (F, T, F)),
    Row(
        "no build, abort asked for",
        observation(**NONE_YET, desired=desired(promotion={"abortVersion": "1"})),
        Reason.ABORTED, (), (F, F, T),
    ),
    Row("no build, given up before", ended(Ending.ABORTED), Reason.ABORTED, (), (F, F, T)),
    Row("no build, given up before", ended(Ending.REJECTED), Reason.REJECTED, (), (F, F, T)),
    Row("no build", ended(Ending.SUPERSEDED), Reason.BEGINNING, (actions.BeginBuild,), (F, T, F)),
    Row("no build", ended(Ending.EXPIRED), Reason.BEGINNING, (actions.BeginBuild,), (F, T, F)),
    Row("no build", ended(Ending.ABORTED, "1", "again"), Reason.BEGINNING, (actions.BeginBuild,), (F, T, F)),
    Row("no build", ended(Ending.ABORTED, version="0"), Reason.BEGINNING, (actions.BeginBuild,), (F, T, F)),
    Row(
        "no build, compaction unknown",
        observation(**NONE_YET, compacted=SOURCE_DOWN),
        Reason.SOURCE_UNAVAILABLE, (), (F, T, F),
    ),
    Row("no build, log is partial", observation(**NONE_YET, source=CUT), Reason.PARTIAL_HISTORY, (), (F, F, T)),
    Row(
        "no build, log is partial",
        observation(**NONE_YET, compacted=frozenset({"orders"})),
        Reason.PARTIAL_HISTORY, (), (F, F, T),
    ),
    Row(
        "no build",
        observation(**NONE_YET, source=CUT, compacted=frozenset({"orders"}), desired=GOOD_ENOUGH),
        Reason.BEGINNING, (actions.BeginBuild,), (F, T, F),
    ),
)  # fmt: skip
