"""Records of builds over the life of a projection, on a world in memory."""

from typing import Any

import pytest
from structlog.testing import capture_logs

from projection_operator.loop.act import NotLeading
from tests.support.operator_world import KEY, World
from tests.support.specs import spec_data

pytestmark = pytest.mark.asyncio

SECOND: dict[str, Any] = {
    "version": "2",
    "rules": [{"events": ["E"], "key": {"id": "event.id"}, "set": {"name": "event.other"}}],
}
FIRST: dict[str, Any] = {"version": "1", "rules": spec_data()["rules"]}


async def live() -> World:
    world = World()
    await world.until_live()
    return world


async def replay(world: World, **spec: Any) -> int:
    """Ask for this, and begin it; the number of the build."""
    world.cluster.apply(**spec)
    await world.settle()
    assert world.registry.entry is not None
    return world.registry.entry.builds[-1].number


async def take_over(world: World, **spec: Any) -> None:
    """Another version becomes live."""
    world.registry.moves_to(await replay(world, **spec), 100, 100)
    await world.settle()


async def test_a_first_build() -> None:
    world = World()
    world.cluster.apply()
    await world.settle()
    assert world.cluster.steps() == {1: "Replaying"}
    world.registry.moves_to(1, 50, 0)
    await world.settle()
    body = world.cluster.records_["orders-b1"]
    assert body["status"]["percent"] == 25
    world.registry.moves_to(1, 100, 100)
    await world.settle()
    assert world.cluster.steps() == {1: "Live"}
    assert body["spec"] == {"projection": "orders", "version": "1", "build": 1, "rebuildToken": ""}


async def test_a_version_change_and_the_way_back() -> None:
    world = await live()
    world.later(hours=1)
    number = await replay(world, **SECOND)
    spec = world.cluster.records_["orders-b2"]["spec"]
    assert (spec["fromVersion"], spec["fromBuild"], spec["plan"]) == ("1", 1, world.status["plan"]["hash"])
    world.later(hours=1)
    world.registry.moves_to(number, 100, 100)
    await world.settle()
    assert world.cluster.steps() == {1: "Replaced", 2: "Live"}
    times = world.cluster.told(lambda one: (one["status"]["startedAt"][11:], one["status"]["finishedAt"][11:]))
    assert times == {1: ("03:04:05Z", "03:04:05Z"), 2: ("04:04:05Z", "05:04:05Z")}
    world.cluster.apply(**FIRST)
    await world.settle()
    assert world.cluster.steps() == {1: "Live", 2: "RolledBack"}
    world.cluster.apply(**SECOND)
    await world.settle()
    assert world.cluster.steps() == {1: "Replaced", 2: "Live"}
    assert world.cluster.records_["orders-b2"]["status"]["finishedAt"].endswith("05:04:05Z"), "when it was first shown"


async def test_a_replaced_build_is_retired_when_its_table_is_dropped() -> None:
    world = await live()
    await take_over(world, **SECOND)
    world.later(hours=25)
    await world.settle()
    assert world.registry.retired == [1]
    assert world.cluster.steps() == {1: "Retired", 2: "Live"}
    status = world.cluster.records_["orders-b1"]["status"]
    assert (status["percent"], status["message"].split(" (")[0]) == (
        100,
        "was replaced longer ago than spec.rollback.retainFor",
    )


async def test_aborted_and_superseded() -> None:
    world = await live()
    await replay(world, **SECOND)
    await replay(world, rebuildToken="again")
    assert world.cluster.steps() == {1: "Live", 2: "Superseded", 3: "Replaying"}
    world.cluster.apply(promotion={"abortVersion": "2"})
    await world.settle()
    assert world.registry.retired == [2, 3]
    assert world.cluster.steps() == {1: "Live", 2: "Superseded", 3: "Aborted"}
    assert world.cluster.told(lambda one: one["spec"]["rebuildToken"]) == {1: "", 2: "", 3: "again"}
    assert all("finishedAt" in one["status"] for one in world.cluster.records_.values())


