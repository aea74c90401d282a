"""Fixtures of the tests on the real cluster; their conftest files import them from here."""

from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest

from sandbox import Sandbox
from tests.support.cluster import OPERATOR_NS, Cluster, CommandFailed
from tests.support.shop import ORDERS, Shop

FAILED = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Remember a failure, so that fixtures can show what the cluster says about it."""
    del call
    report = yield
    if report.failed:
        item.stash[FAILED] = True
    return report


@pytest.fixture(scope="session")
def cluster() -> Cluster:
    """The sandbox with all its parts and the operator of this checkout."""
    sandbox = Sandbox()
    sandbox.up()
    cluster = Cluster(sandbox)
    cluster.install()
    return cluster


@pytest.fixture(scope="session")
def past() -> Iterator[list[Shop]]:
    """Shops whose tests are over; nobody waits for their end before the session's."""
    shops: list[Shop] = []
    yield shops
    for shop in shops:
        shop.forget()


@pytest.fixture
def new_shop(cluster: Cluster, past: list[Shop], request: pytest.FixtureRequest) -> Iterator[Callable[..., Shop]]:
    """Makes shops, of the orders' example or of another file.

    Each is removed at the end of the test, after it was described if the test failed.
    """
    shops: list[Shop] = []

    def make(example: Path = ORDERS) -> Shop:
        shops.append(Shop(cluster, example))
        shops[-1].open()
        return shops[-1]

    yield make
    for shop in shops:
        if request.node.stash.get(FAILED, False):
            describe(shop)
        shop.close()
    past += shops


@pytest.fixture
def shop(new_shop: Callable[..., Shop]) -> Shop:
    """One shop."""
    return new_shop()


def describe(shop: Shop) -> None:
    """Print what a person would look at first."""
    looks = (
        ("get", "projections,deployments,pods", "-n", shop.namespace, "-o", "wide"),
        ("describe", "projections", "-n", shop.namespace),
        ("logs", "-n", shop.namespace, "-l", "app.kubernetes.io/name=projector", "--tail=40", "--prefix"),
        ("logs", "-n", OPERATOR_NS, "-l", "app.kubernetes.io/name=projection-operator", "--tail=60"),
    )
    for look in looks:
        try:
            print(shop.cluster.kubectl(*look))  # noqa: T201 - pytest shows it with the failure
        except CommandFailed as error:
            print(error)  # noqa: T201 - pytest shows it with the failure
