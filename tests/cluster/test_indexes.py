"""Secondary indexes with the operator as a real process, workers run by hand."""

import signal
from hashlib import sha256
from typing import Any

import psycopg
from psycopg import sql

from tests.cluster.test_life import begun, go_live
from tests.support.operator_process import Site


def with_indexes(site: Site, name: str, topic: str, *columns: str, **spec: Any) -> dict[str, Any]:
    """A Projection with an index of each of these columns."""
    made = site.projection(name, topic, **spec)
    made["spec"]["target"]["postgresql"]["indexes"] = [{"columns": [column]} for column in columns]
    return made


def states(status: dict[str, Any]) -> dict[str, str]:
    return {",".join(one["columns"]): one["state"] for one in status.get("indexes") or ()}


def reasons(site: Site, name: str) -> list[str]:
    return [event["reason"] for event in site.events(name)]


def test_indexes_come_with_a_version_and_change_in_place(site: Site) -> None:
    topic = site.topic()
    site.send(topic, *({"id": f"o{n}", "name": "a"} for n in range(50)))
    target = with_indexes(site, "indexed", topic, "name")["spec"]["target"]
    go_live(site, "indexed", topic, target=target)
    build = begun(site, "indexed")
    assert states(site.status("indexed")) == {"name": "Valid"}
    assert reasons(site, "indexed")[:2] == ["BuildBegun", "IndexBuilt"]
    site.api.apply(with_indexes(site, "indexed", topic, "day", "total"))
    site.until("indexed", lambda one: states(one) == {"day": "Valid", "total": "Valid"}, "the other indexes")
    assert begun(site, "indexed") == build
    site.until_condition("indexed", "Reconciling", "False", "Serving")
    assert {"IndexBuilt", "IndexDropped"} < set(reasons(site, "indexed"))


def test_an_index_that_is_being_made_outlives_its_operator(site: Site) -> None:
    topic = site.topic()
    site.send(topic, {"id": "o1", "name": "a"})
    go_live(site, "outlived", topic)
    table = sql.Identifier(f"outlived__b{begun(site, 'outlived')}")
    with psycopg.connect(site.database.uri()) as writer:
        writer.execute(sql.SQL("INSERT INTO {} (id) VALUES ('writing')").format(table))
        site.api.apply(with_indexes(site, "outlived", topic, "name"))
        site.until("outlived", lambda one: states(one) == {"name": "Building"}, "an index is being made")
        reconciling = site.condition("outlived", "Reconciling")
        assert (reconciling["status"], reconciling["reason"]) == ("True", "Indexing")
        assert site.condition("outlived", "Ready")["status"] == "True"
        # Other projections go on while it waits.
        go_live(site, "meanwhile", topic)
        site.operators[-1].stop(signal.SIGKILL)
        site.operator()
        writer.rollback()
    site.until("outlived", lambda one: states(one) == {"name": "Valid"}, "the index is there")
    site.until_condition("outlived", "Reconciling", "False", "Serving")


def test_an_index_that_cannot_be_made_is_told_in_the_servers_words(site: Site) -> None:
    topic = site.topic()
    site.send(topic, {"id": "o1", "name": "".join(sha256(b"%d" % n).hexdigest() for n in range(500))})
    site.api.apply(with_indexes(site, "refused", topic, "name"))
    site.work(f"refused-b{begun(site, 'refused')}")
    site.until_condition("refused", "Stalled", "True", "IndexFailed")
    message = site.condition("refused", "Stalled")["message"]
    assert "index (name) of version 1" in message
    assert "index row" in message
    site.api.apply(with_indexes(site, "refused", topic, "day"))
    site.until_condition("refused", "Ready", "True", "Serving")
