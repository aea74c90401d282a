"""Faults hit projections that stand at every step of a version change. Each ends at the version asked for, by itself.

Many projections are held at many steps, and one real fault hits them all: each is a row of faults.json.
"""

import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import psycopg
import pytest
from psycopg import sql

from tests.support import outages, wait
from tests.support.cluster import OPERATOR_NS, Cluster, Json
from tests.support.faults import Faults, send_signal, stopped
from tests.support.shop import TABLE, Shop

SLEEP_S = 20.0
"""Longer than a Lease lasts, and than what a stopped process holds in the database."""

FLOW = 40
"""Events per second into each topic while faults come and go."""

ONE = {"replicas": 1}
SHORT: dict[str, object] = {"scaling": ONE, "rollback": {"retainFor": "5s"}}
"""What is replaced goes soon, so that what is left over is seen."""


@dataclass
class Held:
    """A projection in the midst of a change to `version`; `release` lets it go on."""

    step: str
    shop: Shop
    version: str
    release: Callable[[], None]
    before: int = field(init=False)

    def __post_init__(self) -> None:
        self.before = self.shop.build()


def open_reader(shop: Shop) -> psycopg.Connection:
    """A transaction that has read the public name and goes on: no swap can pass it."""
    connection = psycopg.connect(shop.uri)
    connection.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(*TABLE.split("."))))
    return connection


def phase(shop: Shop, wanted: str) -> None:
    wait.until(wanted, lambda: shop.projection()["status"].get("phase"), lambda found: found == wanted, 90)


def replaying(shop: Shop, token: str) -> Held:
    held = Held("Replaying", shop, "1", lambda: shop.apply(rebuildToken=token, **SHORT))
    shop.apply(rebuildToken=token, **SHORT, rebuild={"maxEventsPerSecond": 200})

    def midway(candidate: Json) -> bool:
        return candidate.get("step") == "Replaying" and 0 < candidate["percent"] < 100

    wait.until("it replays", shop.candidate, midway, 90)
    return held


def awaiting(shop: Shop, token: str) -> Held:
    def approve() -> None:
        plan = wait.until("its plan", lambda: shop.projection()["status"].get("plan"), bool, 60)
        assert plan is not None
        shop.apply(rebuildToken=token, **SHORT, promotion={"mode": "Manual", "approvedPlan": plan["hash"]})

    held = Held("AwaitingApproval", shop, "1", approve)
    shop.apply(rebuildToken=token, **SHORT, promotion={"mode": "Manual"})
    shop.wait_condition("ApprovalRequired", "True")
    return held


def swapping(shop: Shop, token: str) -> Held:
    reader = open_reader(shop)
    held = Held("Swapping", shop, "1", reader.close)
    shop.apply(rebuildToken=token, **SHORT)
    phase(shop, "Swapping")
    return held


def rolling_back(shop: Shop) -> Held:
    reader = open_reader(shop)
    other = "1" if shop.version == "2" else "2"
    held = Held("RollingBack", shop, other, reader.close)
    shop.change_version(other, scaling=ONE)
    phase(shop, "RollingBack")
    return held


@pytest.fixture
def shops(new_shop: Callable[[], Shop]) -> Mapping[str, Shop]:
    """One for each step, each with a live build; the one that goes back and forth has both versions."""
    made = {step: new_shop() for step in ("Replaying", "AwaitingApproval", "Swapping", "RollingBack")}
    for shop in made.values():
        shop.send(orders=1_500)
        shop.apply(scaling=ONE)
    for shop in made.values():
        shop.wait_ready()
    back = made["RollingBack"]
    back.change_version("2", scaling=ONE)
    back.wait_live("2")
    return made


def hold(shops: Mapping[str, Shop], token: str) -> list[Held]:
    """All of them in the midst of something."""
    return [
        replaying(shops["Replaying"], token),
        awaiting(shops["AwaitingApproval"], token),
        swapping(shops["Swapping"], token),
        rolling_back(shops["RollingBack"]),
    ]


def settle(one: Held, fault: str, faults: Faults) -> None:
    """It ends where it was to go: another build is live, alone, with the rows of an independent fold, and tidy."""
    shop = one.shop

    def over(status: Json) -> bool:
        moved = status.get("liveBuild") not in (None, one.before)
        return moved and "candidate" not in status and status.get("liveVersion") == one.version

    wait.until(f"{one.step} goes on after {fault}", lambda: shop.projection()["status"], over, 120)
    shop.version = one.version
    faults.check(one.step, fault, shop)
    wait.until(f"nothing is left over after {fault}", lambda: leftovers(shop), lambda found: found == [], 90)