async def test_approval_is_told() -> None:
    world = await live()
    await take_over(world, **SECOND, promotion={"mode": "Manual"})
    assert world.cluster.steps() == {1: "Live", 2: "AwaitingApproval"}
    assert "status.plan" in world.cluster.records_["orders-b2"]["status"]["message"]


async def test_a_deleted_record_comes_back() -> None:
    world = await live()
    await take_over(world, **SECOND)
    before = dict(world.cluster.records_)
    world.cluster.records_.clear()
    await world.settle()
    assert {name: one["status"] for name, one in world.cluster.records_.items()} == {
        name: one["status"] for name, one in before.items()
    }


async def test_nothing_is_written_where_nothing_changes() -> None:
    world = await live()
    writes = world.cluster.record_writes
    await world.reconciler.reconcile(KEY)
    assert world.cluster.record_writes == writes


async def test_the_limit_of_the_spec() -> None:
    world = await live()
    world.cluster.apply(rebuild={"historyLimit": 1})
    for token in "abc":
        await replay(world, **SECOND, rebuildToken=token)
    world.cluster.apply(**FIRST, rebuildToken="")
    await world.settle()
    assert world.cluster.steps() == {1: "Live", 4: "Superseded"}


async def test_records_of_others_are_left_alone() -> None:
    world = await live()
    mine = world.cluster.records_["orders-b1"]
    spec = mine["spec"] | {"build": 5}
    other = {"metadata": mine["metadata"] | {"name": "orders-b5", "ownerReferences": []}, "spec": spec}
    theirs = {"metadata": mine["metadata"] | {"name": "orders-b9"}, "spec": spec}
    world.cluster.records_ |= {"orders-b5": other, "orders-b9": theirs}
    await world.settle()
    assert set(world.cluster.records_) == {"orders-b1", "orders-b5", "orders-b9"}
    assert "status" not in other
    assert "status" not in theirs


async def test_without_the_crd_all_goes_on_and_it_is_said_once() -> None:
    world = World()
    world.cluster.served = False
    with capture_logs() as logs:
        await world.until_live()
    assert world.cluster.records_ == {}
    told = [line for line in logs if line["event"] == "records_left_out"]
    assert [line["reason"] for line in told] == ["CRD projectionrebuilds.projections.dev is not installed"]
    world.cluster.served = True
    await world.settle()
    assert world.cluster.steps() == {1: "Live"}


@pytest.mark.parametrize("trouble", [{"refuses": "forbidden"}, {"unavailable": True}], ids=["refused", "unavailable"])
async def test_a_record_that_cannot_be_written_holds_nothing_up(trouble: dict[str, Any]) -> None:
    world = World()
    vars(world.cluster).update(trouble)
    with capture_logs() as logs:
        await world.until_live()
    assert world.cluster.records_ == {}
    assert {"record_refused", "records_not_written"} & {line["event"] for line in logs}
    vars(world.cluster).update({"refuses": "", "unavailable": False})
    await world.settle()
    assert world.cluster.steps() == {1: "Live"}


async def test_one_that_is_refused_does_not_keep_others_from_being_written() -> None:
    world = await live()
    foreign = {"metadata": {"namespace": "shop", "name": "orders-b2", "labels": {}}, "spec": {"build": 2}}
    world.cluster.records_["orders-b2"] = foreign
    await take_over(world, **SECOND)
    assert world.registry.entry is not None
    assert world.registry.entry.live_build == 2
    assert "status" not in foreign
    assert world.cluster.records_["orders-b1"]["status"]["step"] == "Replaced"


async def test_whoever_does_not_lead_writes_no_record() -> None:
    world = await live()
    world.cluster.records_.clear()
    world.leads = False
    with pytest.raises(NotLeading):
        await world.reconciler.pass_(KEY)
    assert world.cluster.records_ == {}
