"""The way back to a version that was live, by the spec or by the annotation, on a world in memory."""

import pytest

from tests.support.operator_world import World
from tests.unit.operator_loop.rebuilding import (
    FIRST,
    LIVE,
    REPLAYING,
    SECOND,
    THIRD,
    WARM,
    asks,
    builds,
    halfway,
    hold,
    live,
    pods,
    replayed,
    swapped,
    told,
)

pytestmark = pytest.mark.asyncio

COLD = {"rollback": {"keepWarm": False}}


async def test_back_and_forward_again_are_swaps_of_the_same_builds() -> None:
    world = await swapped()
    await asks(world, **FIRST)
    assert builds(world) == {1: LIVE, 2: WARM}
    assert world.status["liveVersion"] == "1"
    assert [one["version"] for one in world.status["retained"]] == ["2"]
    await asks(world, **SECOND)
    assert builds(world) == {1: WARM, 2: LIVE}
    assert world.registry.calls.count("begin as worker") == 2
    assert world.registry.calls.count("swap") == 3
    assert told(world)[-5:] == ["Swapped", "Planned", "RolledBack", "Planned", "RolledBack"]


async def test_a_frozen_version_catches_up_before_it_is_shown() -> None:
    world = await swapped(**COLD)
    assert pods(world) == {"orders-b1": 0, "orders-b2": 1}
    world.logs.grows_to(900, 900)
    world.registry.moves_to(2, 900, 900)
    await asks(world, **FIRST)
    assert builds(world) == {1: WARM, 2: LIVE}
    assert pods(world) == {"orders-b1": 1, "orders-b2": 1}
    assert world.status["phase"] == "RollingBack"
    assert world.condition("Reconciling") == (
        "True",
        "RollingBack",
        "going back to version 1 (build 1), which is 1600 events behind",
    )
    world.registry.moves_to(1, 900, 899)
    await world.settle()
    assert world.condition("Reconciling")[:2] == ("True", "SwapWaiting")
    world.registry.moves_to(1, 900, 900)
    await world.settle()
    assert builds(world) == {1: LIVE, 2: WARM}
    assert pods(world) == {"orders-b1": 1, "orders-b2": 0}


async def test_a_return_that_is_given_up_freezes_again() -> None:
    world = await swapped(**COLD)
    world.registry.moves_to(2, 900, 900)
    world.logs.grows_to(900, 900)
    await asks(world, **FIRST)
    await asks(world, **SECOND)
    assert builds(world) == {1: WARM, 2: LIVE}
    assert pods(world) == {"orders-b1": 0, "orders-b2": 1}
    assert "plan" not in world.status


async def test_what_is_asked_for_again_does_not_expire_on_the_way() -> None:
    world = await swapped(**COLD)
    world.logs.grows_to(900, 900)
    world.registry.moves_to(2, 900, 900)
    await asks(world, **FIRST)
    world.later(days=3)
    world.registry.moves_to(2, 900, 900)
    await world.settle()
    assert builds(world) == {1: WARM, 2: LIVE}
    world.registry.moves_to(1, 900, 900)
    await world.settle()
    assert builds(world) == {1: LIVE, 2: WARM}


async def test_a_version_that_expired_is_built_anew() -> None:
    world = await swapped()
    world.later(days=2)
    await world.settle()
    assert builds(world) == {2: LIVE}
    await asks(world, **FIRST)
    assert builds(world) == {2: LIVE, 3: REPLAYING}
    await replayed(world)
    assert builds(world) == {2: WARM, 3: LIVE}


async def test_back_in_the_middle_of_the_next_change_gives_that_one_up() -> None:
    world = await swapped()
    await asks(world, **THIRD)
    assert builds(world) == {1: WARM, 2: LIVE, 3: REPLAYING}
    await asks(world, **FIRST)
    assert builds(world) == {1: LIVE, 2: WARM}
    assert world.registry.retired == [3]


async def test_a_definition_of_another_version_is_no_way_back() -> None:
    world = await swapped()
    await asks(world, version="1")
    assert builds(world) == {1: WARM, 2: LIVE}
    assert world.condition("Stalled")[:2] == ("True", "DefinitionChanged")
    assert world.condition("Ready")[0] == "True"


async def test_manual_approval_is_not_asked_of_the_way_back() -> None:
    world = await swapped()
    await asks(world, **FIRST, promotion={"mode": "Manual"})
    assert builds(world) == {1: LIVE, 2: WARM}


# The annotation.


async def test_held_readers_get_the_version_that_is_named_until_it_is_let_go() -> None:
    world = await swapped()
    hold(world, "1")
    await world.settle()
    assert builds(world) == {1: LIVE, 2: WARM}
    assert world.condition("Held")[:2] == ("True", "Held")
    assert world.condition("Reconciling")[:2] == ("False", "Held")
    assert (world.status["phase"], world.status["liveVersion"]) == ("Live", "1")
    hold(world, None)
    await world.settle()
    assert builds(world) == {1: WARM, 2: LIVE}
    assert world.condition("Held")[0] == "False"
    assert world.registry.calls.count("begin as worker") == 2


async def test_held_nothing_that_the_spec_asks_for_is_begun_or_shown() -> None:
    world = await live()
    hold(world, "1")
    await asks(world, **SECOND)
    assert builds(world) == {1: LIVE}
    assert "spec.version asks for 2" in world.condition("Reconciling")[2]
    hold(world, None)
    await world.settle()
    assert builds(world) == {1: LIVE, 2: REPLAYING}


async def test_held_in_mid_flight_a_candidate_goes_on_and_is_shown_after() -> None:
    world = await halfway()
    hold(world, "1")
    await replayed(world)
    assert builds(world) == {1: LIVE, 2: REPLAYING}
    assert pods(world) == {"orders-b1": 1, "orders-b2": 1}
    hold(world, None)
    await world.settle()
    assert builds(world) == {1: WARM, 2: LIVE}


async def test_a_version_that_is_not_kept_cannot_be_held_and_nothing_changes() -> None:
    world = await swapped()
    hold(world, "9")
    await world.settle()
    assert builds(world) == {1: WARM, 2: LIVE}
    status, reason, message = world.condition("Stalled")
    assert (status, reason) == ("True", "HeldVersionMissing")
    assert "(kept: 1, 2)" in message
    assert world.condition("Ready")[0] == "True"


async def test_the_spec_that_follows_the_annotation_ends_the_hold_without_a_swap() -> None:
    world = await swapped()
    hold(world, "1")
    await world.settle()
    await asks(world, **FIRST)
    assert world.condition("Reconciling")[:2] == ("False", "Serving")
    hold(world, None)
    await world.settle()
    assert builds(world) == {1: LIVE, 2: WARM}
    assert world.registry.calls.count("swap") == 2


async def test_held_while_the_spec_is_broken() -> None:
    world: World = await swapped()
    broken = [{"events": ["E"], "key": {"id": "event.id"}, "set": {"nmae": "event.name"}}]
    hold(world, "1")
    await asks(world, rules=broken)
    assert builds(world) == {1: LIVE, 2: WARM}
    assert world.condition("Stalled")[:2] == ("True", "InvalidSpec")
    assert world.condition("Ready")[0] == "True"
