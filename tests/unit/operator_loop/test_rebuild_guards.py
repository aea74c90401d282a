"""What keeps a build from being begun or shown, and the ways out, on a world in memory."""

from dataclasses import replace

import pytest

from projection_operator.core.observation import Site, SourceView
from projection_operator.loop.observe import Observer
from projector.ports import Ends, Partition
from tests.support.operator_world import World
from tests.support.projections import IMAGE, INSTALLATION, SOURCE_DOWN, SURVEY
from tests.unit.operator_loop.rebuilding import (
    FIRST,
    LIVE,
    PARTIAL,
    REPLAYING,
    SECOND,
    WARM,
    asks,
    builds,
    halfway,
    live,
    newest,
    replayed,
    told,
)

pytestmark = pytest.mark.asyncio


def log(start: int = 0, end: int = 100, topic_id: str = "id-1") -> SourceView:
    """A log of two partitions."""
    return SourceView({Partition("orders", topic_id, number): Ends(start, end) for number in range(2)})


async def test_a_log_that_lost_its_beginning_is_built_from_only_where_the_spec_says_why() -> None:
    world = await live()
    world.logs.view = log(start=40)
    await asks(world, **SECOND)
    assert builds(world) == {1: LIVE}
    assert world.condition("Stalled")[:2] == ("True", "PartialHistory")
    assert world.condition("Stalled")[2].startswith(
        "topic orders, partition 0, does not begin at its first event any more but at offset 40 (1 more partitions do"
    )
    assert world.condition("Ready")[:2] == ("True", "Serving")
    await asks(world, **PARTIAL)
    assert builds(world) == {1: LIVE, 2: REPLAYING}
    assert [point.start for point in newest(world).checkpoints] == [40, 40]
    assert "the log may lack its first events: the first year is archived" in world.status["plan"]["warnings"]
    await replayed(world)
    assert builds(world) == {1: WARM, 2: LIVE}


async def test_a_compacted_log_is_built_from_only_where_the_spec_says_why() -> None:
    world = World()
    world.logs.compacts = frozenset({"orders"})
    await asks(world)
    assert builds(world) == {}
    assert world.condition("Stalled")[:2] == ("True", "PartialHistory")
    assert "topic orders is compacted" in world.condition("Stalled")[2]
    await asks(world, **PARTIAL)
    assert builds(world) == {1: REPLAYING}


async def test_compaction_that_cannot_be_asked_about_holds_a_beginning_up() -> None:
    world = await live()
    world.logs.compacts = SOURCE_DOWN
    await asks(world, **SECOND)
    assert builds(world) == {1: LIVE}
    assert world.condition("Reconciling")[:2] == ("True", "SourceUnavailable")
    world.logs.compacts = frozenset()
    await world.settle()
    assert builds(world) == {1: LIVE, 2: REPLAYING}


async def test_a_history_cut_in_mid_flight_speaks_of_what_is_not_read_yet_only() -> None:
    world = await halfway()
    world.logs.view = log(start=50)
    await replayed(world)
    assert builds(world) == {1: WARM, 2: LIVE}


async def test_a_history_cut_before_a_candidate_stops_it_and_the_live_version_serves() -> None:
    world = await halfway()
    world.logs.view = log(start=51)
    await world.settle()
    assert world.condition("Stalled")[:2] == ("True", "SourceChanged")
    assert "starts at offset 51, after the position 50" in world.condition("Stalled")[2]
    assert world.condition("Degraded")[0] == "False"
    assert world.condition("Ready")[:2] == ("True", "Serving")
    await asks(world, rebuildToken="again", **PARTIAL)
    assert builds(world) == {1: LIVE, 3: REPLAYING}


async def test_a_topic_made_anew_is_left_by_a_token_once_the_loss_is_accepted() -> None:
    world = await live()
    world.logs.view = log(end=30, topic_id="id-2")
    await world.settle()
    assert world.condition("Stalled")[:2] == ("True", "SourceChanged")
    assert "change spec.rebuildToken" in world.condition("Stalled")[2]
    assert "spec.source.allowPartialHistory" in world.condition("Stalled")[2]
    assert world.condition("Ready")[:2] == ("True", "Serving")
    await asks(world, rebuildToken="again")
    # Readers would go back: the new table can never be as far as the old one in partitions that are gone.
    assert builds(world) == {1: LIVE}
    assert world.condition("Stalled")[:2] == ("True", "PartialHistory")
    assert "does not hold any more what the live build has read there" in world.condition("Stalled")[2]
    await asks(world, **PARTIAL)
    await replayed(world)
    assert builds(world) == {1: WARM, 2: LIVE}
    assert world.condition("Ready")[:2] == ("True", "Serving")
    assert world.condition("Degraded")[:2] == ("False", "AsExpected")
    assert world.status["lag"]["events"] == 0


async def test_a_missing_right_to_see_others_is_told_before_anything_is_built() -> None:
    world = await live()
    world.registry.surveyed = replace(SURVEY, blind="GRANT pg_read_all_stats TO operator")
    await asks(world, **SECOND)
    assert builds(world) == {1: LIVE}
    assert world.condition("Stalled")[:2] == ("True", "NotPermitted")
    assert "GRANT pg_read_all_stats TO operator" in world.condition("Stalled")[2]
    await asks(world, promotion={"oldSnapshots": "Ignore"})
    assert builds(world) == {1: LIVE, 2: REPLAYING}


def limited(world: World, limit: int) -> Observer:
    """The world's operator allows so many rebuilds."""
    site = Site(INSTALLATION, IMAGE, limit)
    observer = Observer(world.cluster, world.databases, world.logs, site)
    world.reconciler._observer = observer
    return observer


async def test_a_rebuild_waits_for_its_turn() -> None:
    world = await live()
    observer = limited(world, 1)
    observer._rebuilding.add(("shop", "customers"))
    await asks(world, **SECOND)
    assert builds(world) == {1: LIVE}
    assert world.condition("Reconciling")[:2] == ("True", "RebuildsLimited")
    assert "rebuilds.max: 1" in world.condition("Reconciling")[2]
    observer._rebuilding.clear()
    await world.settle()
    assert builds(world) == {1: LIVE, 2: REPLAYING}


async def test_a_rebuild_that_runs_and_a_first_build_wait_for_nobody() -> None:
    world = await halfway()
    limited(world, 1)._rebuilding.add(("shop", "customers"))
    await replayed(world)
    assert builds(world) == {1: WARM, 2: LIVE}
    first = World()
    limited(first, 0)
    await asks(first)
    assert builds(first) == {1: REPLAYING}


async def test_the_way_back_waits_for_nobody() -> None:
    world = await halfway()
    await replayed(world)
    limited(world, 0)
    await asks(world, **FIRST)
    assert builds(world) == {1: LIVE, 2: WARM}
    assert told(world)[-1] == "RolledBack"
