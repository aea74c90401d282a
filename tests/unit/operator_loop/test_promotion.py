"""Approval and abort of a version change, on a world in memory."""

from dataclasses import replace

import pytest

from projector.registry import Ending, Unmanaged
from tests.support.operator_world import World
from tests.support.projections import SURVEY
from tests.unit.operator_loop.rebuilding import (
    CATCHING_UP,
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
    replayed,
    told,
)

pytestmark = pytest.mark.asyncio

MANUAL = {"mode": "Manual"}
HAND_MADE = replace(SURVEY, unmanaged=(Unmanaged("trigger", "audit", "CREATE TRIGGER audit"),))


async def waiting(**spec: object) -> World:
    """Version 2 has caught up in mode Manual."""
    world = await halfway(promotion=MANUAL, **spec)
    await replayed(world)
    assert builds(world) == {1: LIVE, 2: CATCHING_UP}
    return world


def approving(plan: str) -> dict[str, dict[str, str]]:
    return {"promotion": {**MANUAL, "approvedPlan": plan}}


async def test_it_waits_for_the_plan_to_be_approved() -> None:
    world = await waiting()
    assert world.status["phase"] == "AwaitingApproval"
    assert world.condition("ApprovalRequired")[:2] == ("True", "AwaitingApproval")
    assert world.status["plan"]["hash"] in world.condition("ApprovalRequired")[2]
    assert "swap" not in world.registry.calls
    await asks(world, **approving("no such plan"))
    assert "swap" not in world.registry.calls
    await asks(world, **approving(world.status["plan"]["hash"]))
    assert builds(world) == {1: WARM, 2: LIVE}
    assert world.condition("ApprovalRequired")[0] == "False"


async def test_approved_before_anything_is_created() -> None:
    world = await live()
    world.cluster.apply(**SECOND, promotion=MANUAL)
    await world.reconciler.reconcile(("shop", "orders"))
    assert builds(world) == {1: LIVE}
    await asks(world, **approving(world.status["plan"]["hash"]))
    await replayed(world)
    assert builds(world) == {1: WARM, 2: LIVE}


async def test_an_approval_is_void_for_another_definition() -> None:
    world = await waiting()
    approved = approving(world.status["plan"]["hash"])
    await asks(world, **THIRD)
    await replayed(world)
    await asks(world, **approved)
    assert builds(world) == {1: LIVE, 3: CATCHING_UP}
    assert world.status["plan"]["hash"] != approved["promotion"]["approvedPlan"]
    assert world.condition("ApprovalRequired")[0] == "True"


async def test_an_approval_is_void_for_the_attempt_after_a_superseded_one() -> None:
    world = await waiting()
    approved = approving(world.status["plan"]["hash"])
    await asks(world, **FIRST)
    await asks(world, **SECOND, **approved)
    await replayed(world)
    assert builds(world) == {1: LIVE, 3: CATCHING_UP}
    await asks(world, **approving(world.status["plan"]["hash"]))
    assert builds(world) == {1: WARM, 3: LIVE}


async def test_an_approval_is_void_once_somebody_makes_an_object_on_the_live_table() -> None:
    world = await halfway(promotion=MANUAL)
    await asks(world, **approving(world.status["plan"]["hash"]))
    world.registry.surveyed = HAND_MADE
    await replayed(world)
    assert builds(world) == {1: LIVE, 2: CATCHING_UP}
    assert world.status["plan"]["unmanaged"] == ["trigger audit"]
    world.registry.surveyed = SURVEY
    await world.settle()
    assert builds(world) == {1: WARM, 2: LIVE}


async def test_approval_holds_while_log_and_sizes_move() -> None:
    world = await halfway(promotion=MANUAL)
    await asks(world, **approving(world.status["plan"]["hash"]))
    world.registry.surveyed = replace(SURVEY, rows=10**9, total_bytes=10**12)
    world.logs.grows_to(900, 900)
    world.registry.moves_to(1, 900, 900)
    world.registry.moves_to(2, 900, 900)
    await world.settle()
    assert builds(world) == {1: WARM, 2: LIVE}


async def test_unmanaged_objects_have_to_be_acknowledged_in_mode_auto_too() -> None:
    world = await live()
    world.registry.surveyed = HAND_MADE
    await asks(world, **SECOND)
    await replayed(world)
    assert builds(world) == {1: LIVE, 2: CATCHING_UP}
    assert "objects that the new one lacks" in world.condition("ApprovalRequired")[2]
    await asks(world, promotion={"approvedPlan": world.status["plan"]["hash"]})
    assert builds(world) == {1: WARM, 2: LIVE}


# Abort.


def endings(world: World) -> list[tuple[int, Ending]]:
    assert world.registry.entry is not None
    return [(one.number, one.ending) for one in world.registry.entry.ended]


async def test_abort_gives_the_candidate_up_and_it_is_not_begun_again() -> None:
    world = await halfway()
    await asks(world, promotion={"abortVersion": "2"})
    assert (builds(world), world.registry.retired) == ({1: LIVE}, [2])
    assert endings(world) == [(2, Ending.ABORTED)]
    assert set(world.cluster.deployments_) == {"orders-b1"}
    assert world.condition("Stalled")[:2] == ("True", "Aborted")
    assert world.condition("Ready")[:2] == ("True", "Serving")
    assert told(world)[-2:] == ["BuildGivenUp", "Aborted"]
    # Nor when the order to abort is taken away.
    await asks(world, promotion={})
    assert builds(world) == {1: LIVE}
    assert "version 2 (build 2) was given up" in world.condition("Stalled")[2]


async def test_a_new_token_begins_again_once_the_order_to_abort_is_gone() -> None:
    world = await halfway()
    await asks(world, promotion={"abortVersion": "2"})
    await asks(world, rebuildToken="again")
    assert builds(world) == {1: LIVE}
    await asks(world, promotion={})
    assert builds(world) == {1: LIVE, 3: REPLAYING}
    await replayed(world)
    assert builds(world) == {1: WARM, 3: LIVE}


async def test_another_version_begins_while_the_order_to_abort_still_stands() -> None:
    world = await halfway()
    await asks(world, promotion={"abortVersion": "2"})
    await asks(world, **THIRD)
    assert builds(world) == {1: LIVE, 3: REPLAYING}


async def test_back_to_the_live_version_after_an_abort_all_is_well() -> None:
    world = await halfway()
    await asks(world, promotion={"abortVersion": "2"})
    await asks(world, **FIRST)
    assert world.condition("Stalled")[0] == "False"
    assert world.condition("Reconciling")[:2] == ("False", "Serving")


@pytest.mark.parametrize("state", ["suspended", "held", "waiting for approval", "redefined", "standing still"])
async def test_abort_always_wins(state: str) -> None:
    world = await halfway(promotion=MANUAL)
    match state:
        case "suspended":
            await asks(world, suspend=True)
        case "held":
            hold(world, "1")
        case "waiting for approval":
            await replayed(world)
        case "redefined":
            await asks(world, rules=THIRD["rules"])
        case _:
            world.later(hours=1)
    await world.settle()
    await asks(world, promotion={**MANUAL, "abortVersion": "2"})
    assert builds(world) == {1: LIVE}
    assert endings(world) == [(2, Ending.ABORTED)]


async def test_abort_of_the_live_version_stops_nothing() -> None:
    world = await live()
    await asks(world, promotion={"abortVersion": "1"})
    assert builds(world) == {1: LIVE}
    assert world.condition("Reconciling")[:2] == ("False", "Serving")
