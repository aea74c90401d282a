"""Passes on a world in memory: the life of a projection, and what goes wrong in it."""

from dataclasses import replace

import pytest

from projection_operator.core.lag import BLOCKED_AFTER
from projection_operator.core.observation import FINALIZER, SourceView, Unknown
from projection_operator.core.reasons import Reason
from projection_operator.loop.act import NotLeading
from projector.ports import Ends, Partition
from projector.registry import ForeignRegistry, TargetTaken, WrongState
from tests.support.operator_world import KEY, World
from tests.support.projections import NOW, SOURCE_DOWN, TARGET_DOWN

pytestmark = pytest.mark.asyncio


@pytest.fixture
def world() -> World:
    return World()


async def test_from_apply_to_live(world: World) -> None:
    world.cluster.apply()
    await world.settle()
    assert world.registry.calls == ["claim", "begin as worker"]
    assert world.status["phase"] == "Replaying"
    assert world.status["candidate"] == {"version": "1", "build": 1, "step": "Replaying", "percent": 0}
    assert list(world.cluster.deployments_) == ["orders-b1"]

    world.registry.moves_to(1, 100, 99)
    await world.settle()
    assert world.status["candidate"]["percent"] == 99
    world.registry.moves_to(1, 100, 100)
    world.logs.grows_to(100, 201)
    await world.settle()
    assert world.status["phase"] == "CatchingUp"
    world.registry.moves_to(1, 100, 101)
    await world.settle()

    assert world.condition("Ready")[:2] == ("True", "Serving")
    assert world.status["liveBuild"] == 1
    assert world.status["lag"] == {"events": 100, "seconds": 4}
    assert "candidate" not in world.status
    assert [event.reason for event in world.cluster.events] == ["BuildBegun", "CatchingUp", "Published"]
    assert world.registry.calls[2:] == ["build_indexes", "open_catch_up", "publish"]


async def test_nothing_is_written_where_nothing_changed(world: World) -> None:
    await world.until_live()
    writes, events = world.cluster.status_writes, len(world.cluster.events)
    for _ in range(5):
        assert await world.reconciler.reconcile(KEY) == 30.0
    assert (world.cluster.status_writes, len(world.cluster.events)) == (writes, events)


async def test_a_lost_status_comes_back(world: World) -> None:
    await world.until_live()
    before = world.status
    del world.cluster.projections[KEY]["status"]
    await world.settle()
    assert world.status == before


async def test_a_deployment_changed_or_deleted_by_hand_is_put_back(world: World) -> None:
    await world.until_live()
    (body,) = world.cluster.deployments_.values()
    body["spec"]["replicas"] = 7
    await world.settle()
    assert world.cluster.deployments_["orders-b1"]["spec"]["replicas"] == 1
    world.cluster.deployments_.clear()
    await world.settle()
    assert list(world.cluster.deployments_) == ["orders-b1"]


async def test_another_version_before_the_first_is_live(world: World) -> None:
    world.cluster.apply()
    await world.settle()
    world.cluster.apply(version="2")
    await world.settle()
    assert world.registry.retired == [1]
    assert list(world.cluster.deployments_) == ["orders-b2"]
    assert (world.status["candidate"]["build"], world.status["candidate"]["version"]) == (2, "2")
    world.cluster.apply(rebuildToken="again")
    await world.settle()
    assert world.registry.retired == [1, 2]
    assert world.status["candidate"]["build"] == 3


async def test_suspend_and_go_on(world: World) -> None:
    await world.until_live()
    world.cluster.apply(suspend=True)
    await world.settle()
    assert world.cluster.deployments_["orders-b1"]["spec"]["replicas"] == 0
    assert world.status["phase"] == "Suspended"
    assert world.condition("Ready")[:2] == ("True", "Suspended")
    world.logs.grows_to(150, 100)
    await world.settle()
    assert world.status["lag"]["events"] == 50
    world.cluster.apply(suspend=False)
    await world.settle()
    assert world.cluster.deployments_["orders-b1"]["spec"]["replicas"] == 1


