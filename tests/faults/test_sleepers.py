"""Projectors that are stopped in the midst of their work, and wake when others have taken it over.

The moment is whichever comes: a commit is one message, so the server ends what was sent to it. Stops between any two
messages that a worker sends are in tests/contract/postgres/test_stopped_workers.py.
"""

import time

from examples.shop.generator import Feed
from tests.support import wait
from tests.support.faults import Faults, Watch, locks_held, stopped, wait_new_pod
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
            with Watch(shop) as watch, stopped(shop.pids(pod)):
                began = time.monotonic()
                wait.until("its locks are free", lambda p=pod: _locks(shop, p), lambda n: n == 0, FREE_S)  # type: ignore[misc]
                freed = time.monotonic() - began
                shop.wait_caught_up()
            figures = {"locks_free_s": round(freed, 1), "stood_still_s": round(watch.longest, 1)}
            faults.check("flow", "SIGSTOP, SIGCONT after others went on", shop, figures=figures)
            assert watch.longest < FREE_S, f"a partition stood still for {watch.longest:.1f} s"
    faults.check("after the flow", "SIGSTOP and SIGCONT of projectors", shop, all_of_it=True)


def _locks(shop: Shop, pod: str) -> int:
    return locks_held(shop, shop.address(pod))


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
        with stopped(shop.pids(sleeper)):
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
