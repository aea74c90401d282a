"""Avro and Protobuf events by whole workers on real servers, with a stand-in for the schema registry."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.message_factory import GetMessageClass

from tests.support import wait
from tests.support.crew import ORDERS
from tests.support.schema_registry import SchemaRegistryServer
from tests.support.workers import Build, Member, Site, ids

F = descriptor_pb2.FieldDescriptorProto
AVRO = {
    "type": "record",
    "name": "Order",
    "fields": [{"name": "id", "type": "string"}, {"name": "n", "type": ["long", "string"]}],
}
WIDER = {**AVRO, "fields": [*AVRO["fields"], {"name": "more", "type": "string", "default": "x"}]}
GARBAGE = b"\x00\x00\x00\x00\x01\xff"
"""Written with schema 1, it says, and is not."""


@pytest.fixture
def server() -> Iterator[SchemaRegistryServer]:
    with SchemaRegistryServer() as running:
        yield running


def protobuf(server: SchemaRegistryServer, *more: str) -> Callable[[Any], bytes]:
    """Register a message; what makes values of it."""
    name = f"order{len(more)}.proto"
    file = descriptor_pb2.FileDescriptorProto(name=name, package="shop", syntax="proto3")
    message = file.message_type.add(name="Order")
    for number, (field, kind) in enumerate(
        [("id", F.TYPE_STRING), ("n", F.TYPE_INT64), *[(field, F.TYPE_STRING) for field in more]]
    ):
        message.field.add(name=field, number=number + 1, type=kind, label=F.LABEL_OPTIONAL)
    made = descriptor_pool.DescriptorPool().AddSerializedFile(file.SerializeToString())
    write = server.protobuf("orders-value", made)
    return lambda event: write(GetMessageClass(made.message_types_by_name["Order"])(**event))


def begun(site: Site, form: str) -> Build:
    """A build of a new topic with two partitions."""
    return site.begin(ORDERS.model_copy(update={"format": form}), site.topic(2))


def waits(member: Member, why: str) -> None:
    """It says that it waits for the registry."""
    wait.true(f"it says {why}", lambda: why in str(member.health.reason), 20, 0.02)


@pytest.mark.parametrize("form", ["Avro", "Protobuf"])
def test_events_of_several_schemas_are_one_table(site: Site, server: SchemaRegistryServer, form: str) -> None:
    older = server.avro("v", AVRO) if form == "Avro" else protobuf(server)
    newer = server.avro("v", WIDER) if form == "Avro" else protobuf(server, "more")
    build = begun(site, form)
    topic = site.benches[0]
    for turn in range(6):
        site.encode = older if turn % 2 == 0 else newer
        more = {} if turn % 2 == 0 else {"more": f"{turn}"}
        for number in range(2):
            site.send(topic, number, "Added", *[{"id": f"{number}-{n % 3}", "n": n, **more} for n in range(20)])
    site.send(topic, 0, None, None, key=b"0-2")
    member = build.work(registry_url=server.url)
    build.passed()
    assert len(build.check().rows) == 5
    assert len(server.paths) == 2, "each schema is asked for once"
    member.stop()


@pytest.mark.parametrize("form", ["Avro", "Protobuf"])
def test_values_that_cannot_be_read_are_bad_data_of_their_key(
    site: Site, server: SchemaRegistryServer, form: str
) -> None:
    site.encode = server.avro("v", AVRO) if form == "Avro" else protobuf(server)
    build = begun(site, form)
    topic = site.benches[0]
    site.send(topic, 0, "Added", *ids("a", "b"))
    site.send(topic, 0, "Tagged", GARBAGE, b"no schema at all", key=b"a")
    site.send(topic, 0, "Added", *ids("a", "b"))
    member = build.work(registry_url=server.url)
    build.passed()
    moment = build.check()
    assert (moment.parked, moment.rows["b",]["count"]) == ({("a",): [2, 3, 4]}, 2)
    site.send(topic, 1, "Added", GARBAGE)  # whose key is in the value
    told = wait.until("it stands", lambda: build.stuck(topic, 1), lambda stuck: stuck is not None, 20, 0.05)
    assert told is not None
    assert told[0] == 0
    member.stop()


@pytest.mark.parametrize("form", ["Avro", "Protobuf"])
def test_parked_events_are_replayed_by_their_schemas(
    site: Site, server: SchemaRegistryServer, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.encode = server.avro("v", AVRO) if form == "Avro" else protobuf(server)
    build = begun(site, form)
    topic = site.benches[0]
    site.send(topic, 0, "Tagged", GARBAGE, key=b"a")
    site.send(topic, 0, "Added", *ids("a", "b", "a"))
    member = build.work(registry_url=server.url)
    build.passed()
    assert build.check().parked == {("a",): [0, 1, 3]}
    build.discard(topic, '["a"]', [0])
    assert "set PROJECTOR_SCHEMA_REGISTRY_URL" in build.parked("replay", "--key", '["a"]', code=2)
    monkeypatch.setenv("PROJECTOR_SCHEMA_REGISTRY_URL", "http://127.0.0.1:1")
    assert "schema registry at http://127.0.0.1:1: " in build.parked("replay", "--key", '["a"]', code=2)
    monkeypatch.setenv("PROJECTOR_SCHEMA_REGISTRY_URL", server.url)
    build.parked("replay", "--key", '["a"]')
    site.send(topic, 0, "Added", *ids("a"))
    build.passed()
    moment = build.check()
    assert (moment.parked, moment.rows["a",]["count"]) == ({}, 3)
    member.stop()


@pytest.mark.parametrize("form", ["Avro", "Protobuf"])
def test_a_registry_that_is_away_is_waited_for(site: Site, form: str) -> None:
    build = begun(site, form)
    topic = site.benches[0]
    with SchemaRegistryServer() as server:
        site.encode = server.avro("v", AVRO) if form == "Avro" else protobuf(server)
        server.failing = 503
        site.send(topic, 0, "Added", *ids("a", "b"))
        site.send(topic, 1, "Added", *ids("c"))
        member = build.work(registry_url=server.url)
        waits(member, "503 out of order")
        asked = len(server.paths)
        wait.true("it tries again", lambda: len(server.paths) >= asked + 3, 20, 0.02)
        moment = build.check()
        assert (moment.rows, moment.parked, set(moment.checkpoints.values())) == ({}, {}, {0})
        assert (build.stuck(topic), build.stuck(topic, 1)) == (None, None)
        server.failing = 0
        build.passed()
        assert len(build.check().rows) == 3
    # Nobody listens now. Known schemas are not asked for.
    site.send(topic, 0, "Added", *ids("a"))
    build.passed()
    assert build.check().rows["a",]["count"] == 2
    assert member.health.reason is None
    member.stop()


def test_a_schema_that_the_registry_learns_of_late_is_no_bad_data(site: Site, server: SchemaRegistryServer) -> None:
    older = server.avro("v", AVRO)
    build = begun(site, "Avro")
    topic = site.benches[0]
    with SchemaRegistryServer() as leader:
        leader.avro("v", AVRO)
        newer = leader.avro("v", WIDER)
    site.encode = older
    site.send(topic, 0, "Added", *ids("a", "b"))
    member = build.work(registry_url=server.url)
    build.passed()
    site.encode = newer
    site.send(topic, 0, "Added", {"id": "a", "n": 1, "more": "m"})
    waits(member, "schema 2 is not known yet")
    assert build.check().checkpoints[topic.topic, 0] == 2
    server.register("v", json.dumps(WIDER))
    build.passed()
    moment = build.check()
    assert (moment.parked, moment.rows["a",]["count"]) == ({}, 2)
    member.stop()