async def test_retain_deletes_nothing_and_a_new_resource_adopts(world: World) -> None:
    await world.until_live()
    world.cluster.delete()
    assert await world.reconciler.reconcile(KEY) is None
    assert world.registry.entry is not None
    world.cluster.deployments_.clear()
    world.cluster.apply()
    world.cluster.projections[KEY]["metadata"]["uid"] = "uid-2"
    await world.settle()
    assert world.registry.entry.resource_uid == "uid-2"
    assert world.status["liveBuild"] == 1
    assert world.registry.calls.count("begin as worker") == 1


async def test_delete_drops_everything_then_lets_go(world: World) -> None:
    world.cluster.apply(deletionPolicy="Delete")
    await world.settle()
    assert world.cluster.projections[KEY]["metadata"]["finalizers"] == [FINALIZER]
    world.cluster.delete()
    world.databases.down = TARGET_DOWN
    await world.settle()
    status, reason, message = world.condition("Ready")
    assert (status, reason) == ("False", "TargetUnavailable")
    assert "kubectl patch projection orders --namespace shop" in message
    world.databases.down = None
    await world.settle()
    assert world.registry.entry is None
    assert world.cluster.deployments_ == {}
    assert KEY not in world.cluster.projections


async def test_delete_still_works_when_the_namespace_lost_its_secrets_first(world: World) -> None:
    world.cluster.apply(deletionPolicy="Delete")
    await world.settle()
    world.cluster.secrets.clear()
    world.cluster.delete()
    await world.settle()
    assert world.registry.entry is None
    assert KEY not in world.cluster.projections


async def test_delete_is_held_by_what_depends_on_the_table_and_says_so(world: World) -> None:
    world.cluster.apply(deletionPolicy="Delete")
    await world.settle()
    world.registry.refuses = WrongState("public.t cannot be dropped: view report depends on it")
    world.cluster.delete()
    await world.settle()
    assert world.condition("Stalled")[:2] == ("True", "TargetInUse")
    assert "view report depends on it" in world.condition("Stalled")[2]


async def test_policy_changed_back_lets_the_finalizer_go(world: World) -> None:
    world.cluster.apply(deletionPolicy="Delete")
    await world.settle()
    world.cluster.apply(deletionPolicy="Retain")
    await world.settle()
    assert world.cluster.projections[KEY]["metadata"]["finalizers"] == []


FIELD = "spec.target.postgresql"


@pytest.mark.parametrize(
    ("secrets", "reason", "message"),
    [
        ({}, "SecretMissing", f"{FIELD}.connectionSecretRef: Secret shop/db does not exist."),
        (
            {"db": {"url": b"x", "pass": b"y"}},
            "SecretKeyMissing",
            f"{FIELD}.connectionSecretRef: Secret shop/db has no key 'uri' (it has: pass, url).",
        ),
        (
            {"db": {}},
            "SecretKeyMissing",
            f"{FIELD}.connectionSecretRef: Secret shop/db has no key 'uri' (it is empty).",
        ),
        ({"db": {"uri": b" "}}, "SecretInvalid", f"{FIELD}.connectionSecretRef: Secret shop/db, key uri: is empty."),
        (
            {"db": {"uri": b"\xff"}},
            "SecretInvalid",
            f"{FIELD}.connectionSecretRef: Secret shop/db, key uri: is not text.",
        ),
    ],
)
async def test_secrets(world: World, secrets: dict[str, dict[str, bytes]], reason: str, message: str) -> None:
    right = world.cluster.secrets
    world.cluster.secrets = secrets
    world.cluster.apply()
    await world.settle()
    assert world.condition("Stalled")[:2] == ("True", reason)
    assert world.condition("Stalled")[2].startswith(message)
    assert world.condition("Ready")[:2] == ("False", reason)
    after = await world.reconciler.reconcile(KEY)
    assert after is not None
    assert after <= 10
    world.cluster.secrets = right
    await world.settle()
    assert world.status["phase"] == "Replaying"


