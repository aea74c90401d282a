"""How schemas are asked for over HTTP, and what is the registry's fault, not the data's."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from projector.formats.errors import SchemaRegistryUnavailable, Undecodable
from projector.formats.registry import Schema, SchemaRegistry
from projector.ports import SourceUnavailable
from tests.support.schema_registry import SchemaRegistryServer

INT = '"int"'


class Clock:
    """Time that passes when told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def server() -> Iterator[SchemaRegistryServer]:
    with SchemaRegistryServer() as running:
        yield running


def test_a_schema_by_its_id(server: SchemaRegistryServer) -> None:
    number = server.register("a-value", INT)
    assert SchemaRegistry(f"{server.url}/").schema(number) == Schema("AVRO", INT)
    assert server.paths == [f"/schemas/ids/{number}"]


def test_references_are_followed(server: SchemaRegistryServer) -> None:
    server.register("base/ü", "1", "PROTOBUF")
    server.register("base/ü", "2", "PROTOBUF")
    server.register("line", "3", "PROTOBUF", [("base.proto", "base/ü", 2)])
    number = server.register("order", "4", "PROTOBUF", [("line.proto", "line", 1), ("base.proto", "base/ü", 1)])
    base_1, base_2 = Schema("PROTOBUF", "1"), Schema("PROTOBUF", "2")
    line = Schema("PROTOBUF", "3", (("base.proto", base_2),))
    order = Schema("PROTOBUF", "4", (("line.proto", line), ("base.proto", base_1)))
    assert SchemaRegistry(server.url).schema(number, serialized=True) == order
    assert "/subjects/base%2F%C3%BC/versions/2?format=serialized" in server.paths


def test_a_reference_that_is_gone(server: SchemaRegistryServer) -> None:
    clock, number = Clock(), server.register("order", INT, references=[("shop.Line", "line", 1)])
    registry = SchemaRegistry(server.url, clock=clock)
    with pytest.raises(SchemaRegistryUnavailable):
        registry.schema(number)
    clock.now += 5
    with pytest.raises(Undecodable, match=rf"schema {number}, reference shop\.Line is not in the schema registry"):
        registry.schema(number)


def test_references_in_a_circle_end(server: SchemaRegistryServer) -> None:
    number = server.register("a", INT, references=[("A", "a", 1)])
    with pytest.raises(Undecodable, match="more than 100 deep"):
        SchemaRegistry(server.url).schema(number)


def test_an_unknown_id_is_bad_data_only_when_it_stays_unknown(server: SchemaRegistryServer) -> None:
    clock = Clock()
    registry = SchemaRegistry(server.url, clock=clock)
    with pytest.raises(SchemaRegistryUnavailable, match="schema 1 is not known yet"):
        registry.schema(1)
    clock.now += 4.9
    with pytest.raises(SchemaRegistryUnavailable):
        registry.schema(1)
    clock.now += 0.1
    with pytest.raises(Undecodable, match="schema 1 is not in the schema registry"):
        registry.schema(1)
    server.register("late", INT)
    assert registry.schema(1).text == INT


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422, 429, 500, 501, 503])
def test_any_refusal_is_an_outage(server: SchemaRegistryServer, status: int) -> None:
    number, server.failing = server.register("a", INT), status
    clock = Clock()
    registry = SchemaRegistry(server.url, clock=clock)
    for _ in range(2):
        with pytest.raises(
            SchemaRegistryUnavailable, match=rf"{server.url}: /schemas/ids/{number}: {status} out of order"
        ):
            registry.schema(number)
        clock.now += 60


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        b'"text"',
        b"null",
        b"\xff",
        b'{"schema": "1"',
        b'{"schema": "1", "references": [{}]}',
        b'{"schema": "1", "references": [{"name": "a", "subject": "b", "version": "x"}]}',
    ],
)
def test_an_answer_that_is_no_schema_is_an_outage(server: SchemaRegistryServer, answer: bytes) -> None:
    server.answer = answer
    with pytest.raises(SchemaRegistryUnavailable, match=server.url):
        SchemaRegistry(server.url).schema(1)


def test_nobody_listens() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(SchemaRegistryUnavailable, match="Connection refused"):
            SchemaRegistry(url).schema(1)


def test_a_host_that_has_no_name() -> None:
    with pytest.raises(SchemaRegistryUnavailable):
        SchemaRegistry("http://registry.invalid").schema(1)


def test_a_registry_that_never_answers() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with pytest.raises(SchemaRegistryUnavailable, match="timed out"):
            SchemaRegistry(f"http://127.0.0.1:{silent.getsockname()[1]}", timeout=0.2).schema(1)


def test_the_worker_retries_as_with_any_outage() -> None:
    assert issubclass(SchemaRegistryUnavailable, SourceUnavailable)


def test_credentials_are_read_for_every_request(tmp_path: Path) -> None:
    credentials = tmp_path / "credentials"
    with SchemaRegistryServer("reader:pass:wörd") as server:
        number = server.register("a", INT)
        registry = SchemaRegistry(server.url, credentials)
        with pytest.raises(SchemaRegistryUnavailable, match="the credentials cannot be read: No such file"):
            registry.schema(number)
        credentials.write_text("reader:old\n")
        with pytest.raises(SchemaRegistryUnavailable, match="401 Unauthorized") as refused:
            registry.schema(number)
        assert "old" not in str(refused.value)
        credentials.write_text("reader:pass:wörd\n")
        assert registry.schema(number).text == INT


@pytest.mark.parametrize("url", ["registry:8081", "ftp://registry", "file:///etc/passwd", ""])
def test_a_url_must_be_http(url: str) -> None:
    with pytest.raises(ValueError, match="begins with http"):
        SchemaRegistry(url)


@pytest.mark.parametrize("url", ["http://reader:secret@registry", "https://reader@registry:8081"])
def test_a_url_holds_no_credentials(url: str) -> None:
    with pytest.raises(ValueError, match="credentials do not belong into the URL") as refused:
        SchemaRegistry(url)
    assert "secret" not in str(refused.value)
