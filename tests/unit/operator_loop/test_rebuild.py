"""A version change, from the plan to the retirement of what it replaced, on a world in memory."""

from datetime import timedelta

import pytest

from projection_operator.core.upkeep import GROUP_PATIENCE
from projector.registry import RegistryError, SwapWaiting, WrongState
from tests.support.operator_world import KEY, World
from tests.support.projections import NOW, TARGET_DOWN
from tests.unit.operator_loop.rebuilding import (
    ABANDONED,
    FIRST,
    LIVE,
    REPLAYING,
    SECOND,
    THIRD,
    WARM,
    asks,
    builds,
    halfway,
    live,
    newest,
    pods,
    replayed,
    swapped,
    told,
)

pytestmark = pytest.mark.asyncio


async def test_another_version_is_planned_built_beside_and_takes_over() -> None:
    world = await live()
    world.cluster.apply(**SECOND)
    await world.reconciler.reconcile(KEY)
    assert builds(world) == {1: LIVE}
    assert world.status["plan"]["kind"] == "Replay"
    await world.settle()
    assert builds(world) == {1: LIVE, 2: REPLAYING}
    assert set(world.cluster.deployments_) == {"orders-b1", "orders-b2"}
    assert world.condition("Rebuilding")[0] == "True"
    assert world.condition("Ready")[0] == "True"
    assert (world.status["phase"], world.status["liveVersion"]) == ("Replaying", "1")
    world.registry.moves_to(2, 100, 100)
    await world.settle()
    assert builds(world) == {1: WARM, 2: LIVE}
    assert (world.status["phase"], world.status["liveVersion"]) == ("Live", "2")
    assert world.status["retained"] == [{"version": "1", "build": 1, "fed": True, "until": "2026-01-03T03:04:05Z"}]
    assert "plan" not in world.status
    assert told(world)[3:] == ["Planned", "BuildBegun", "CatchingUp", "Swapped"]
    assert world.registry.calls[5:] == ["begin as worker", "build_indexes", "open_catch_up", "swap"]
    assert pods(world) == {"orders-b1": 1, "orders-b2": 1}
    assert world.condition("Reconciling")[:2] == ("False", "Serving")


async def test_a_token_builds_the_live_version_anew() -> None:
    world = await live()
    await asks(world, rebuildToken="again")
    assert builds(world) == {1: LIVE, 2: REPLAYING}
    await replayed(world)
    assert builds(world) == {1: WARM, 2: LIVE}
    assert (world.status["liveVersion"], world.status["liveBuild"]) == ("1", 2)
    assert world.status["retained"][0]["version"] == "1"


async def test_nothing_is_written_while_a_change_only_waits() -> None:
    world = await halfway()
    writes, events = world.cluster.status_writes, len(world.cluster.events)
    for _ in range(3):
        await world.reconciler.reconcile(KEY)
    assert (world.cluster.status_writes, len(world.cluster.events)) == (writes, events)


async def test_versions_in_mid_flight_are_superseded_and_leave_nothing() -> None:
    world = await halfway()
    world.logs.keeps_groups = True
    await asks(world, **THIRD)
    assert builds(world) == {1: LIVE, 2: ABANDONED, 3: REPLAYING}
    assert set(world.cluster.deployments_) == {"orders-b1", "orders-b3"}
    assert world.registry.retired == []
    world.logs.keeps_groups = False
    await world.settle()
    assert world.logs.forgotten == ["projections.11111111.shop.orders.b2"]
    assert (world.registry.retired, builds(world)) == ([2], {1: LIVE, 3: REPLAYING})
    await asks(world, **SECOND)
    assert builds(world) == {1: LIVE, 4: REPLAYING}
    await replayed(world)
    assert builds(world) == {1: WARM, 4: LIVE}
    assert (world.registry.retired, len(world.logs.forgotten)) == ([2, 3], 2)
    assert told(world).count("BuildBegun") == 4


async def test_a_table_waits_for_its_group_for_some_minutes_only() -> None:
    world = await halfway()
    world.logs.keeps_groups = True
    await asks(world, **FIRST)
    assert builds(world) == {1: LIVE, 2: ABANDONED}
    world.later(seconds=GROUP_PATIENCE.total_seconds() + 1)
    await world.settle()
    assert (world.registry.retired, world.logs.forgotten) == ([2], [])


async def test_the_first_version_asked_for_again_in_mid_flight() -> None:
    world = await halfway()
    await asks(world, **FIRST)
    assert (builds(world), world.registry.retired) == ({1: LIVE}, [2])
    assert world.condition("Reconciling")[:2] == ("False", "Serving")
    assert "candidate" not in world.status
    assert told(world)[-1] == "BuildGivenUp"
    assert "swap" not in world.registry.calls


