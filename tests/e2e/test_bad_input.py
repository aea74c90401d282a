"""What a user sees when something outside is wrong, and that it goes on by itself once that is mended.

All cases begin at once and stand side by side, each in a shop of its own; then each is looked at, mended, and awaited.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from examples.shop import generator
from tests.support.cluster import Cluster
from tests.support.fixtures import FAILED, describe
from tests.support.shop import Shop

NOWHERE = "10.244.0.1:1"


@dataclass(frozen=True)
class Case:
    """How to spoil a shop before its Projection is applied, what is then said, and how to mend it."""

    spoil: Callable[[Shop], None]
    reason: str
    words: tuple[str, ...]
    mend: Callable[[Shop], None]
    stalled: bool = True
    kafka: str | None = None
    topic: bool = True


def _without(name: str) -> Callable[[Shop], None]:
    return lambda shop: shop.delete_secret(name)


def _wrong_password(name: str, role: str) -> Callable[[Shop], None]:
    return lambda shop: shop.secret(name, shop.pod_uri(role, "wrong-one"))


def _right(name: str, role: str) -> Callable[[Shop], None]:
    return lambda shop: shop.secret(name, shop.pod_uri(role))


def _unreachable(shop: Shop) -> None:
    shop.secret("read-db-admin", f"postgresql://read_db_admin:secret-word@{NOWHERE}/{shop.database}")


def _create_topic(shop: Shop) -> None:
    generator.create_topic(shop.kafka, shop.topic)


def _key_missing(shop: Shop) -> None:
    shop.delete_secret("read-db")
    shop.secret("read-db", shop.pod_uri("worker"), key="url")


CASES = {
    "worker Secret missing": Case(_without("read-db"), "SecretMissing", ("read-db",), _right("read-db", "worker")),
    "admin Secret missing": Case(
        _without("read-db-admin"), "SecretMissing", ("read-db-admin",), _right("read-db-admin", "admin")
    ),
    "key missing": Case(_key_missing, "SecretKeyMissing", ("read-db", "uri"), _right("read-db", "worker")),
    "worker's password wrong": Case(
        _wrong_password("read-db", "worker"),
        "AuthenticationFailed",
        ("read_db_worker", "password authentication failed"),
        _right("read-db", "worker"),
    ),
    "admin's password wrong": Case(
        _wrong_password("read-db-admin", "admin"),
        "AuthenticationFailed",
        ("read_db_admin", "password authentication failed"),
        _right("read-db-admin", "admin"),
    ),
    "PostgreSQL unreachable": Case(
        _unreachable,
        "TargetUnavailable",
        (NOWHERE, "connection refused"),
        _right("read-db-admin", "admin"),
        stalled=False,
    ),
    "Kafka unreachable": Case(
        lambda _: None, "SourceUnavailable", (NOWHERE,), lambda shop: shop.apply(), stalled=False, kafka=NOWHERE
    ),
    "topic missing": Case(lambda _: None, "TopicMissing", ("does not exist",), _create_topic, topic=False),
}


@pytest.fixture(scope="module")
def spoiled(cluster: Cluster, past: list[Shop]) -> Iterator[dict[str, Shop]]:
    """A shop for each case, applied."""
    shops = {name: Shop(cluster) for name in CASES}
    for name, case in CASES.items():
        shop = shops[name]
        shop.open(topic=case.topic)
        case.spoil(shop)
        document = shop.manifest()
        if case.kafka is not None:
            document["spec"]["source"]["kafka"]["bootstrapServers"] = [case.kafka]
        cluster.apply(document)
    yield shops
    for shop in shops.values():
        shop.close()
    past += shops.values()


@pytest.mark.parametrize("name", CASES)
def test_said_plainly_and_goes_on_when_mended(
    spoiled: dict[str, Shop], name: str, request: pytest.FixtureRequest
) -> None:
    shop, case = spoiled[name], CASES[name]
    try:
        ready = shop.wait_condition("Ready", "False", case.reason)
        for word in case.words:
            assert word in ready["message"]
        for secret in ("wrong-one", "secret-word", "admin-demo", "worker-demo", "Traceback"):
            assert secret not in shop.cluster.kubectl("describe", "projections,pods", "-n", shop.namespace)
        assert shop.condition("Stalled")["status"] == ("True" if case.stalled else "False")
        assert case.reason in shop.cluster.kubectl("get", "events", "-n", shop.namespace)

        case.mend(shop)
        shop.wait_ready(timeout=90)
        shop.send(orders=10)
        shop.wait_caught_up()
        assert shop.compare_all().differing == {}
    except BaseException:
        request.node.stash[FAILED] = True
        describe(shop)
        raise
