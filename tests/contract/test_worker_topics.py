"""Topics as they are, read by whole workers on real servers: grown, empty, with tombstones and transactions."""

import json
from random import Random
from typing import Any

from projector.spec.definition import Definition
from tests.support import wait
from tests.support.crew import ORDERS
from tests.support.specs import definition
from tests.support.workers import Site, ids

COUNTS: list[dict[str, Any]] = [{"name": "id", "type": "text"}, {"name": "total", "type": "bigint", "default": "0"}]
SUMS: Definition = definition(
    {"events": ["Added"], "key": {"id": "event.id"}, "increment": {"total": "event.n"}},
    columns=COUNTS,
    ordering={"mode": "Commutative"},
)
NEWEST: Definition = definition(
    {"events": ["Added"], "key": {"id": "event.id"}, "set": {"total": "event.n"}},
    columns=COUNTS,
    ordering={"mode": "Guarded", "by": "event.n"},
)
IN_FIELD = ORDERS.model_copy(update={"type": "event.kind"})
ANY = -1
"""The partition that the client chooses by the record's key."""
LARGE = 1_000_000


def test_a_topic_that_grew_before_the_replay(site: Site) -> None:
    topic = site.topic(2)
    keys = [f"k{number}" for number in range(30)]
    for turn, partitions in enumerate((2, 5)):
        site.grow(topic, partitions)
        for number in range(20):
            for key in keys:
                site.queue(topic, ANY, "Added", {"id": key, "n": 100 * turn + number}, key=key.encode())
        site.flush()
    lies = {(record.key(), record.partition()) for record in site.all(topic)}
    assert len(lies) > len(keys), "some keys go elsewhere since"
    for version, ordered, total in (("1", SUMS, 20 * 9.5 + 20 * 109.5), ("2", NEWEST, 119)):
        build = site.begin(ordered, topic, version=version)
        member = build.work()
        build.passed()
        assert {key: row["total"] for key, row in build.check().rows.items()} == {(key,): total for key in keys}
        member.stop()


def test_a_topic_that_grows_while_it_is_read(site: Site) -> None:
    topic = site.topic(2)
    sums, per_key = site.begin(SUMS, topic), site.begin(ORDERS, topic, version="2")
    members = [sums.work(), sums.work()]
    alone = per_key.work()
    for number in range(2):
        site.send(topic, number, "Added", *ids("a", "b", f"{number}"))
    sums.passed()
    per_key.passed()
    site.grow(topic, 4)
    for number in range(4):
        site.send(topic, number, "Added", *ids("a", "b", f"{number}"))
    wait.true("it is said", lambda: "partitions were added" in str(alone.health.reason), 30, 0.05)
    sums.admit()
    sums.passed()
    assert len(sums.check().rows) == 6
    for number in range(4):
        site.send(topic, number, "Added", *ids("a", "b"))
    sums.passed()
    sums.check()
    per_key.reaches(topic, 1, 8)
    assert per_key.check().checkpoints.keys() == {(topic.topic, 0), (topic.topic, 1)}
    wait.true("none says that it does not read", lambda: all(m.health.reason is None for m in members), 20, 0.05)
    for member in (*members, alone):
        member.stop()


def test_tombstones_delete_and_a_key_that_is_null_stops(site: Site) -> None:
    topic = site.topic()
    build = site.begin(ORDERS, topic)
    site.send(topic, 0, "Added", *ids("a", "b", "c"))
    site.send(topic, 0, "Added", *ids("b"), key=b"b")
    for key in (b"a", b"b", b"none"):
        site.send(topic, 0, None, None, key=key)
    site.send(topic, 0, "Added", *ids("b"))
    site.send(topic, 0, "Tagged", {"name": "t"}, key=b"c")
    member = build.work()
    build.passed()
    assert build.check().rows.keys() == {("b",), ("c",)}
    site.send(topic, 0, None, None)
    site.send(topic, 0, "Added", *ids("c"))
    told = wait.until("it stands", lambda: build.stuck(topic), lambda stuck: stuck is not None, 30, 0.05)
    assert told is not None
    assert told[0] == 9
    assert build.check().parked == {}
    site.registry.discard(topic.partition(0), 9, site.identity, "a test")
    build.passed_over = {((topic.topic, 0), 9)}
    build.passed()
    assert build.check().rows["c",]["count"] == 2
    member.stop()


def test_a_tombstone_of_a_parked_key_waits_with_it(site: Site) -> None:
    topic = site.topic()
    build = site.begin(ORDERS, topic)
    site.send(topic, 0, "Added", *ids("a"), {"id": "a", "n": "x"})
    site.send(topic, 0, None, None, key=b"a")
    member = build.work()
    build.passed()
    assert build.check().parked == {("a",): [1, 2]}
    assert build.moment().rows.keys() == {("a",)}
    build.discard(topic, '["a"]', [1])
    build.parked("replay", "--key", '["a"]')
    assert build.check().rows == {}
    member.stop()


