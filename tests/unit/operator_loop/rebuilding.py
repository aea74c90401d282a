"""Steps that tests of a version change share, on a world in memory."""

from typing import Any

from projection_operator.core.observation import HOLD_VERSION
from projector.registry import BuildState, BuildView
from tests.support.operator_world import KEY, World
from tests.support.projections import OTHER_RULES
from tests.support.specs import spec_data

FIRST: dict[str, Any] = {"version": "1", "rules": spec_data()["rules"]}
SECOND: dict[str, Any] = {"version": "2", "rules": OTHER_RULES}
THIRD: dict[str, Any] = {
    "version": "3",
    "rules": [{"events": ["E"], "key": {"id": "event.id"}, "set": {"name": "event.third"}}],
}
PARTIAL = {"source": {**spec_data()["source"], "allowPartialHistory": "the first year is archived"}}
LIVE, WARM, REPLAYING, CATCHING_UP, ABANDONED = (
    BuildState.LIVE,
    BuildState.WARM,
    BuildState.REPLAYING,
    BuildState.CATCHING_UP,
    BuildState.ABANDONED,
)


def builds(world: World) -> dict[int, BuildState]:
    """States of the builds that are not retired."""
    assert world.registry.entry is not None
    return {build.number: build.state for build in world.registry.entry.builds}


def newest(world: World) -> BuildView:
    """The build that was begun last."""
    assert world.registry.entry is not None
    return world.registry.entry.builds[-1]


def pods(world: World) -> dict[str, int]:
    """Replicas of each Deployment."""
    return {name: body["spec"]["replicas"] for name, body in world.cluster.deployments_.items()}


def told(world: World) -> list[str]:
    """Reasons of all events."""
    return [event.reason.value for event in world.cluster.events]


def hold(world: World, version: str | None) -> None:
    """Annotate, or take the annotation away."""
    annotations = {} if version is None else {HOLD_VERSION: version}
    world.cluster.projections[KEY]["metadata"]["annotations"] = annotations


async def asks(world: World, **spec: Any) -> None:
    """The user edits the spec."""
    world.cluster.apply(**spec)
    await world.settle()


async def replayed(world: World) -> None:
    """The newest build has read the whole log."""
    ends = [point.replay_end for point in newest(world).checkpoints]
    world.registry.moves_to(newest(world).number, *ends)
    await world.settle()


async def live(**spec: Any) -> World:
    """Version 1 is live."""
    world = World()
    await world.until_live(**spec)
    return world


async def halfway(**spec: Any) -> World:
    """Version 1 is live and version 2 being replayed."""
    world = await live()
    await asks(world, **{**SECOND, **spec})
    world.registry.moves_to(2, 50, 50)
    await world.settle()
    assert builds(world) == {1: LIVE, 2: REPLAYING}
    return world


async def swapped(**spec: Any) -> World:
    """Version 2 took over, and version 1 is kept."""
    world = await halfway(**spec)
    await replayed(world)
    assert builds(world) == {1: WARM, 2: LIVE}
    return world
