"""The generator is repeatable, and the independent fold is what the example's YAML says."""

import json
from datetime import UTC, datetime, timedelta
from itertools import islice

from examples.shop import verify
from examples.shop.events import OPEN_ORDERS, events

AT = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)


def test_same_seed_same_events() -> None:
    first, second = ([(event.type, event.key, event.value) for event in events(7, 200)] for _ in range(2))
    assert first == second
    assert first != [(event.type, event.key, event.value) for event in events(8, 200)]


def test_a_longer_run_begins_like_a_shorter_one() -> None:
    endless = [event.value for event in islice(events(7), 500)]
    assert endless == [event.value for event in islice(events(7, 1_000), 500)]


def test_each_order_begins_with_its_placement_and_has_its_id_as_key() -> None:
    first_of: dict[str, str] = {}
    for event in events(3, 300):
        first_of.setdefault(event.key, event.type)
        assert json.loads(event.value)["order_id"] == event.key
    assert len(first_of) == 300
    assert set(first_of.values()) == {"OrderPlaced"}


def test_orders_are_mixed_and_all_types_occur() -> None:
    flow = list(events(1, 1_000))
    assert {event.type for event in flow} == {
        "OrderPlaced",
        "ItemAdded",
        "ItemRemoved",
        "OrderPaid",
        "OrderShipped",
        "OrderCancelled",
    }
    assert len({event.key for event in flow[:OPEN_ORDERS]}) > OPEN_ORDERS / 3
    assert 180 < sum(len(event.value) for event in flow) / len(flow) < 260


def test_fold_of_one_order() -> None:
    rows: verify.Rows = {}
    item = {"order_id": "o-1", "price_cents": 250}
    verify.apply(rows, "OrderPlaced", {"order_id": "o-1", "customer": "Ada"}, AT)
    verify.apply(rows, "ItemAdded", item | {"qty": 3}, AT + timedelta(seconds=2))
    verify.apply(rows, "ItemAdded", item | {"qty": 0, "price_cents": 9_999}, AT + timedelta(seconds=9))
    verify.apply(rows, "ItemRemoved", item | {"qty": 1}, AT + timedelta(seconds=1))
    verify.apply(rows, "OrderPaid", {"order_id": "o-1"}, AT)
    verify.apply(rows, "CouponSeen", {"order_id": "o-1"}, AT + timedelta(seconds=9))
    assert rows == {
        "o-1": {
            "order_id": "o-1",
            "customer": "Ada",
            "status": "paid",
            "placed_at": AT,
            "item_count": 2,
            "total_cents": 500,
            "largest_item_cents": 250,
            "last_event_at": AT + timedelta(seconds=2),
        }
    }


def test_what_comes_after_a_cancellation() -> None:
    rows: verify.Rows = {}
    verify.apply(rows, "OrderPlaced", {"order_id": "o-1", "customer": "Ada"}, AT)
    verify.apply(rows, "OrderCancelled", {"order_id": "o-1"}, AT)
    verify.apply(rows, "ItemRemoved", {"order_id": "o-1", "qty": 1, "price_cents": 5}, AT)
    assert rows == {}
    verify.apply(rows, "OrderPaid", {"order_id": "o-1"}, AT)
    assert rows["o-1"]["status"] == "paid"
    assert rows["o-1"]["customer"] is None


def test_comparison_names_the_columns_that_differ() -> None:
    expected: verify.Rows = {"a": {"n": 1, "t": "x"}, "b": {"n": 2, "t": "y"}, "c": {"n": 3, "t": "z"}}
    found: verify.Rows = {"a": {"n": 1, "t": "x"}, "b": {"n": 5, "t": "y"}, "d": {"n": 4, "t": "w"}}
    result = verify.compare(expected, found)
    assert result.summary == "3 of 4 rows differ"
    assert list(result.details()) == [
        "b: n is 5, should be 2",
        "c: is missing in the table",
        "d: is in the table, not in the log",
    ]
