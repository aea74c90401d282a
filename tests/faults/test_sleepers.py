"""Projectors that are stopped in the midst of their work, and wake when others have taken it over.

Once the moment is whichever comes: a commit is one message, so the server ends what was sent to it and the stopped
process holds nothing. Once it is made certain that it holds locks. Stops between any two messages that a worker sends
are in tests/contract/postgres/test_stopped_workers.py.
"""

from tests.support import wait
from tests.support.faults import FREE_S, Faults, Watch, stopped, stopped_holding_locks, wait_new_pod
from tests.support.shop import Shop


def test_sleeper_wakes_after_others_took_its_partitions(shop: Shop, faults: Faults) -> None:
    shop.apply(scaling={"replicas": 2})
    shop.wait_ready()
    with shop.flow(rate=800):
        for turn in range(3):
            pod = _two_pods(shop)[turn % 2]
            with Watch(shop) as watch, stopped(shop.pids(pod)):
                shop.wait_caught_up()
            figures = {"stood_still_s": round(watch.longest, 1)}
            faults.check("flow", "SIGSTOP at any moment, SIGCONT after others went on", shop, figures=figures)
            assert 1 < watch.longest < FREE_S, f"a partition stood still for {watch.longest:.1f} s"
    faults.check("after the flow", "SIGSTOP and SIGCONT of projectors", shop, all_of_it=True)


def test_what_a_sleeper_holds_is_free_soon(shop: Shop, faults: Faults) -> None:
    shop.apply(scaling={"replicas": 2})
    shop.wait_ready()
    with shop.flow(rate=800):
        for turn in range(2):
            pod = _two_pods(shop)[turn]
            with Watch(shop) as watch, stopped_holding_locks(shop, pod) as freed:
                shop.wait_caught_up()
            figures = {"locks_free_s": round(freed, 1), "stood_still_s": round(watch.longest, 1)}
            faults.check("flow", "SIGSTOP holding locks, SIGCONT after others went on", shop, figures=figures)
            assert 1 < watch.longest < FREE_S, f"a partition stood still for {watch.longest:.1f} s"
    faults.check("after the flow", "SIGSTOP and SIGCONT holding locks", shop, all_of_it=True)


def _two_pods(shop: Shop) -> list[str]:
    """Two that have work: one that has just come back holds no partition, and to stop it would show nothing."""
    pods = wait.until("two projectors work", shop.working_pods, lambda names: len(names) == 2, 60)
    shop.wait_caught_up()
    return pods


def test_sleeper_wakes_after_its_build_was_given_up(shop: Shop, faults: Faults) -> None:
    """The worst sleeper: its pod was taken out of its Deployment, so nobody ends it; its version is built anew."""
    shop.send(orders=300)
    # Nobody knows its row: the partition waits, and the build does not go live.
    bad = shop.put("o-1", b"not JSON", "OrderPaid", 3)
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
