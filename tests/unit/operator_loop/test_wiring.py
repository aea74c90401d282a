"""Signatures of events, settings, the pool of blocking clients, and what clients' errors mean."""

import asyncio
import threading
from typing import Any

import pytest

from projection_operator.core.reasons import Reason
from projection_operator.handlers import Signatures
from projection_operator.loop.ports import Key
from projection_operator.settings import BadSetting, Settings
from projection_operator.targets.failures import of_act, of_login, of_source
from projection_operator.targets.pool import Pool
from projector.ports import SourceUnavailable, StoreUnavailable, TopicMissing
from projector.registry import Deposed, NotPermitted, RegistryError, WrongState


def projection(generation: int = 1, **meta: Any) -> dict[str, Any]:
    return {"metadata": {"namespace": "shop", "name": "orders", "uid": "u", "generation": generation, **meta}}


def test_only_what_matters_wakes() -> None:
    woken: list[Key] = []
    signatures = Signatures(lambda key, _: woken.append(key))

    def wakes(kind: str | None, body: dict[str, Any]) -> bool:
        before = len(woken)
        signatures.projection(kind, body)
        return len(woken) > before

    assert wakes(None, projection())
    assert not wakes("MODIFIED", projection() | {"status": {"phase": "Live"}})
    assert not wakes("MODIFIED", projection(annotations={"other": "1"}, resourceVersion="9"))
    assert wakes("MODIFIED", projection(2))
    assert wakes("MODIFIED", projection(2, annotations={"projections.dev/take-over": "x"}))
    assert wakes("DELETED", projection(2))
    assert wakes("ADDED", projection(2))
    assert set(woken) == {("shop", "orders")}


def test_a_deployment_wakes_its_owner() -> None:
    woken: list[Key] = []
    signatures = Signatures(lambda key, _: woken.append(key))
    body = projection(labels={"projections.dev/projection": "orders"})
    body["metadata"]["name"] = "orders-b1"
    signatures.deployment("ADDED", body)
    signatures.deployment("MODIFIED", body | {"status": {"conditions": []}})
    assert woken == [("shop", "orders")]
    signatures.deployment("MODIFIED", body | {"status": {"readyReplicas": 1}})
    signatures.deployment("DELETED", body)
    assert woken == [("shop", "orders")] * 3


IMAGE = {"PROJECTION_OPERATOR_PROJECTOR_IMAGE": "projector:1"}


def test_settings() -> None:
    made = Settings.of(
        {**IMAGE, "PROJECTION_OPERATOR_WATCH_NAMESPACES": "a,b", "PROJECTION_OPERATOR_LEASE_RETRY": "0.5"}
    )
    assert made.projector_image == "projector:1"
    assert made.namespaces == ("a", "b")
    assert (made.lease.duration, made.lease.deadline, made.lease.retry) == (15.0, 10.0, 0.5)
    assert Settings.of(IMAGE).namespaces == ()
    assert Settings.of(IMAGE).holder != Settings.of(IMAGE).holder


@pytest.mark.parametrize(
    ("environment", "text"),
    [
        ({}, "PROJECTION_OPERATOR_PROJECTOR_IMAGE is not set"),
        ({**IMAGE, "PROJECTION_OPERATOR_WORKERS": "many"}, "PROJECTION_OPERATOR_WORKERS is not a number: 'many'"),
        (
            {**IMAGE, "PROJECTION_OPERATOR_LEASE_DURATION": "5"},
            "LEASE_RENEW_DEADLINE < PROJECTION_OPERATOR_LEASE_DURATION",
        ),
    ],
)
def test_bad_settings_name_the_variable(environment: dict[str, str], text: str) -> None:
    with pytest.raises(BadSetting, match=text):
        Settings.of(environment)


class Client:
    def __init__(self, address: str) -> None:
        self.address, self.closed = address, False

    def close(self) -> None:
        self.closed = True