async def test_the_admin_secret_is_named_where_it_is_asked_for(world: World) -> None:
    target = {**world.cluster.secrets, "admin": {}}
    world.cluster.secrets = target
    world.cluster.apply()
    postgresql = world.cluster.projections[KEY]["spec"]["target"]["postgresql"]
    world.cluster.projections[KEY]["spec"]["target"] = {
        "postgresql": {**postgresql, "adminSecretRef": {"name": "admin"}}
    }
    await world.settle()
    assert world.condition("Stalled")[2].startswith(f"{FIELD}.adminSecretRef: Secret shop/admin has no key 'uri'")


@pytest.mark.parametrize(
    ("refusal", "reason", "words"),
    [
        (TargetTaken("public.t is the table of projection shop/other"), "TargetTaken", f"{FIELD}.table: public.t is"),
        (ForeignRegistry("abc"), "ForeignRegistry", "annotate with projections.dev/take-over=abc"),
    ],
)
async def test_refusals_of_the_registry(
    world: World, refusal: TargetTaken | ForeignRegistry, reason: str, words: str
) -> None:
    world.registry.refuses = refusal
    world.cluster.apply()
    await world.settle()
    assert world.condition("Stalled")[:2] == ("True", reason)
    assert words in world.condition("Stalled")[2]
    assert [event.reason for event in world.cluster.events] == [reason]
    world.registry.refuses = None
    await world.settle()
    assert world.status["phase"] == "Replaying"


async def test_an_invalid_spec_names_its_problems_and_mends(world: World) -> None:
    await world.until_live()
    good = world.cluster.projections[KEY]["spec"]["rules"]
    world.cluster.apply(version="2", rules=[{"events": ["E"], "key": {"id": "event.id"}, "set": {"nmae": "event.x"}}])
    await world.settle()
    status, reason, message = world.condition("Stalled")
    assert (status, reason) == ("True", "InvalidSpec")
    assert message.startswith("spec.rules[0].set.nmae")
    assert world.condition("Ready")[0] == "True"
    assert list(world.cluster.deployments_) == ["orders-b1"]
    world.cluster.apply(version="1", rules=good)
    await world.settle()
    assert world.status["phase"] == "Live"


async def test_a_deployment_that_the_server_refuses(world: World) -> None:
    world.cluster.refuses_deployments = "spec.template.spec.containers[0].image: Required value"
    world.cluster.apply()
    await world.settle()
    assert world.condition("Stalled")[:2] == ("True", "DeploymentRefused")
    assert "orders-b1: spec.template.spec.containers[0].image: Required value" in world.condition("Stalled")[2]


async def test_outages_change_neither_pods_nor_what_is_live(world: World) -> None:
    await world.until_live()
    deployments = dict(world.cluster.deployments_)
    world.logs.view = SOURCE_DOWN
    await world.settle()
    assert "lag" not in world.status
    assert world.condition("LagKnown")[:2] == ("False", "SourceUnavailable")
    assert world.condition("Ready")[0] == "True"
    world.databases.down = Unknown(Reason.TARGET_UNAVAILABLE, "db: refused")
    await world.settle()
    assert world.condition("Ready")[:2] == ("Unknown", "TargetUnavailable")
    assert (world.status["liveBuild"], world.status["liveVersion"]) == (1, "1")
    assert world.cluster.deployments_ == deployments
    assert world.status["replicas"] == 1


async def test_who_does_not_lead_writes_nothing(world: World) -> None:
    world.leads = False
    world.cluster.apply()
    with pytest.raises(NotLeading):
        await world.reconciler.pass_(KEY)
    assert world.registry.calls == []
    assert world.cluster.status_writes == 0