def test_partitions_that_are_empty_or_were_emptied(site: Site) -> None:
    topic = site.topic(6)
    site.send(topic, 1, "Added", *ids("gone", "gone"))
    topic.truncate(1, 2)
    site.send(topic, 2, "Added", *ids("gone", "a"))
    topic.truncate(2, 1)
    build = site.begin(ORDERS, topic)
    members = [build.work(), build.work()]
    build.passed()
    assert build.check().rows.keys() == {("a",)}
    wait.until(
        "all are known to be at their ends",
        lambda: [lane.caught_up for member in members for lane in member.metrics.lanes],
        lambda known: known == [True] * 6,
        20,
        0.05,
    )
    assert [member.health.reason for member in members] == [None, None]
    for number in (0, 1, 2):
        site.send(topic, number, "Added", *ids(f"{number}"))
    build.passed()
    assert build.check().rows.keys() == {("a",), ("0",), ("1",), ("2",)}
    for member in members:
        member.stop()


def test_a_log_that_lost_what_was_not_read_stops_its_partition(site: Site) -> None:
    topic = site.topic(2)
    build = site.begin(ORDERS, topic)
    site.send(topic, 0, "Added", *ids("a"))
    member = build.work()
    build.passed()
    member.stop()
    site.send(topic, 0, "Added", *ids("a", "a", "a"))
    site.send(topic, 1, "Added", *ids("b"))
    topic.truncate(0, 3)
    member = build.work()
    told = wait.until("it stands", lambda: build.stuck(topic), lambda stuck: stuck is not None, 30, 0.05)
    assert told is not None
    assert told[0] == 1
    assert "does not hold offset 1" in told[1]
    build.reaches(topic, 1, 1)
    moment = build.moment()
    assert moment.checkpoints[topic.topic, 0] == 1
    assert {key: row["count"] for key, row in moment.rows.items()} == {("a",): 1, ("b",): 1}
    member.stop()


def test_aborted_transactions_between_committed_ones(site: Site) -> None:
    topic = site.topic(2)
    build = site.begin(IN_FIELD, topic)
    random = Random(4)  # noqa: S311 - the same ones again
    counts: dict[str, int] = {}
    member = build.work()
    for turn in range(30):
        commit, key = random.random() < 0.5, random.choice("abc")
        number = "bc".count(key)
        value = json.dumps({"kind": "Added", "id": key, "n": 1 if commit else 1_000}).encode()
        topic.transaction(number, [value] * (turn % 4 + 1), commit)
        counts[key] = counts.get(key, 0) + (turn % 4 + 1 if commit else 0)
        if turn % 10 == 5:
            build.passed()
    build.passed()
    assert {key[0]: row["total"] for key, row in build.check().rows.items()} == {k: 10 + n for k, n in counts.items()}
    member.stop()


def test_an_open_transaction_hides_what_is_behind_it_until_it_ends(site: Site) -> None:
    topic = site.topic()
    build = site.begin(IN_FIELD, topic)
    one = json.dumps({"kind": "Added", "id": "a", "n": 1}).encode()
    topic.produce(0, [one])
    bad = json.dumps({"kind": "Added", "id": "a", "n": "x"}).encode()
    hanging = topic.begun(0, [bad, one])
    topic.produce(0, [one, one])
    member = build.work()
    build.passed(hanging=True)
    assert build.check().checkpoints == {(topic.topic, 0): 1}
    hanging.abort_transaction()
    build.passed()
    moment = build.check()
    assert (moment.checkpoints, moment.rows["a",]["count"]) == ({(topic.topic, 0): 6}, 3)
    topic.transaction(0, [one, bad, one], commit=True)
    build.passed()
    assert build.check().parked == {("a",): [7, 8]}
    member.stop()


def test_records_of_a_megabyte_are_folded_parked_and_replayed(site: Site) -> None:
    topic = site.topic(2, {"max.message.bytes": "2000000"})
    build = site.begin(ORDERS, topic)
    for turn in range(10):
        for number, key in enumerate("ab"):
            site.queue(topic, number, "Placed", {"id": key, "name": f"{turn}" * LARGE})
            site.queue(topic, number, "Added", *ids(key))
    site.queue(topic, 0, "Added", {"id": "a", "n": "x" * LARGE})
    site.queue(topic, 0, "Placed", {"id": "a", "name": "z" * LARGE})
    site.flush()
    member = build.work()
    build.passed()
    moment = build.check()
    assert (moment.parked, len(str(moment.rows["b",]["name"]))) == ({("a",): [20, 21]}, LARGE)
    member.stop()
    member = build.work()
    build.discard(topic, '["a"]', [20])
    build.parked("replay", "--key", '["a"]')
    site.send(topic, 0, "Added", *ids("a"))
    build.passed()
    moment = build.check()
    assert (moment.parked, moment.rows["a",]["name"]) == ({}, "z" * LARGE)
    member.stop()
