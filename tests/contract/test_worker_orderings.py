"""Several topics, and rows that several workers write, by whole workers on real servers."""

from random import Random
from typing import Any

from projector.fold.delta import Key
from tests.support import wait
from tests.support.crew import ORDERS
from tests.support.specs import definition
from tests.support.workers import Build, Member, Site

COLUMNS: list[dict[str, Any]] = [
    {"name": "id", "type": "text"},
    {"name": "total", "type": "bigint", "default": "10"},
    {"name": "amount", "type": "numeric", "default": "0.5"},
    {"name": "low", "type": "integer"},
    {"name": "high", "type": "double precision", "default": "3"},
]
COMMUTATIVE = definition(
    {
        "events": ["Added"],
        "key": {"id": "event.id"},
        "increment": {"total": "event.n", "amount": "event.d"},
        "min": {"low": "event.n"},
        "max": {"high": "event.d"},
    },
    {"events": ["Spread"], "key": {"id": "item.id"}, "forEach": "event.items", "increment": {"total": "item.n"}},
    columns=COLUMNS,
    ordering={"mode": "Commutative"},
)
GUARDED = definition(
    {
        "events": ["Changed"],
        "key": {"id": "event.id"},
        "set": {"name": "event.name", "by": "meta.topic"},
    },
    {"events": ["Gone"], "key": {"id": "event.id"}, "delete": True},
    columns=[{"name": "id", "type": "text"}, {"name": "name", "type": "text"}, {"name": "by", "type": "text"}],
    ordering={"mode": "Guarded", "by": "event.version"},
)
KEYS = [f"k{number}" for number in range(40)]


def two(build: Build) -> list[Member]:
    """Two workers, each with partitions of its own."""
    members = [build.work(), build.work()]
    wait.true("both have partitions", lambda: all(member.metrics.lanes for member in members), 30, 0.05)
    return members


def both_worked(members: list[Member]) -> None:
    """Stop them; each applied events."""
    for member in members:
        member.stop()
    assert all(member.metrics.events > 0 for member in members)


def test_several_topics_make_one_table(site: Site) -> None:
    orders, items = site.topic(2), site.topic(3)
    build = site.begin(ORDERS, orders, items)
    # A key lives in one topic, but types do in both.
    for topic, prefix in ((orders, "o"), (items, "i")):
        for number in range(2):
            key = f"{prefix}{number}"
            site.send(topic, number, "Placed", *[{"id": key, "name": f"{turn}"} for turn in range(20)])
            site.send(topic, number, "Added", *[{"id": key, "n": turn % 5} for turn in range(50)])
    site.send(items, 2, "Added", {"id": "z", "n": "x"}, {"id": "z", "n": 1}, {"id": "y", "n": 1})
    member = build.work()
    build.passed()
    moment = build.check()
    assert (len(moment.rows), moment.parked) == (5, {("z",): [0, 1]})
    build.discard(items, '["z"]', [0], partition=2)
    build.parked("replay", "--key", '["z"]')
    site.send(items, 2, "Added", {"id": "z", "n": 1})
    build.passed()
    assert len(build.check().rows) == 6
    member.stop()


def test_sums_of_two_workers_whose_partitions_share_keys(site: Site) -> None:
    orders, items = site.topic(4), site.topic(2)
    build = site.begin(COMMUTATIVE, orders, items)
    members = two(build)
    random = Random(5)  # noqa: S311 - the same ones again
    for _ in range(4):
        for topic, partitions in ((orders, 4), (items, 2)):
            for number in range(partitions):
                site.send(topic, number, "Added", *[_added(random) for _ in range(150)])
                site.send(topic, number, "Spread", {"items": [_added(random) for _ in range(20)]})
    build.passed()
    assert len(build.check().rows) == len(KEYS)
    both_worked(members)


def test_a_bad_event_of_a_shared_key_parks_its_own_partition_only(site: Site) -> None:
    orders = site.topic(4)
    build = site.begin(COMMUTATIVE, orders)
    members = two(build)
    random = Random(6)  # noqa: S311 - the same ones again
    for number in range(4):
        site.send(orders, number, "Added", *[_added(random, "k0") for _ in range(10)])
    site.send(orders, 1, "Added", {"id": "k0", "n": "x", "d": 1.0}, _added(random, "k0"), _added(random, "k1"))
    site.send(orders, 2, "Added", _added(random, "k0"))
    build.passed()
    moment = build.moment()
    assert moment.parked == {("k0",): [10, 11]}
    build.passed_over = {((orders.topic, 1), 10), ((orders.topic, 1), 11)}
    assert moment.rows == build.expected(moment.checkpoints).rows
    build.passed_over = set()
    build.discard(orders, '["k0"]', [10], partition=1)
    build.parked("replay", "--key", '["k0"]')
    site.send(orders, 1, "Added", _added(random, "k0"))
    build.passed()
    build.check()
    both_worked(members)


def test_the_newest_version_wins_whoever_reads_it_and_whenever(site: Site) -> None:
    orders, items = site.topic(4), site.topic(2)
    build = site.begin(GUARDED, orders, items)
    build.publish()  # rows that are deleted are still there, but not in the view
    random = Random(7)  # noqa: S311 - the same ones again
    versions = {key: random.sample(range(100), 100) for key in KEYS}
    greatest: dict[Key, int] = {}
    members = two(build)
    for turn in range(100):
        for key in KEYS:
            topic = orders if random.random() < 0.7 else items
            partition, version = random.randrange(4 if topic is orders else 2), versions[key][turn]
            kind = "Gone" if version % 7 == 0 else "Changed"
            event = {"id": key, "name": f"{version}", "version": version}
            # Some come twice, as after a repeated send; the flush is for all of the turn.
            site.queue(topic, partition, kind, *[event] * random.choice([1, 1, 2]))
            greatest[key,] = max(version, greatest.get((key,), 0))
        site.flush()
    build.passed()
    moment = build.check()
    assert {key: row["name"] for key, row in moment.rows.items()} == {k: f"{v}" for k, v in greatest.items() if v % 7}
    both_worked(members)


def test_an_older_event_after_all_others_changes_nothing(site: Site) -> None:
    orders = site.topic(1)
    build = site.begin(GUARDED, orders)
    build.publish()
    for turn, versions in enumerate(([3, 1, 2], [2, 3], [5], [4])):
        site.send(orders, 0, "Changed", *[{"id": "a", "name": f"{turn}-{v}", "version": v} for v in versions])
    site.send(orders, 0, "Gone", {"id": "b", "version": 9})
    site.send(orders, 0, "Changed", {"id": "b", "name": "late", "version": 8})
    member = build.work()
    build.passed()
    assert build.check().rows == {("a",): {"name": "2-5", "by": orders.topic}}
    # What comes in a later batch meets the guard in the table, not that of the batch.
    site.send(orders, 0, "Changed", *[{"id": key, "name": "late", "version": 4} for key in "ab"])
    site.send(orders, 0, "Gone", {"id": "a", "version": 5})
    build.passed()
    assert build.check().rows == {("a",): {"name": "2-5", "by": orders.topic}}
    site.send(orders, 0, "Changed", {"id": "b", "name": "new", "version": 10})
    site.send(orders, 0, "Gone", {"id": "a", "version": 6})
    build.passed()
    assert build.check().rows == {("b",): {"name": "new", "by": orders.topic}}
    member.stop()


def _added(random: Random, key: str | None = None) -> dict[str, Any]:
    # Halves, so that the order of a sum does not show.
    return {"id": key or random.choice(KEYS), "n": random.randint(-50, 50), "d": random.randint(-9, 9) / 2}