async def test_an_outage_of_the_api_server_backs_off(world: World) -> None:
    world.cluster.apply()
    world.cluster.down = True
    await world.reconciler.pass_(KEY)
    assert len(world.queue) == 1
    assert b'projection_operator_reconcile_errors_total{kind="cluster"} 1.0' in world.metrics.text()


async def test_a_fault_of_ours_stops_neither_the_worker_nor_the_others(world: World) -> None:
    world.cluster.projections[KEY] = {"metadata": {}}
    await world.reconciler.pass_(KEY)
    assert len(world.queue) == 1
    assert b'projection_operator_reconcile_errors_total{kind="fault"} 1.0' in world.metrics.text()


async def test_metrics_have_no_sample_for_what_is_not_known(world: World) -> None:
    await world.until_live()
    assert b'projection_lag_events{name="orders",namespace="shop"} 0.0' in world.metrics.text()
    assert b'projection_ready{name="orders",namespace="shop"} 1.0' in world.metrics.text()
    world.logs.view = SOURCE_DOWN
    await world.settle()
    assert b"projection_lag_events{" not in world.metrics.text()
    world.cluster.delete()
    await world.reconciler.reconcile(KEY)
    assert b"projection_ready{" not in world.metrics.text()
    assert b"projection_operator_projections 0.0" in world.metrics.text()


async def test_a_transaction_that_hangs_is_told_after_a_while_and_is_over_when_it_ends(world: World) -> None:
    await world.until_live()
    place = Partition("orders", "id-1", 0)
    hanging = SourceView({place: Ends(0, 100, 120), Partition("orders", "id-1", 1): Ends(0, 100, 100)})
    world.logs.view = replace(hanging, unsettled={place: NOW - BLOCKED_AFTER})
    await world.settle()
    assert world.condition("Degraded")[:2] == ("True", "SourceBlocked")
    assert world.condition("Ready")[:2] == ("True", "Serving")
    assert world.cluster.events[-1].reason == "SourceBlocked"
    world.logs.grows_to(120, 100)
    await world.settle()
    assert world.condition("Degraded")[:2] == ("False", "AsExpected")


async def test_a_changed_role_of_the_workers_is_let_in_once(world: World) -> None:
    await world.until_live()
    world.cluster.secrets["db"]["uri"] = b"postgresql://another@db/app"
    await world.settle()
    assert world.registry.calls[-1] == "admit another"
    assert world.registry.calls.count("admit another") == 1


async def test_a_topic_of_a_commutative_projection_may_grow(world: World) -> None:
    counting = [{"events": ["E"], "key": {"id": "event.id"}, "increment": {"total": "event.n"}}]
    await world.until_live(ordering={"mode": "Commutative"}, rules=counting)
    world.logs.grows_to(100, 100, 40)
    await world.settle()
    assert world.registry.calls.count("admit_partitions") == 1
    assert world.condition("Stalled")[0] == "False"
    assert world.status["lag"]["events"] == 40


async def test_a_missing_secret_of_the_schema_registry_is_named_before_anything_is_built(world: World) -> None:
    registry = {"url": "https://schemas:8081", "credentialsSecretRef": {"name": "schemas"}}
    kafka = {"bootstrapServers": ["kafka:9092"], "topics": ["orders"], "format": "Avro", "schemaRegistry": registry}
    world.cluster.apply(source={"kafka": kafka})
    await world.settle()
    assert world.condition("Stalled")[1] == "SecretMissing"
    expected = "spec.source.kafka.schemaRegistry.credentialsSecretRef: Secret shop/schemas does not exist"
    assert world.condition("Stalled")[2].startswith(expected)
    assert world.registry.calls == ["claim"]
    world.cluster.secrets["schemas"] = {"credentials": b"user:password"}
    await world.settle()
    assert world.registry.calls == ["claim", "begin as worker"]
