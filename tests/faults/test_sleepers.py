"""Projectors that are stopped in the midst of their work, and wake when others have taken it over."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from examples.shop.generator import Feed
from tests.support import wait
from tests.support.faults import Faults, Watch, backend_busy, locks_held, stopped, wait_new_pod
from tests.support.shop import Shop

FREE_S = 15.0
"""What a stopped process held is free within so many seconds."""


def test_sleeper_wakes_after_others_took_its_partitions(shop: Shop, faults: Faults) -> None:
    shop.apply(scaling={"replicas": 2})
    shop.wait_ready()
    with shop.flow(rate=800):
        for turn in range(3):
            pods = wait.until("two pods are ready", shop.ready_pods, lambda names: len(names) == 2, 60)
            shop.wait_caught_up()
            pod = pods[turn % 2]
            with Watch(shop) as watch, _stopped_in_a_transaction(shop, pod):
                began = time.monotonic()
                wait.until("its locks are free", lambda p=pod: _locks(shop, p), lambda n: n == 0, FREE_S)  # type: ignore[misc]
                freed = time.monotonic() - began
                shop.wait_caught_up()
            fault = f"SIGSTOP, SIGCONT after {time.monotonic() - began:.0f} s (locks free after {freed:.1f} s)"
            faults.rows.append({"step": "flow", "fault": fault, "stood_still_s": round(watch.longest, 1)})
            assert watch.longest < FREE_S, f"a partition stood still for {watch.longest:.1f} s"
            faults.check("flow", fault, shop)
    faults.check("after the flow", "SIGSTOP and SIGCONT of projectors", shop, all_of_it=True)


def _locks(shop: Shop, pod: str) -> int:
    return locks_held(shop, shop.address(pod))


@contextmanager
def _stopped_in_a_transaction(shop: Shop, pod: str) -> Iterator[None]:
    """SIGSTOP at a moment when the server has a transaction open for the pod; most moments will not do."""
    pids, address = shop.pids(pod), shop.address(pod)
    deadline = time.monotonic() + 30
    while True:
        with stopped(pids):
            if backend_busy(shop, address) or time.monotonic() > deadline:
                yield
                return


def test_sleeper_wakes_after_its_build_was_given_up(shop: Shop, faults: Faults) -> None:
    """The worst sleeper: its pod was taken out of its Deployment, so nobody ends it; its version is built anew."""
    shop.send(orders=300)
    bad = (3, shop.ends()[3])
    feed = Feed(shop.kafka, shop.topic)
    feed.put_raw(b"o-1", b"not JSON", "OrderPaid", 3)
    feed.flush()
    shop.send(orders=300)
    shop.apply(scaling={"replicas": 1})
    wait.true("a projector is ready", lambda: len(shop.ready_pods()) == 1, 60)
    shop.wait_caught_up(skip={3})
    assert shop.condition("Ready")["status"] == "False"

    with shop.flow(rate=500):
        sleeper = shop.ready_pods()[0]
        shop.orphan(sleeper)
        with _stopped_in_a_transaction(shop, sleeper):
            wait_new_pod(shop, without=sleeper)
            shop.apply(scaling={"replicas": 1}, rebuildToken="again")
            status = wait.until(
                "a new build has begun",
                lambda: shop.projection()["status"],
                lambda one: one.get("candidate", {}).get("build") == 2,
                60,
            )
            assert status["candidate"]["version"] == "1"
            message = wait.until(
                "stuck again", lambda: shop.condition("Degraded"), lambda one: "offset" in one.get("message", ""), 60
            )["message"]
            shop.wait_caught_up(skip={3})
        # Awake now, with the old build's epoch, definition and consumer group.
        ended = wait.until("the sleeper ends, fenced", lambda: shop.exit_code(sleeper), lambda n: n is not None, 60)
        assert ended == 3
        shop.discard_as_told(message, bad)
        shop.wait_ready()
        faults.check("flow", "SIGSTOP; build given up and begun again; SIGCONT", shop)
    faults.check("after the flow", "SIGSTOP; build given up and begun again; SIGCONT", shop, all_of_it=True)
    shop.cluster.kubectl("delete", "pod", sleeper, "-n", shop.namespace, "--force", "--grace-period=0")
