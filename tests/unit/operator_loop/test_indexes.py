"""Secondary indexes of a projection, from the spec to the status, on a world in memory."""

from typing import Any

import pytest

from projector.indexes import Indexes, IndexView
from projector.registry import BuildState
from projector.spec.models import Index
from tests.support.operator_world import KEY, World
from tests.support.specs import spec_data

pytestmark = pytest.mark.asyncio

NAME, DAY = Index(columns=("name",)), Index(columns=("day",))


def target(*indexes: Index) -> dict[str, Any]:
    """The target with these indexes."""
    made: dict[str, Any] = spec_data(indexes=[{"columns": list(one.columns)} for one in indexes])["target"]
    return made


def of_build(world: World, number: int) -> Indexes:
    assert world.registry.entry is not None
    return next(one.indexes for one in world.registry.entry.builds if one.number == number)


def reasons(world: World) -> list[str]:
    return [event.reason for event in world.cluster.events]


async def test_a_first_build_is_live_with_its_indexes() -> None:
    world = World()
    await world.until_live(target=target(NAME, DAY))
    assert of_build(world, 1).missing([NAME, DAY]) == ()
    assert world.registry.calls[2:] == ["build_indexes", "open_catch_up", "publish"]
    assert [one["state"] for one in world.status["indexes"]] == ["Valid", "Valid"]
    assert reasons(world) == ["BuildBegun", "IndexBuilt", "IndexBuilt", "CatchingUp", "Published"]


async def test_a_pass_does_not_wait_and_goes_on_when_it_sees_them() -> None:
    world = World()
    world.databases.slow = []
    world.cluster.apply(target=target(NAME))
    await world.settle()
    world.registry.moves_to(1, 100, 100)
    await world.settle()
    assert (world.status["phase"], world.status["candidate"]["percent"]) == ("Indexing", 0)
    assert world.condition("Reconciling") == ("True", "Indexing", "version 1 (build 1): index (name) is to be made")
    assert world.registry.calls[2:] == []
    world.databases.slow[0]()
    world.databases.slow = None
    await world.settle()
    assert world.status["phase"] == "Live"


async def test_an_index_is_added_and_dropped_in_place_without_a_plan() -> None:
    world = World()
    await world.until_live(target=target(NAME))
    world.cluster.apply(target=target(DAY))
    await world.settle()
    assert [one.index for one in of_build(world, 1).made] == [DAY]
    assert world.registry.entry is not None
    assert len(world.registry.entry.builds) == 1
    assert "plan" not in world.status
    assert reasons(world)[-2:] == ["IndexBuilt", "IndexDropped"]
    assert "Planned" not in reasons(world)
    assert world.condition("Reconciling")[:2] == ("False", "Serving")


async def test_a_candidate_whose_index_fails_stays_and_is_tried_again() -> None:
    world = World()
    await world.until_live()
    world.registry.breaks = "could not extend file: No space left on device"
    rules = [{"events": ["E"], "key": {"id": "event.id"}, "set": {"name": "event.other"}}]
    await_second = {"version": "2", "rules": rules, "target": target(NAME)}
    world.cluster.apply(**await_second)
    await world.settle()
    world.registry.moves_to(2, 100, 100)
    await world.settle()
    assert world.condition("Ready")[:2] == ("True", "Serving")
    status, reason, message = world.condition("Stalled")
    assert (status, reason) == ("True", "IndexFailed")
    assert "No space left on device" in message
    begun = len(world.databases.begun)
    world.later(minutes=4)
    await world.settle()
    assert len(world.databases.begun) == begun
    world.registry.breaks = ""
    world.later(minutes=2)
    await world.settle()
    assert world.status["liveBuild"] == 2
    assert [one.index for one in of_build(world, 1).made] == [NAME]


async def test_abort_wins_over_indexes_that_are_made() -> None:
    world = World()
    await world.until_live()
    world.databases.slow = []
    rules = [{"events": ["E"], "key": {"id": "event.id"}, "set": {"name": "event.other"}}]
    world.cluster.apply(version="2", rules=rules)
    await world.settle()
    world.registry.moves_to(2, 100, 100)
    await world.settle()
    assert world.status["candidate"]["step"] == "Indexing"
    world.cluster.apply(promotion={"abortVersion": "2"})
    await world.settle()
    assert world.status["phase"] == "Stalled"
    assert "candidate" not in world.status


async def test_a_live_build_that_lost_an_index_gets_it_back() -> None:
    world = World()
    await world.until_live(target=target(NAME))
    world.registry._change(1, indexes=Indexes((IndexView(NAME, valid=False),)))
    world.registry.now = world.now
    await world.reconciler.reconcile(KEY)
    assert [one["state"] for one in world.status["indexes"]] == ["Missing"]
    await world.settle()
    assert of_build(world, 1).made == (IndexView(NAME, valid=True),)
    assert world.registry.entry is not None
    assert world.registry.entry.builds[0].state is BuildState.LIVE
