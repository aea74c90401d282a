"""Events that cannot be applied, by whole workers on real servers: rows and parked events are the reference fold's."""

import json
from typing import Any

import pytest

from projector.spec.models import Errors
from tests.support import wait
from tests.support.crew import ORDERS
from tests.support.kafka import KafkaBench
from tests.support.workers import Build, Site, ids

BAD = {"id": "a", "n": "x"}
A, B, C = '["a"]', '["b"]', '["c"]'


@pytest.fixture
def orders(site: Site) -> KafkaBench:
    return site.topic(2)


@pytest.fixture
def build(site: Site, orders: KafkaBench) -> Build:
    return site.begin(ORDERS, orders)


def listed(build: Build) -> list[dict[str, Any]]:
    """What `projector parked list` shows."""
    found: list[dict[str, Any]] = json.loads(build.parked("list", "-o", "json"))
    return found


def test_a_bad_event_waits_with_its_key_until_people_let_it_go(site: Site, orders: KafkaBench, build: Build) -> None:
    site.send(orders, 0, "Added", *ids("a", "b"), BAD, *ids("b", "a", "b"))
    site.send(orders, 1, "Added", *ids("c", "c"))
    member = build.work()
    build.passed()
    moment = build.check()
    assert (moment.parked, moment.rows["b",]["count"]) == ({("a",): [2, 4]}, 3)
    (told,) = listed(build)
    assert (told["key"], told["partition"], told["firstOffset"], told["events"]) == (["a"], 0, 2, 2)
    assert "event.n is text" in told["reason"]
    site.send(orders, 0, "Added", *ids("a", "b"))
    build.passed()
    assert build.check().parked == {("a",): [2, 4, 6]}
    text = build.parked("replay", "--key", A, code=2)
    assert "offset 2 still cannot be applied: event.n is text" in text
    build.discard(orders, A, [2])
    build.parked("replay", "--key", A)
    site.send(orders, 0, "Added", *ids("a", "b"))
    build.passed()
    moment = build.check()
    assert (moment.parked, moment.rows["a",]["count"]) == ({}, 4)
    assert build.parked("list") == "nothing is parked\n"
    member.stop()


def test_keys_stay_parked_over_a_restart_and_partly_replayed(site: Site, orders: KafkaBench, build: Build) -> None:
    site.send(orders, 0, "Added", *ids("a"), BAD, *ids("a"), BAD, *ids("a", "b"))
    member = build.work()
    build.passed()
    member.stop()
    site.send(orders, 0, "Added", *ids("a", "b"))
    member = build.work()
    build.passed()
    assert build.check().parked == {("a",): [1, 2, 3, 4, 6]}
    build.discard(orders, A, [1])
    assert "1 of 4 events of key" in build.parked("replay", "--key", A)
    site.send(orders, 0, "Added", *ids("a", "b"))
    build.passed()
    # Rows are those without the one discarded; the second bad one is waited for again.
    moment = build.check()
    assert (moment.parked, moment.rows["a",]["count"]) == ({("a",): [3, 4, 6, 8]}, 2)
    build.discard(orders, A, [3])
    build.parked("replay", "--key", A)
    site.send(orders, 0, "Added", *ids("a"))
    build.passed()
    assert build.check().parked == {}
    member.stop()


def test_a_row_that_the_target_refuses_is_replayed_once_the_target_is_mended(
    site: Site, orders: KafkaBench, build: Build
) -> None:
    table = f"{build.spec.schema}.{build.spec.table}"
    site.database.run(f"ALTER TABLE {table} ADD CONSTRAINT small CHECK (total < 100)")
    site.send(orders, 0, "Added", *ids(*"ab" * 30), {"id": "a", "n": 99}, *ids(*"ba" * 30))
    site.send(orders, 1, "Added", *ids(*"cd" * 30))
    member = build.work()
    build.passed()
    waiting = [60, *range(62, 121, 2)]
    moment = build.moment()
    assert moment.parked == {("a",): waiting}
    assert moment.rows.keys() == {("a",), ("b",), ("c",), ("d",)}
    build.passed_over = {((orders.topic, 0), offset) for offset in waiting}
    assert moment.rows == build.expected(moment.checkpoints).rows
    assert "small" in listed(build)[0]["reason"]
    assert "the row does not fit, nothing was changed" in build.parked("replay", "--key", A, code=2)
    assert build.moment() == moment
    site.database.run(f"ALTER TABLE {table} DROP CONSTRAINT small")
    build.parked("replay", "--key", A)
    build.passed_over = set()
    site.send(orders, 0, "Added", *ids("a", "b"))
    build.passed()
    assert build.check().parked == {}
    member.stop()