async def test_a_definition_that_changes_under_its_version_stops_and_goes_on_when_put_back() -> None:
    world = await halfway()
    await asks(world, rules=THIRD["rules"])
    assert world.condition("Stalled")[:2] == ("True", "DefinitionChanged")
    assert world.condition("Ready")[:2] == ("True", "Serving")
    await replayed(world)
    assert builds(world) == {1: LIVE, 2: REPLAYING}
    await asks(world, rules=SECOND["rules"])
    assert builds(world) == {1: WARM, 2: LIVE}


async def test_a_definition_that_changes_under_its_version_is_built_anew_with_a_token() -> None:
    world = await halfway()
    await asks(world, rules=THIRD["rules"], rebuildToken="again")
    assert builds(world) == {1: LIVE, 3: REPLAYING}
    assert newest(world).version == "2"
    await replayed(world)
    assert builds(world) == {1: WARM, 3: LIVE}


async def test_suspended_in_mid_flight_nothing_runs_and_it_goes_on_where_it_was() -> None:
    world = await halfway()
    await asks(world, suspend=True)
    assert pods(world) == {"orders-b1": 0, "orders-b2": 0}
    assert world.status["phase"] == "Suspended"
    assert world.status["candidate"]["percent"] == 50
    await replayed(world)
    assert builds(world) == {1: LIVE, 2: REPLAYING}
    await asks(world, suspend=False)
    assert builds(world) == {1: WARM, 2: LIVE}
    assert pods(world) == {"orders-b1": 1, "orders-b2": 1}


async def test_a_status_that_is_lost_in_mid_flight_comes_back() -> None:
    world = await halfway()
    before = world.status
    del world.cluster.projections[KEY]["status"]
    await world.settle()
    assert world.status == before
    assert world.registry.calls.count("begin as worker") == 2


async def test_a_status_that_is_lost_before_the_beginning_only_delays_it() -> None:
    world = await live()
    world.cluster.apply(**SECOND)
    await world.reconciler.reconcile(KEY)
    del world.cluster.projections[KEY]["status"]
    await world.reconciler.reconcile(KEY)
    assert builds(world) == {1: LIVE}
    await world.settle()
    assert builds(world) == {1: LIVE, 2: REPLAYING}


async def test_deleted_in_mid_flight_the_tables_stay_and_another_resource_goes_on() -> None:
    world = await halfway()
    world.cluster.delete()
    assert await world.reconciler.reconcile(KEY) is None
    assert builds(world) == {1: LIVE, 2: REPLAYING}
    world.cluster.deployments_.clear()
    world.cluster.apply(**SECOND)
    world.cluster.projections[KEY]["metadata"]["uid"] = "uid-2"
    await world.settle()
    assert set(world.cluster.deployments_) == {"orders-b1", "orders-b2"}
    await replayed(world)
    assert builds(world) == {1: WARM, 2: LIVE}


async def test_deleted_in_mid_flight_with_policy_delete_everything_goes() -> None:
    world = await halfway(deletionPolicy="Delete")
    world.cluster.delete()
    await world.settle()
    assert world.registry.entry is None
    assert world.cluster.deployments_ == {}
    assert KEY not in world.cluster.projections


async def test_what_was_replaced_is_kept_for_its_time_and_retired_once() -> None:
    world = await swapped(rollback={"retainFor": "2h"})
    world.later(hours=2, seconds=-1)
    await world.settle()
    assert builds(world) == {1: WARM, 2: LIVE}
    world.later(seconds=1)
    await world.settle()
    assert (builds(world), world.registry.retired) == ({2: LIVE}, [1])
    assert set(world.cluster.deployments_) == {"orders-b2"}
    assert world.logs.forgotten == ["projections.11111111.shop.orders.b1"]
    assert (world.status["retained"], told(world).count("Retired")) == ([], 1)


async def test_a_table_that_others_depend_on_is_not_dropped_and_is_told() -> None:
    world = await swapped(rollback={"retainFor": "2h"})
    world.logs.keeps_groups = True
    world.later(hours=2)
    await world.settle()
    assert builds(world) == {1: ABANDONED, 2: LIVE}
    world.logs.keeps_groups = False
    world.registry.refuses = WrongState("view report depends on t__b1")
    await world.settle()
    assert world.condition("Stalled")[:2] == ("True", "TargetInUse")
    assert "view report depends on t__b1" in world.condition("Stalled")[2]
    assert world.condition("Ready")[:2] == ("True", "Serving")
    world.registry.refuses = None
    await world.settle()
    assert (world.registry.retired, world.condition("Stalled")[0]) == ([1], "False")