@pytest.mark.asyncio
async def test_a_hanging_call_holds_its_own_client_only() -> None:
    pool, release = Pool("test", Client), threading.Event()
    with pytest.raises(TimeoutError):
        await pool.run("a", lambda _: release.wait(10), 0.05)
    with pytest.raises(TimeoutError):
        await pool.run("a", lambda client: client.address, 0.05)
    assert await pool.run("b", lambda client: client.address, 5) == "b"
    release.set()
    assert await pool.run("a", lambda client: client.address, 5) == "a"
    await pool.close()


@pytest.mark.asyncio
async def test_clients_are_kept_bounded_and_closed_when_idle() -> None:
    made: list[Client] = []

    def make(address: str) -> Client:
        made.append(Client(address))
        return made[-1]

    pool = Pool("test", make, limit=2)
    for address in ("a", "a", "b", "c"):
        await pool.run(address, lambda client: client.address, 5)
    assert [client.address for client in made] == ["a", "b", "c"]
    await pool.close()
    assert all(client.closed for client in made)


@pytest.mark.asyncio
async def test_errors_of_a_call_are_the_callers() -> None:
    pool = Pool("test", Client)

    def fail(_: Client) -> None:
        raise StoreUnavailable("db: connection refused")

    with pytest.raises(StoreUnavailable, match="refused"):
        await pool.run("a", fail, 5)
    await asyncio.sleep(0)
    await pool.close()


WHERE = "spec.target.postgresql.connectionSecretRef: Secret shop/db, key uri"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (StoreUnavailable('db:5432/app: password authentication failed for user "x"'), Reason.AUTHENTICATION_FAILED),
        (StoreUnavailable('db:5432/app: role "x" does not exist'), Reason.AUTHENTICATION_FAILED),
        (StoreUnavailable('db:5432/app: role "x" is not permitted to log in'), Reason.AUTHENTICATION_FAILED),
        (StoreUnavailable("db:5432/app: no password given"), Reason.AUTHENTICATION_FAILED),
        (StoreUnavailable('db:5432/app: no pg_hba.conf entry for host "1.2.3.4"'), Reason.AUTHENTICATION_FAILED),
        (StoreUnavailable("the connection URI cannot be read; it must look like …"), Reason.SECRET_INVALID),
        (StoreUnavailable('db:5432/app: database "app" does not exist'), Reason.TARGET_UNSUITABLE),
        (RegistryError("the server is PostgreSQL 12; 15 or newer is needed"), Reason.TARGET_UNSUITABLE),
        (NotPermitted("permission denied for schema public"), Reason.NOT_PERMITTED),
        (StoreUnavailable("db:5432/app: connection refused"), Reason.TARGET_UNAVAILABLE),
        (TimeoutError(), Reason.TARGET_UNAVAILABLE),
    ],
)
def test_what_a_failed_login_means(error: Exception, reason: Reason) -> None:
    found = of_login(error, WHERE)
    assert found.reason is reason
    assert found.message.startswith(WHERE)
    assert found.message.removeprefix(WHERE).strip(": ")


def test_what_a_failed_act_or_read_means() -> None:
    assert of_act(Deposed("another leads"), WHERE).reason is Reason.DEPOSED
    assert of_act(WrongState("build 1 is Live"), WHERE).reason is Reason.OUT_OF_STEP
    missing = of_source(TopicMissing("orders"), "kafka:9092", ("payments", "orders"))
    assert missing.reason is Reason.TOPIC_MISSING
    assert missing.message == "spec.source.kafka.topics[1]: topic 'orders' does not exist on kafka:9092"
    down = of_source(SourceUnavailable("kafka:9092: connection refused"), "kafka:9092", ("orders",))
    assert down.message == "spec.source.kafka.bootstrapServers: kafka:9092: connection refused"
    assert of_source(TimeoutError(), "kafka:9092", ("orders",)).reason is Reason.SOURCE_UNAVAILABLE