def test_one_key_too_many_stops_its_partition_until_there_is_room(site: Site, orders: KafkaBench, build: Build) -> None:
    bad = [{"id": key, "n": "x"} for key in "abc"]
    site.send(orders, 0, "Added", *ids("c"), *bad, *ids("a", "b", "c"))
    site.send(orders, 1, "Added", *ids("d"))
    member = build.work(Errors(max_parked_keys=2))
    told = wait.until("it says so", lambda: build.stuck(orders), lambda stuck: stuck is not None, 30, 0.05)
    assert told is not None
    assert told[0] == 3
    assert "would have 3 parked keys" in told[1]
    assert "errors.maxParkedKeys allows 2" in told[1]
    assert "event.n is text" in told[1]
    build.reaches(orders, 1, 1)
    assert build.check().parked == {("a",): [1], ("b",): [2]}
    site.send(orders, 1, "Added", *ids("d"))
    build.reaches(orders, 1, 2)
    build.discard(orders, A, [1])
    build.passed()
    assert build.check().parked == {("b",): [2, 5], ("c",): [3, 6]}
    wait.true("it says no more", lambda: build.stuck(orders) is None, 10, 0.05)
    member.stop()


def test_a_row_that_is_missing_parks_its_key(site: Site, orders: KafkaBench, build: Build) -> None:
    site.send(orders, 0, "Placed", {"id": "a", "name": "Ada"})
    site.send(orders, 0, "Found", *ids("a", "b", "a"))
    member = build.work()
    build.passed()
    assert build.check().parked == {("b",): [2]}
    assert listed(build)[0]["reason"] == "the row does not exist (rule 4)"
    site.send(orders, 0, "Placed", {"id": "b", "name": "Bea"})
    site.send(orders, 0, "Found", *ids("b", "c"))
    build.passed()
    moment = build.check()
    assert (moment.parked, ("b",) in moment.rows) == ({("b",): [2, 4, 5], ("c",): [6]}, False)
    build.discard(orders, B, [2])
    build.parked("replay", "--key", B)
    build.discard(orders, C, [6])
    site.send(orders, 0, "Found", *ids("b"))
    build.passed()
    moment = build.check()
    assert (moment.parked, moment.rows["b",]["count"]) == ({}, 3)
    member.stop()


def test_without_parking_the_partition_stops_in_front_of_the_event(
    site: Site, orders: KafkaBench, build: Build
) -> None:
    site.send(orders, 0, "Added", *ids("a", "b"), BAD, *ids("b"))
    site.send(orders, 1, "Added", *ids("c"))
    member = build.work(Errors(bad_data="Stop"))
    told = wait.until("it says so", lambda: build.stuck(orders), lambda stuck: stuck is not None, 30, 0.05)
    assert told is not None
    assert (told[0], "event.n is text" in told[1]) == (2, True)
    build.reaches(orders, 1, 1)
    moment = build.check()
    assert (moment.checkpoints[orders.topic, 0], moment.parked) == (2, {})
    site.registry.discard(orders.partition(0), 2, site.identity, "a test")
    build.passed_over = {((orders.topic, 0), 2)}
    build.passed()
    build.check()
    member.stop()


def test_later_builds_honour_what_was_discarded_and_park_what_was_not(
    site: Site, orders: KafkaBench, build: Build
) -> None:
    site.send(orders, 0, "Added", *ids("a"), BAD, *ids("a"), {"id": "b", "n": "x"}, *ids("b"))
    member = build.work()
    build.passed()
    build.discard(orders, A, [1])
    build.parked("replay", "--key", A)
    assert build.check().parked == {("b",): [3, 4]}
    member.stop()
    rules = list(ORDERS.rules)
    rules[1] = rules[1].model_copy(update={"increment": {"count": "1"}, "max": None, "when": None})
    mended = ORDERS.model_copy(update={"rules": tuple(rules)})
    for version, definition, parked in (("2", ORDERS, {("b",): [3, 4]}), ("3", mended, {})):
        later = site.begin(definition, orders, version=version)
        later.passed_over = build.passed_over if parked else set()
        member = later.work()
        later.passed()
        assert later.check().parked == parked
        member.stop()
