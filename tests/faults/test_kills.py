"""Processes are killed at random moments while events flow. Nothing is lost, and nothing counts twice."""

import os
import signal
import time
from collections.abc import Callable
from random import Random

import pytest

from examples.shop.generator import Background
from tests.support import outages, wait
from tests.support.cluster import Cluster
from tests.support.faults import Faults, send_signal
from tests.support.shop import Shop

KILLS = 20
SEED = int(os.environ.get("FAULT_SEED", "0")) or time.time_ns() % 1_000_000


def test_projectors_are_killed_at_random_moments(shop: Shop, faults: Faults) -> None:
    random = Random(SEED)  # noqa: S311 - repeatable on purpose
    print(f"FAULT_SEED={SEED}")  # noqa: T201 - says how to see a failure again
    shop.apply(scaling={"replicas": 3})
    shop.wait_ready()
    with shop.flow(rate=500):
        for number in range(1, KILLS + 1):
            pods = wait.until("a projector works", shop.working_pods, bool, 60)
            # The random moment is the point: between fetch, fold, commit and rebalance.
            time.sleep(random.uniform(0, 2))
            send_signal(shop.pids(random.choice(pods)), signal.SIGKILL)
            shop.spoil(f"o-spoiled-{number}")
            if number % 5 == 0:
                faults.check("flow", f"SIGKILL of a projector, {number} of {KILLS}, seed {SEED}", shop)
    faults.check("after the flow", f"{KILLS} times SIGKILL of a projector, seed {SEED}", shop, all_of_it=True)
    message = shop.wait_condition("Degraded", "True", "ParkedKeys")["message"]
    assert message.startswith(f"{KILLS} keys are parked")
    for listed in shop.parked_as_told(message):
        assert listed["events"] == 3
        shop.let_go_as_told(message, listed)
    faults.check("parked events let go", "none", shop, all_of_it=True)


FAULTS: dict[str, Callable[[Cluster], None]] = {
    "SIGKILL of the operator": outages.kill_operator,
    "PostgreSQL restarted": outages.restart_postgres,
    "SIGKILL of PostgreSQL": outages.kill_postgres,
    "Kafka restarted": outages.restart_kafka,
    "SIGKILL of Kafka": outages.kill_kafka,
}


@pytest.mark.timeout(900)
def test_each_part_dies_while_builds_stand_at_different_steps(
    cluster: Cluster, new_shop: Callable[[], Shop], faults: Faults
) -> None:
    """A live projection, and for each fault a new one in the midst of its first build, are hit by it together."""
    live = new_shop()
    live.apply(scaling={"replicas": 2})
    live.wait_ready()
    young: list[Shop] = []
    with live.flow(rate=300):
        for fault, act in FAULTS.items():
            shop = new_shop()
            shop.send(orders=10_000)
            shop.apply(scaling={"replicas": 1})
            percent = _midway(shop)
            young.append(shop)
            act(cluster)
            faults.check("live", fault, live)
            shop.wait_ready()
            faults.check(f"first build, {percent} % replayed", fault, shop, all_of_it=True)
            cluster.wait_operator()
    faults.check("after the flow", "all of them", live, all_of_it=True)
    for shop in young:
        # Those hit by earlier faults live on through the later ones.
        with_more = shop.flow(rate=2_000)
        _some(with_more)
        faults.check("live", "all later ones", shop, all_of_it=True)


def _midway(shop: Shop) -> int:
    """Wait until some of the log is replayed, and say how much in percent; fail if it was all."""
    wait.until("the first build has begun", shop.candidate, bool, 60)
    total = sum(shop.ends().values())
    done = wait.until("events are replayed", lambda: sum(shop.positions().values()), bool, 60, pause=0.02)
    assert done < total, "the replay was over before the fault"
    return done * 100 // total


def _some(flow: Background) -> None:
    with flow:
        wait.true("some events are in", lambda: flow.feed.delivered > 500, 30)
