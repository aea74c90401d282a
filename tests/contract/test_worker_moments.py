"""The law by whole workers on real servers: at any moment rows and parked events are the fold up to the checkpoints."""

import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any

from projector.spec.models import Errors
from tests.support import wait
from tests.support.crew import ORDERS
from tests.support.kafka import KafkaBench
from tests.support.oracle import Reference
from tests.support.workers import Build, Member, Moment, Place, Site

PARTITIONS = 3
KINDS = ["Placed", "Added", "Added", "Added", "Changed", "Gone", "Found", "Moved", "Added"]
ROUNDS = 8


def fed(site: Site, topic: KafkaBench, random: Random, count: int, kinds: Sequence[str] = KINDS) -> None:
    """Events of which some cannot be applied; keys live in one partition."""
    for _ in range(count):
        number = random.randrange(PARTITIONS)
        kind = random.choice(kinds)
        event: dict[str, Any] = {"id": f"{number}-{random.randrange(25)}", "n": random.randint(-4, 4), "name": "x"}
        event["to"] = f"{number}-{random.randrange(25)}"
        if random.random() < 0.005:
            event["n" if kind in {"Added", "Moved"} else "name"] = []
        site.queue(topic, number, kind, event)
    site.flush()


def goes_on(build: Build) -> None:
    """Wait until some more is folded, not until all is."""
    before = build.moment().checkpoints
    wait.true("it goes on", lambda: build.moment().checkpoints != before or build.at_end, 30, 0.01)


def looked(build: Build, meanwhile: Callable[[], None]) -> list[Moment]:
    """What is seen while something goes on."""
    over = threading.Event()
    found: list[Moment] = []

    def look() -> None:
        while not over.is_set():
            found.append(build.moment())
            over.wait(0.05)

    looking = threading.Thread(target=look)
    looking.start()
    try:
        meanwhile()
    finally:
        over.set()
        looking.join(30)
    return found


def all_lawful(build: Build, moments: list[Moment]) -> None:
    """Each moment is the reference fold of its own prefix; several were in the midst of things."""
    assert len({tuple(moment.checkpoints.items()) for moment in moments}) > ROUNDS
    log, reference = build.site.log(moments[-1].checkpoints), Reference(ORDERS, parks=True)
    done: Mapping[Place, int] = {}
    for moment in moments:
        build.follow(reference, log, done, moment.checkpoints)
        done = moment.checkpoints
        assert moment.rows == reference.rows
        assert moment.parked == reference.parked


def ended(site: Site) -> None:
    """End all sessions of workers, as a server does that goes down in haste."""
    site.database.run(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND application_name LIKE 'projector b%'"
    )


def test_whenever_one_looks_while_workers_come_and_go_and_lose_their_sessions(site: Site) -> None:
    topic = site.topic(PARTITIONS)
    build, random = site.begin(ORDERS, topic), Random(11)  # noqa: S311 - the same ones again
    members = [build.work()]

    def story() -> None:
        for turn in range(ROUNDS):
            fed(site, topic, random, 700)
            goes_on(build)
            if turn % 2 == 0:
                ended(site)
            if turn % 3 == 1:
                members.append(build.work())
            if turn % 3 == 2:
                members.pop(0).stop()
        build.passed()

    moments = looked(build, story)
    assert build.check().parked, "some were parked"
    all_lawful(build, moments)
    for member in members:
        member.stop()


def test_of_two_that_take_the_same_partitions_for_theirs_none_does_harm(site: Site) -> None:
    topic = site.topic(PARTITIONS)
    build, random = site.begin(ORDERS, topic), Random(12)  # noqa: S311 - the same ones again
    # Two groups: each has all partitions, as one that was declared dead while it slept believes.
    members = [build.work(group=group) for group in ("", "-zombie")]

    def story() -> None:
        for _ in range(2 * ROUNDS):
            fed(site, topic, random, 200)
            goes_on(build)
        build.passed()

    moments = looked(build, story)
    build.check()
    all_lawful(build, moments)
    assert any(fenced(member) for member in members)
    for member in members:
        member.stop()


def fenced(member: Member) -> bool:
    """Whether it was."""
    return b"projector_fenced_total 0.0" not in member.metrics.exposition()


def test_people_who_decide_while_a_worker_is_busy(site: Site) -> None:
    topic = site.topic(PARTITIONS)
    build, random = site.begin(ORDERS, topic), Random(13)  # noqa: S311 - the same ones again
    member = build.work(Errors(max_parked_keys=10_000))
    over = threading.Event()

    def feed() -> None:
        while not over.is_set():
            fed(site, topic, random, 50, ["Placed", "Added", "Changed", "Gone"])  # each is of one key
            over.wait(0.05)

    feeding = threading.Thread(target=feed)
    feeding.start()
    decided = 0
    deadline = time.monotonic() + 60
    try:
        while decided < ROUNDS and time.monotonic() < deadline:
            decided += let_go(build, topic, random)
    finally:
        over.set()
        feeding.join(60)
    assert decided >= ROUNDS
    build.passed()
    while build.moment().parked:
        let_go(build, topic, random)
    assert not build.check().parked
    member.stop()


def let_go(build: Build, topic: KafkaBench, random: Random) -> bool:
    """Discard the first event of a parked key, and replay those behind it; whether both was done."""
    keys = json.loads(build.parked("list", "-o", "json"))
    if not keys:
        return False
    key = random.choice(keys)
    which = ("--key", json.dumps(key["key"]))
    # A worker may park another one of the key meanwhile; then the command says so.
    if not build.tried("discard", *which, "--offset", f"{key['firstOffset']}", "--reason", "a test"):
        return False
    build.passed_over.add(((topic.topic, key["partition"]), key["firstOffset"]))
    return build.tried("replay", *which)
