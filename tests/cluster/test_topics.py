"""Topics as they are, and another role of the workers: what the operator makes of them, on a real API server."""

from collections.abc import Callable
from typing import Any

from confluent_kafka import TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # not in its typed exports
    AdminClient,
    NewPartitions,
)

from tests.support import wait
from tests.support.operator_process import Site

COUNTING: dict[str, Any] = {
    "ordering": {"mode": "Commutative"},
    "rules": [{"events": ["E"], "key": {"id": "event.id"}, "increment": {"total": "1"}}],
}


def admin(site: Site) -> AdminClient:
    return AdminClient({"bootstrap.servers": site.kafka})


def counts(site: Site, table: str) -> dict[str, int]:
    return dict(site.database.run(f"SELECT id, total FROM {table}"))  # noqa: S608 - our own


def go_live(site: Site, name: str, topic: str, **spec: Any) -> str:
    """The Deployment's name, once the Projection serves."""
    site.api.apply(site.projection(name, topic, **spec))
    status = site.until(name, lambda one: "candidate" in one, "a build")
    deployment = f"{name}-b{status['candidate']['build']}"
    site.work(deployment)
    site.until_condition(name, "Ready", "True", "Serving")
    return deployment


def stop(site: Site) -> None:
    """Stop the worker that was started last."""
    site.workers[-1].terminate()
    site.workers[-1].wait(20)


def test_two_topics_in_one_table(site: Site) -> None:
    first, second = site.topic(1), site.topic(2)
    site.send(first, {"id": "a"}, {"id": "b"})
    site.send(second, {"id": "a"}, partition=1)
    source = {"kafka": {"bootstrapServers": [site.kafka], "topics": [first, second]}}
    go_live(site, "two", first, **COUNTING, source=source)
    site.send(second, {"id": "b"}, {"id": "c"})
    site.until("two", lambda status: status.get("lag", {}).get("events") == 0, "caught up")
    wait.until("all are counted", lambda: counts(site, "two"), lambda seen: sum(seen.values()) == 5, 20)
    assert counts(site, "two") == {"a": 2, "b": 2, "c": 1}
    assert site.status("two")["parked"] == {"keys": 0}


def test_a_missing_one_of_two_topics_is_named_by_its_place(site: Site) -> None:
    there = site.topic(1)
    source = {"kafka": {"bootstrapServers": [site.kafka], "topics": [there, "no-such-topic"]}}
    site.api.apply(site.projection("missing-one", there, source=source))
    stalled = site.until_condition("missing-one", "Stalled", "True", "TopicMissing")
    assert stalled["message"].startswith("spec.source.kafka.topics[1]: topic 'no-such-topic' does not exist on")


def test_where_order_does_not_matter_a_topic_may_grow(site: Site) -> None:
    topic = site.topic(1)
    site.send(topic, {"id": "a"})
    go_live(site, "growing", topic, **COUNTING)
    client = admin(site)
    client.create_partitions([NewPartitions(topic, 2)])[topic].result(30)
    site.send(topic, {"id": "a"}, {"id": "b"}, partition=1)

    wait.until("the added one is read", lambda: counts(site, "growing"), lambda seen: seen == {"a": 2, "b": 1}, 60)
    assert site.condition("growing", "Stalled")["status"] == "False"
    site.until("growing", lambda status: status.get("lag", {}).get("events") == 0, "caught up")


def test_retention_that_overtakes_a_position_is_a_stop_and_never_lag_zero(site: Site) -> None:
    topic = site.topic(1)
    site.send(topic, {"id": "a", "name": "x"})
    go_live(site, "overtaken", topic)
    site.until("overtaken", lambda status: status.get("lag", {}).get("events") == 0, "caught up")
    stop(site)
    site.send(topic, *({"id": f"o{number}", "name": "x"} for number in range(9)))
    place = TopicPartition(topic, 0, 10)
    client = admin(site)
    client.delete_records([place])[place].result(30)
    stalled = site.until_condition("overtaken", "Stalled", "True", "SourceChanged", timeout=60)
    assert "starts at offset 10, after the position 1 of the read model" in stalled["message"]
    assert "lag" not in site.status("overtaken")
    assert site.condition("overtaken", "Ready")["status"] == "True"


def test_another_role_in_the_workers_secret_takes_over(new_site: Callable[[], Site]) -> None:
    site = new_site()
    site.operator()
    topic = site.topic(1)
    site.send(topic, {"id": "a"})
    deployment = go_live(site, "roles", topic, **COUNTING)
    stop(site)
    site.worker = site.database.role("successor")
    site.secret("read-db", site.database.uri(site.worker))

    def owners() -> list[tuple[Any, ...]]:
        return site.database.run("SELECT DISTINCT worker_role::text FROM projections.checkpoint")

    wait.until("the build is the other role's", owners, lambda seen: seen == [(site.worker,)], 60)
    site.send(topic, {"id": "b"})
    site.work(deployment)
    wait.until("it writes", lambda: counts(site, "roles"), lambda seen: seen == {"a": 1, "b": 1}, 40)