async def test_an_outage_in_mid_flight_changes_nothing_and_tells_no_tales() -> None:
    world = await swapped()
    await asks(world, **THIRD)
    running, before = dict(world.cluster.deployments_), world.status
    world.databases.down = TARGET_DOWN
    await world.settle()
    assert world.cluster.deployments_ == running
    assert (world.status["candidate"], world.status["retained"]) == (before["candidate"], before["retained"])
    world.databases.down = None
    await world.settle()
    assert world.status == before
    assert not {"BuildGivenUp", "Retired"} & set(told(world))
    assert told(world).count("BuildBegun") == 3


async def test_a_swap_that_has_to_wait_is_tried_until_it_fits() -> None:
    world = await halfway()
    await replayed_up_to_the_swap(world, SwapWaiting("a transaction of role report is open since 03:00"))
    assert world.condition("Reconciling")[:2] == ("True", "SwapWaiting")
    assert "role report" in world.condition("Reconciling")[2]
    assert world.condition("Stalled")[0] == "False"
    assert world.status["phase"] == "Swapping"
    assert world.condition("Ready")[:2] == ("True", "Serving")
    tried = world.registry.calls.count("swap")
    await world.reconciler.reconcile(KEY)
    assert world.registry.calls.count("swap") == tried + 1
    world.registry.refuses = None
    await world.settle()
    assert builds(world) == {1: WARM, 2: LIVE}


async def test_a_swap_that_is_refused_stalls_and_the_live_version_serves() -> None:
    world = await halfway()
    await replayed_up_to_the_swap(world, WrongState("view report depends on a column that changes"))
    assert world.condition("Stalled")[:2] == ("True", "SwapRefused")
    assert "view report depends on" in world.condition("Stalled")[2]
    assert world.condition("Ready")[:2] == ("True", "Serving")
    assert (world.status["liveBuild"], world.status["candidate"]["step"]) == (1, "Swapping")
    assert told(world).count("SwapRefused") == 1
    world.registry.refuses = None
    await world.settle()
    assert builds(world) == {1: WARM, 2: LIVE}
    assert told(world)[-2:] == ["Recovered", "Swapped"]


async def test_a_swap_that_is_refused_holds_up_nothing_else() -> None:
    world = await halfway()
    await replayed_up_to_the_swap(world, WrongState("view report depends on a column that changes"))
    await asks(world, scaling={"replicas": 3})
    assert pods(world) == {"orders-b1": 3, "orders-b2": 3}
    del world.cluster.deployments_["orders-b1"]
    await world.settle()
    assert pods(world) == {"orders-b1": 3, "orders-b2": 3}
    assert world.condition("Stalled")[:2] == ("True", "SwapRefused")


async def replayed_up_to_the_swap(world: World, error: RegistryError) -> None:
    """The newest build follows the log, and the swap meets `error`."""
    number = newest(world).number
    world.registry.moves_to(number, 100, 100)
    world.registry.open_catch_up(1, number)
    world.registry.refuses = error
    await world.settle()


async def test_it_takes_the_place_only_where_it_is_as_far_as_the_live_build() -> None:
    world = await live()
    world.logs.grows_to(500, 500)
    world.registry.moves_to(1, 500, 500)
    await asks(world, **SECOND)
    world.logs.grows_to(900, 900)
    world.registry.moves_to(1, 900, 900)
    world.registry.moves_to(2, 500, 500)
    await world.settle()
    assert world.condition("Reconciling")[2] == "build 2 of version 2 is 800 events behind; shown at 100"
    world.registry.moves_to(2, 900, 850)
    await world.settle()
    assert world.condition("Reconciling")[:2] == ("True", "SwapWaiting")
    world.registry.moves_to(2, 900, 900)
    await world.settle()
    assert builds(world) == {1: WARM, 2: LIVE}


async def test_no_progress_is_told_after_the_deadline_and_is_over_with_the_next_step() -> None:
    world = await halfway(rebuild={"stepDeadline": "10m"})
    world.later(minutes=10)
    await world.settle()
    assert world.condition("Stalled")[0] == "False"
    world.later(seconds=1)
    await world.settle()
    assert world.condition("Stalled")[:2] == ("True", "NoProgress")
    world.registry.moves_to(2, 60, 60)
    await world.settle()
    assert world.condition("Stalled")[0] == "False"
    assert world.now == NOW + timedelta(minutes=10, seconds=1)
