"""Events that cannot be applied: parked with the later ones of their row, or waited in front of. A person decides."""

import json

import pytest

from tests.support import wait
from tests.support.shop import TOO_LARGE, Shop

STOP = {"badData": "Stop"}
NO_KEY = b'{"order_id": "o-1", '


def body(order_id: str, **more: object) -> bytes:
    return json.dumps({"order_id": order_id, **more}).encode()


NOT_NUMBER = body("o-1", qty="many", price_cents=1)
STOPPING = (
    # partition, value, type, words of the message: two on each of two partitions, one behind the other
    (0, NO_KEY, "OrderPaid", "JSON"),
    (0, json.dumps({"method": "card"}).encode(), "OrderPaid", "order_id"),
    (1, body("o-1"), None, "ce_type"),
    (1, NOT_NUMBER, "ItemAdded", "qty"),
)


def degraded(shop: Shop, words: str) -> str:
    """The message of Degraded, once it has these words."""
    condition = wait.until(words, lambda: shop.condition("Degraded"), lambda one: words in one.get("message", ""), 60)
    assert condition["status"] == "True"
    return str(condition["message"])


def stuck_at(shop: Shop, partition: int, offset: int) -> str:
    message = degraded(shop, f"topic {shop.topic}, partition {partition}, offset {offset}:")
    assert shop.condition("Degraded")["reason"] == "PartitionsStuck"
    return message


@pytest.mark.parametrize("live", [False, True], ids=["first build", "live build"])
def test_with_stop_the_partition_waits_and_says_where_and_the_way_out(shop: Shop, live: bool) -> None:
    shop.send(orders=200)
    if live:
        shop.apply(errors=STOP)
        shop.wait_ready()
        shop.wait_caught_up()
    bad = [(shop.put("o-1", value, kind, partition), word) for partition, value, kind, word in STOPPING]
    shop.send(orders=200)
    if not live:
        shop.apply(errors=STOP)
    wait.until("a build has begun", lambda: shop.projection().get("status", {}).get("lag"), bool, 60)
    shop.wait_caught_up(skip={0, 1})

    for position, word in bad:
        message = stuck_at(shop, *position)
        assert word in message
        assert shop.condition("Ready")["status"] == ("True" if live else "False")
        assert shop.positions()[position[0]] == position[1]
        shop.discard_as_told(message, position)

    shop.wait_ready()
    shop.wait_caught_up()
    shop.wait_condition("Degraded", "False")
    assert shop.compare_all().differing == {}
    assert "PartitionsStuck" in shop.cluster.kubectl("get", "events", "-n", shop.namespace)


def parked_keys(shop: Shop, keys: int) -> str:
    """What Degraded says, once so many keys are parked."""
    message = degraded(shop, "1 key is parked" if keys == 1 else f"{keys} keys are parked")
    assert shop.condition("Degraded")["reason"] == "ParkedKeys"
    assert shop.projection()["status"]["parked"] == {"keys": keys}
    return message


def test_parked_events_hold_nothing_else_up_and_go_on_as_told(shop: Shop) -> None:
    shop.send(orders=200)
    shop.spoil("o-unreadable")
    shop.spoil("o-too-large", TOO_LARGE)
    shop.send(orders=200)
    shop.apply()
    shop.wait_ready()
    shop.wait_caught_up()
    assert shop.compare_all().differing == {}
    parked_keys(shop, 2)
    assert "ParkedKeys" in shop.cluster.kubectl("get", "events", "-n", shop.namespace)

    with shop.flow(rate=300):
        shop.spoil("o-while-live")
        message = parked_keys(shop, 3)
        assert shop.compare_now().differing == {}
        listed = shop.parked_as_told(message)
        assert {tuple(one["key"]): one["events"] for one in listed} == {
            ("o-unreadable",): 3,
            ("o-too-large",): 3,
            ("o-while-live",): 3,
        }
        reasons = {one["key"][0]: one["reason"] for one in listed}
        assert "event.qty" in reasons["o-unreadable"]
        assert "total_cents" in reasons["o-too-large"]
        for one in listed:
            shop.let_go_as_told(message, one)
            assert shop.compare_now().differing == {}
        shop.wait_condition("Degraded", "False")
    shop.wait_caught_up()
    assert shop.projection()["status"]["parked"] == {"keys": 0}
    assert shop.parked == set()
    assert shop.compare_all().differing == {}


def test_one_key_too_many_and_an_event_without_a_key_make_partitions_wait(shop: Shop) -> None:
    for name in ("o-first", "o-second", "o-third"):
        shop.spoil(name, partition=1)
    keyless = shop.put("o-1", NO_KEY, "OrderPaid", 2)
    shop.send(orders=100)
    first, second, third = sorted(shop.parked)
    shop.parked = {first}
    shop.apply(errors={"maxParkedKeys": 1})

    message = stuck_at(shop, *second)
    assert "maxParkedKeys allows 1" in message
    assert "1 more partition is stuck" in message
    assert shop.condition("Ready")["status"] == "False"
    assert shop.projection()["status"]["parked"] == {"keys": 1}
    shop.wait_caught_up(skip={1, 2})
    assert shop.positions()[2] == keyless[1]
    (listed,) = shop.parked_as_told(message)
    shop.let_go_as_told(message, listed)

    # There is room for the next one now, by itself.
    shop.parked = {second}
    assert stuck_at(shop, *third) != message
    shop.apply(errors={"maxParkedKeys": 2})
    shop.parked = {second, third}
    shop.discard_as_told(stuck_at(shop, *keyless), keyless)

    shop.wait_ready()
    shop.wait_caught_up()
    assert shop.compare_all().differing == {}
    message = parked_keys(shop, 2)
    for one in shop.parked_as_told(message):
        shop.let_go_as_told(message, one)
    shop.wait_condition("Degraded", "False")
    assert shop.compare_all().differing == {}


def test_a_discard_holds_for_the_next_build_too(shop: Shop) -> None:
    shop.send(orders=20)
    shop.spoil("o-parked")
    # Another on partition 3 keeps the first build from going live.
    worse = shop.put("o-1", NO_KEY, "OrderPaid", 3)
    shop.apply()
    message = degraded(shop, "Parked keys: 1;")
    (listed,) = shop.parked_as_told(message)
    shop.let_go_as_told(message, listed)
    message = stuck_at(shop, *worse)

    shop.apply(rebuildToken="again")
    wait.until("another build", lambda: shop.candidate().get("build"), lambda number: number == 2, 60)
    shop.wait_caught_up(skip={3})
    shop.discard_as_told(stuck_at(shop, *worse), worse)
    shop.wait_ready()
    shop.wait_caught_up()
    assert shop.projection()["status"]["parked"] == {"keys": 0}
    assert shop.compare_all().differing == {}
