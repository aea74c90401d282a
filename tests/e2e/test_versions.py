"""A version change on the real cluster: beside the live table, under flow and readers, back, forward, and given up."""

from typing import Any

import psycopg

from tests.support import wait
from tests.support.cluster import Json
from tests.support.shop import NAME, Shop
from tests.support.swaps import read_by

READERS = 8
TURNS = 10


def events_of(shop: Shop) -> list[str]:
    found = shop.cluster.list_all("events", shop.namespace)
    return [one["reason"] for one in found if one["involvedObject"]["name"] == shop.name]


def tables(shop: Shop) -> int:
    with psycopg.connect(shop.uri) as connection:
        query = "SELECT count(*) FROM pg_class WHERE relkind = 'r' AND relname LIKE '%\\_\\_b%'"
        (count,) = connection.execute(query).fetchone() or (0,)
    return int(count)


def test_another_version_takes_over_under_flow_and_the_first_one_comes_back(shop: Shop) -> None:
    shop.send(orders=3_000)
    shop.apply()
    shop.wait_ready()
    with shop.flow(rate=300):
        shop.change_version("2", rebuild={"parallelism": 2})
        planned = wait.until("a plan", lambda: shop.projection()["status"].get("plan"), bool, 60)
        assert planned is not None
        assert (planned["kind"], planned["fromVersion"], planned["toVersion"]) == ("Replay", "1", "2")
        assert planned["columns"] == ["~ total_cents bigint -> numeric", "+ removed_count bigint"]
        assert planned["events"] > 3_000
        assert shop.condition("Ready")["status"] == "True"
        shop.wait_live("2")
        assert shop.compare_now().differing == {}
        first, second = shop.projection()["status"]["retained"], shop.build()
        assert [one["version"] for one in first] == ["1"]
        # Back: what was replaced is as far as what replaced it, and needs no replay.
        shop.change_version("1")
        shop.wait_live("1", timeout=20)
        assert shop.build() == first[0]["build"]
        assert shop.compare_now().differing == {}
        shop.change_version("2")
        shop.wait_live("2", timeout=20)
        assert shop.build() == second
    shop.wait_caught_up()
    assert shop.compare_all().differing == {}
    told = events_of(shop)
    for reason in ("Planned", "Swapped", "RolledBack"):
        assert reason in told
    shop.change_version("2", rollback={"retainFor": "1s"})
    wait.until("one table is left", lambda: tables(shop), lambda count: count == 1, 90)
    wait.until("its status is clean", lambda: shop.projection()["status"], lambda one: one["retained"] == [], 30)
    deployments = [one["metadata"]["name"] for one in shop.cluster.list_all("deployments", shop.namespace)]
    assert deployments == [f"{NAME}-b{second}"]
    assert shop.compare_all().differing == {}


def offsets(shop: Shop, version: str, **spec: Any) -> Json:
    """A read model that says how far it is: a row per partition, with the offset of the last event in it."""
    manifest = shop.manifest()
    body = manifest["spec"]
    types = sorted({kind for rule in body["rules"] for kind in rule["events"]})
    changed = {"name": f"of_version_{version}", "type": "text"}
    body["target"]["postgresql"] |= {
        "table": "orders",
        "key": ["id"],
        "columns": [{"name": "id", "type": "text"}, {"name": "total", "type": "bigint"}, changed],
    }
    body["rules"] = [{"events": types, "key": {"id": "string(meta.partition)"}, "max": {"total": "meta.offset"}}]
    del body["tests"]
    manifest["spec"] = {**body, "version": version, "scaling": {"replicas": 1}, **spec}
    return manifest


def test_readers_go_on_while_versions_come_and_go(shop: Shop) -> None:
    shop.send(orders=50)
    shop.cluster.apply(offsets(shop, "1"))
    shop.wait_ready()
    shop.cluster.apply(offsets(shop, "2"))
    shop.wait_live("2")
    with shop.flow(rate=400), read_by(shop.uri, READERS) as readers:
        for turn in range(TURNS):
            version = str(turn % 2 + 1)
            shop.cluster.apply(offsets(shop, version))
            shop.wait_live(version, timeout=40)
    assert [reader.errors for reader in readers] == [[]] * READERS
    assert [reader.back for reader in readers] == [0] * READERS
    assert min(reader.reads for reader in readers) > TURNS
    seconds = sorted(one for reader in readers for one in reader.seconds)
    slow, slowest = seconds[-len(seconds) // 100] * 1000, seconds[-1] * 1000
    print(f"{len(seconds)} reads, {TURNS} swaps: p99 {slow:.1f} ms, longest {slowest:.1f} ms")  # noqa: T201 - a figure


def test_a_person_approves_aborts_and_holds(shop: Shop) -> None:
    shop.send(orders=200)
    shop.apply()
    shop.wait_ready()
    manual = {"mode": "Manual"}
    shop.change_version("2", promotion=manual)
    waiting = shop.wait_condition("ApprovalRequired", "True")
    plan = shop.projection()["status"]["plan"]["hash"]
    assert f"spec.promotion.approvedPlan to {plan}" in waiting["message"]
    shop.change_version("2", promotion=manual | {"abortVersion": "2"})
    stalled = shop.wait_condition("Stalled", "True", "Aborted")
    assert "remove abortVersion" in stalled["message"]
    wait.until("the table of the one given up is gone", lambda: tables(shop), lambda count: count == 1, 90)
    shop.change_version("2", promotion=manual)
    assert "rebuildToken" in shop.wait_condition("Stalled", "True", "Aborted")["message"]
    shop.change_version("2", promotion=manual, rebuildToken="again")
    shop.wait_condition("ApprovalRequired", "True")
    fresh = shop.projection()["status"]["plan"]["hash"]
    assert fresh != plan
    shop.change_version("2", promotion=manual | {"approvedPlan": fresh}, rebuildToken="again")
    shop.wait_live("2")
    assert shop.compare_now().differing == {}
    target = ("projection", NAME, "-n", shop.namespace)
    shop.cluster.kubectl("annotate", *target, "projections.dev/hold-version=1")
    shop.wait_live("1", timeout=20)
    assert shop.compare_now().differing == {}
    held = shop.wait_condition("Held", "True")
    assert "hold" in held["message"]
    assert shop.condition("Reconciling")["reason"] == "Held"
    shop.cluster.kubectl("annotate", *target, "projections.dev/hold-version-")
    shop.wait_live("2", timeout=20)
    assert shop.compare_now().differing == {}
