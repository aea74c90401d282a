"""Events that cannot be applied: the partition waits in front of them, the others go on, and a person decides."""

import json

import pytest

from examples.shop.generator import Feed
from tests.support import wait
from tests.support.cluster import Json
from tests.support.shop import Shop

NOT_NUMBER = {"order_id": "o-1", "qty": "many", "price_cents": 1}
BAD = (
    # partition, value, type, words of the message: two on each of two partitions, one behind the other
    (0, b'{"order_id": "o-1", ', "OrderPaid", "JSON"),
    (0, json.dumps({"method": "card"}).encode(), "OrderPaid", "order_id"),
    (1, json.dumps({"order_id": "o-1"}).encode(), None, "ce_type"),
    (1, json.dumps(NOT_NUMBER).encode(), "ItemAdded", "qty"),
)


@pytest.mark.parametrize("live", [False, True], ids=["first build", "live build"])
def test_the_partition_waits_and_says_where_and_the_way_out(shop: Shop, live: bool) -> None:
    shop.send(orders=200)
    if live:
        shop.apply()
        shop.wait_ready()
        shop.wait_caught_up()
    next_offset = dict(shop.ends())
    feed = Feed(shop.kafka, shop.topic)
    for partition, value, kind, _ in BAD:
        feed.put_raw(b"o-1", value, kind, partition)
    feed.flush()
    shop.send(orders=200)
    if not live:
        shop.apply()
    wait.until(
        "a build has begun", lambda: shop.projection().get("status", {}).get("lag"), lambda lag: lag is not None, 60
    )
    shop.wait_caught_up(skip={0, 1})

    for partition, _, _, word in BAD:
        offset = next_offset[partition]
        degraded = _stuck_at(shop, partition, offset)
        assert degraded["status"] == "True"
        assert degraded["reason"] == "PartitionsStuck"
        assert shop.topic in degraded["message"]
        assert word in degraded["message"]
        assert shop.condition("Ready")["status"] == ("True" if live else "False")
        assert shop.positions()[partition] == offset
        shop.discard_as_told(degraded["message"], (partition, offset))
        next_offset[partition] += 1

    shop.wait_ready()
    shop.wait_caught_up()
    shop.wait_condition("Degraded", "False")
    assert shop.compare_all().differing == {}
    assert "PartitionsStuck" in shop.cluster.kubectl("get", "events", "-n", shop.namespace)


def _stuck_at(shop: Shop, partition: int, offset: int) -> Json:
    place = f"partition {partition}, offset {offset}:"
    return wait.until(place, lambda: shop.condition("Degraded"), lambda one: place in one.get("message", ""), 60)


def test_a_discard_holds_for_the_next_build_too(shop: Shop) -> None:
    shop.send(orders=20)
    bad = (2, shop.ends()[2])
    feed = Feed(shop.kafka, shop.topic)
    feed.put_raw(b"o-1", b"[]", "OrderPaid", 2)
    # Another on partition 3 keeps the first build from going live.
    worse = (3, shop.ends()[3])
    feed.put_raw(b"o-1", b"null", "OrderPaid", 3)
    feed.flush()
    shop.apply()
    shop.discard_as_told(_stuck_at(shop, *bad)["message"], bad)
    message = _stuck_at(shop, *worse)["message"]

    shop.apply(rebuildToken="again")
    wait.until(
        "another build", lambda: shop.projection()["status"].get("candidate", {}).get("build"), lambda n: n == 2, 60
    )
    shop.wait_caught_up(skip={3})
    assert _stuck_at(shop, *worse)["message"] == message
    shop.discard_as_told(message, worse)
    shop.wait_ready()
    assert shop.compare_all().differing == {}
