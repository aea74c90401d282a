"""A replay with a limit, by a whole worker on real servers."""

import time
from random import Random

from tests.contract.test_worker_moments import PARTITIONS, fed
from tests.support import wait
from tests.support.crew import ORDERS
from tests.support.workers import Build, Site

RATE = 500
REPLAYED = 4_000
SAVED = RATE
"""What may come at once."""
BURST = 2_000


def committed(build: Build) -> int:
    """Events up to the checkpoints."""
    return sum(build.moment().checkpoints.values())


def test_a_replay_takes_as_long_as_it_must_and_what_comes_after_it_does_not(site: Site) -> None:
    topic = site.topic(PARTITIONS)
    build, random = site.begin(ORDERS, topic), Random(21)  # noqa: S311 - the same ones again
    fed(site, topic, random, REPLAYED)
    started = time.monotonic()
    member = build.work(replay_rate=RATE)
    while (done := committed(build)) < REPLAYED:
        assert done <= RATE * (time.monotonic() - started) + SAVED
        time.sleep(0.1)
    took = time.monotonic() - started
    assert (REPLAYED - SAVED) / RATE <= took <= REPLAYED / RATE + 20
    build.check()

    site.registry.open_catch_up(site.epoch, build.number)

    def quick() -> bool:
        fed(site, topic, random, BURST)
        sent = time.monotonic()
        build.passed()
        return time.monotonic() - sent < BURST / RATE / 2

    wait.true("what comes is not limited any more", quick, 60, 0)
    build.check()
    member.stop()