def leftovers(shop: Shop) -> list[str]:
    """Builds that are given up and still there, second live ones, and Deployments and tables without a build."""
    with psycopg.connect(shop.uri) as connection:
        builds: dict[int, str] = dict(connection.execute("SELECT number, state FROM projections.build").fetchall())
        query = "SELECT relname FROM pg_class WHERE relkind = 'r' AND relname LIKE '%\\_\\_b%'"
        tables = {int(name.rpartition("__b")[2]) for (name,) in connection.execute(query)}
    kept = {number for number, state in builds.items() if state not in {"Abandoned", "Retired"}}
    deployments = {
        int(one["metadata"]["labels"]["projections.dev/build"])
        for one in shop.cluster.list_all("deployments", shop.namespace)
    }
    return [
        *(f"build {number} is only given up" for number, state in builds.items() if state == "Abandoned"),
        *(["more than one is live"] if list(builds.values()).count("Live") > 1 else []),
        *(f"table of build {number}" for number in tables ^ kept),
        *(f"Deployment of build {number}" for number in deployments ^ kept),
    ]


def kill_projectors(shops: Mapping[str, Shop]) -> None:
    """Of live, kept and coming builds."""
    for shop in shops.values():
        for pod in shop.ready_pods():
            send_signal(shop.pids(pod), signal.SIGKILL)


@contextmanager
def sleeping(shops: Mapping[str, Shop]) -> Iterator[None]:
    """All projectors are stopped for a while."""
    with ExitStack() as stack:
        for shop in shops.values():
            for pod in shop.ready_pods():
                stack.enter_context(stopped(shop.pids(pod)))
        yield


def operator_sleeps(cluster: Cluster) -> None:
    """Longer than its Lease lasts; another one takes it, and the sleeper wakes as one that leads no more."""
    cluster.kubectl("scale", "deployment", "-n", OPERATOR_NS, "--all", "--replicas=2")
    try:
        leader = cluster.leader()
        with stopped(list(cluster.sandbox.containers(leader, OPERATOR_NS))):
            wait.until("another operator leads", cluster.leader, lambda name: name not in ("", leader), 60)
    finally:
        cluster.kubectl("scale", "deployment", "-n", OPERATOR_NS, "--all", "--replicas=1")
    cluster.wait_operator()


def projectors_sleep(shops: Mapping[str, Shop]) -> None:
    """Of live, kept and coming builds, for longer than what they hold in the database lasts."""
    with sleeping(shops):
        # The time is the fault: whatever depends on a stopped process has run out after it.
        time.sleep(SLEEP_S)


FAULTS: dict[str, Callable[[Cluster, Mapping[str, Shop]], None]] = {
    "SIGKILL of the operator": lambda cluster, _: outages.kill_operator(cluster),
    "SIGKILL of all projectors": lambda _, shops: kill_projectors(shops),
    "SIGSTOP of the operator, another takes the Lease, SIGCONT": lambda cluster, _: operator_sleeps(cluster),
    "SIGSTOP and SIGCONT of all projectors": lambda _, shops: projectors_sleep(shops),
    "PostgreSQL restarted": lambda cluster, _: outages.restart_postgres(cluster),
    "SIGKILL of PostgreSQL": lambda cluster, _: outages.kill_postgres(cluster),
    "Kafka restarted": lambda cluster, _: outages.restart_kafka(cluster),
}


@pytest.mark.timeout(1_500)
def test_every_step_of_a_version_change_outlives_every_fault(
    cluster: Cluster, shops: Mapping[str, Shop], faults: Faults
) -> None:
    with ExitStack() as flows:
        for shop in shops.values():
            flows.enter_context(shop.flow(rate=FLOW))
        for number, (fault, strike) in enumerate(FAULTS.items(), 1):
            held = hold(shops, f"round {number}")
            strike(cluster, shops)
            for one in held:
                one.release()
            for one in held:
                settle(one, fault, faults)
            cluster.wait_operator()
    for shop in shops.values():
        faults.check("after the flow", "all of them", shop, all_of_it=True)
