"""One projection's quiet life: from `kubectl apply` to live, under flow, scaled, suspended, deleted and back."""

import json
import time

import psycopg

from examples.shop.generator import Feed
from tests.support import wait
from tests.support.cluster import Json
from tests.support.shop import NAME, TABLE, Shop


def lag(status: Json) -> int | None:
    events: int | None = status.get("lag", {}).get("events")
    return events


def true_lag(shop: Shop) -> int:
    """Computed here, from the log's ends and the checkpoints."""
    ends, positions = shop.ends(), shop.positions()
    return sum(end - positions[partition] for partition, end in ends.items())


def test_from_apply_to_live_and_what_kubectl_says(shop: Shop) -> None:
    shop.send(orders=1_000)
    shop.apply()
    shop.wait_ready()

    comparison = shop.compare_now()
    assert comparison.differing == {}
    shop.wait_caught_up()
    projection = wait.until(
        "lag 0 in status", shop.projection, lambda one: lag(one["status"]) == 0 and one["status"]["phase"] == "Live", 60
    )
    status = projection["status"]
    assert status["observedGeneration"] == projection["metadata"]["generation"]
    assert status["liveVersion"] == "1"
    assert "candidate" not in status
    conditions = {one["type"]: (one["status"], one["reason"]) for one in status["conditions"]}
    assert conditions["Ready"] == ("True", "Serving")
    assert conditions["Stalled"][0] == "False"
    assert conditions["Reconciling"][0] == "False"
    assert conditions["LagKnown"][0] == "True"
    assert shop.compare_all().differing == {}

    header, row = shop.cluster.kubectl("get", "projections", "-n", shop.namespace).splitlines()
    assert header.split()[:4] == ["NAME", "VERSION", "LIVE", "PHASE"]
    assert row.split()[:4] == [NAME, "1", "1", "Live"]
    described = shop.cluster.kubectl("describe", "projection", NAME, "-n", shop.namespace)
    for reason in ("BuildBegun", "Published"):
        assert reason in described


def test_flow_scaling_and_a_rollout_under_it(shop: Shop) -> None:
    shop.apply()
    shop.wait_ready()
    with shop.flow(rate=400):
        for replicas in (4, 1, 2):
            shop.apply(scaling={"replicas": replicas})
            wait.true(f"{replicas} pods run", lambda n=replicas: len(shop.ready_pods()) == n, 60)  # type: ignore[misc]
            shop.wait_caught_up()
            assert shop.compare_now().differing == {}
        shop.cluster.kubectl("rollout", "restart", "deployment", "-n", shop.namespace)
        shop.cluster.kubectl("rollout", "status", "deployment", "-n", shop.namespace, "--timeout=90s")
        shop.wait_caught_up()
    shop.wait_caught_up()
    assert shop.compare_all().differing == {}


def test_suspended_lag_is_what_it_is_and_deletion_keeps_the_view(shop: Shop) -> None:
    shop.send(orders=200)
    shop.apply()
    shop.wait_ready()
    shop.wait_caught_up()

    shop.apply(suspend=True)
    # One that is still on its way out may work until its last moment.
    wait.true("no pod is left", lambda: shop.cluster.list_all("pods", shop.namespace) == [], 60)
    shop.send(orders=300)
    expected = true_lag(shop)
    assert expected > 1_000
    seen = wait.until(
        "the true lag in status", lambda: shop.projection()["status"], lambda one: lag(one) == expected, 60
    )
    assert seen["phase"] == "Suspended"
    assert seen["lag"]["seconds"] > 0
    assert shop.condition("Ready")["reason"] == "Suspended"

    shop.cluster.kubectl("delete", "projection", NAME, "-n", shop.namespace, "--timeout=60s")
    shop.send(orders=50)
    with psycopg.connect(shop.uri) as connection:
        build_before = connection.execute("SELECT live_build FROM projections.projection").fetchone()
        assert len(list(connection.execute(f"SELECT FROM {TABLE}"))) > 100

    shop.apply()
    shop.wait_ready()
    shop.wait_caught_up()
    with psycopg.connect(shop.uri) as connection:
        assert connection.execute("SELECT live_build FROM projections.projection").fetchone() == build_before
    assert shop.compare_all().differing == {}


def test_deletion_policy_delete_leaves_nothing(shop: Shop) -> None:
    shop.send(orders=20)
    shop.apply(deletionPolicy="Delete")
    shop.wait_ready()
    shop.cluster.kubectl("delete", "projection", NAME, "-n", shop.namespace, "--timeout=60s")
    with psycopg.connect(shop.uri) as connection:
        left = connection.execute("SELECT relname FROM pg_class WHERE relname LIKE 'order_summaries%'").fetchall()
        assert left == []
        assert connection.execute("SELECT count(*) FROM projections.projection").fetchone() == (0,)


def test_unknown_types_and_tombstones_pass_and_are_counted(shop: Shop) -> None:
    shop.send(orders=50)
    feed = Feed(shop.kafka, shop.topic)
    for partition in range(4):
        feed.put_raw(b"o-1", json.dumps({"order_id": "o-1"}).encode(), "CouponSeen", partition)
        feed.put_raw(b"o-1", None, None, partition)
    feed.flush()
    shop.apply()
    shop.wait_ready()
    shop.wait_caught_up()
    assert shop.compare_all().differing == {}

    def ignored() -> float:
        lines = [line for pod in shop.ready_pods() for line in shop.metrics(pod) if 'result="ignored"' in line]
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if "_total" in line)

    wait.until("the ignored events are counted", ignored, lambda count: count == 8, 30)


def test_status_is_a_view_and_comes_back(shop: Shop) -> None:
    shop.send(orders=20)
    shop.apply()
    shop.wait_ready()
    before = shop.projection()["status"]
    assert before["liveBuild"] is not None
    patch = '[{"op": "remove", "path": "/status"}]'
    arguments = ("patch", "projection", NAME, "-n", shop.namespace, "--subresource=status", "--type=json", "-p", patch)
    shop.cluster.kubectl(*arguments)
    began = time.monotonic()
    back = wait.until("status is back", lambda: shop.projection().get("status", {}), lambda one: "liveBuild" in one, 60)
    assert back["liveBuild"] == before["liveBuild"]
    assert time.monotonic() - began < 60
