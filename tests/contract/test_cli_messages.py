"""What a user reads who did something wrong, and that mending it is enough."""

import socket
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from sandbox import Sandbox
from tests.support import wait
from tests.support.kafka import KafkaBench
from tests.support.postgres import Database
from tests.support.projector import Start, example, projector

NOBODY = "127.0.0.1:1"


@pytest.fixture
def orders() -> Iterator[KafkaBench]:
    sandbox = Sandbox()
    sandbox.up("kafka")
    made = KafkaBench(sandbox.endpoints.kafka, partitions=1)
    yield made
    made.close()


def refused(*arguments: str, **environment: str) -> str:
    """The one line on standard error; nothing on it is a traceback."""
    return ended(2, arguments, environment)


def ended(code: int, arguments: Sequence[str], environment: Mapping[str, str]) -> str:
    done = projector(*arguments, environment=environment)
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr + done.stdout
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr.strip()


def test_the_version_is_told() -> None:
    done = projector("--version")
    assert done.stdout.startswith("projector, version ")


def test_lint_names_every_problem(tmp_path: Path) -> None:
    rules = [{"events": ["E"], "key": {"order_id": "event.id"}, "set": {"statsu": "1 +", "placed_at": "true"}}]
    done = projector("lint", "-f", str(example(tmp_path, "orders", {"rules": rules})))
    assert done.returncode == 1
    assert done.stderr == ""
    assert "spec.rules[0].set.statsu: " in done.stdout
    good = projector("lint", "-f", str(example(tmp_path, "orders")))
    assert (good.returncode, good.stdout[:32]) == (0, "order-summaries: version 1 is fi")


def test_the_tests_of_a_projection_run_without_kafka_or_a_database(tmp_path: Path) -> None:
    good = projector("test", "-f", str(example(tmp_path, "orders")))
    assert (good.returncode, good.stderr) == (0, "")
    given = [{"type": "OrderPlaced", "value": {"order_id": "o-1", "customer": "Ada"}}]
    tests = [{"given": given, "then": [{"order_id": "o-1", "customer": "Grace"}]}]
    bad = projector("test", "-f", str(example(tmp_path, "orders", {"tests": tests})))
    assert bad.returncode == 1
    assert '         customer: expected "Grace", got "Ada"' in bad.stdout.splitlines()


def test_run_refuses_an_invalid_spec_and_a_missing_file(tmp_path: Path) -> None:
    file = example(tmp_path, "orders", {"versoin": "2"})
    assert "spec.versoin" in refused("run", "-f", str(file), "--target-uri", "postgresql://nobody@127.0.0.1:1/none")
    assert "cannot be read" in refused("run", "-f", str(tmp_path / "none.yaml"))


def test_run_refuses_without_a_target(tmp_path: Path) -> None:
    text = refused("run", "-f", str(example(tmp_path, "orders")))
    assert text == "no target: give --target-uri or set PROJECTOR_TARGET_URI"


def test_run_refuses_a_wrong_password_and_hides_it(tmp_path: Path, database: Database) -> None:
    file = example(tmp_path, "orders")
    role = database.role("reader")
    text = refused("run", "-f", str(file), PROJECTOR_TARGET_URI=database.uri(role, password="s3cret"))  # noqa: S106 - wrong on purpose
    assert text.startswith("target: 127.0.0.1:")
    assert "password authentication failed for user" in text
    assert "s3cret" not in text


def test_run_refuses_a_uri_that_is_none(tmp_path: Path) -> None:
    text = refused("run", "-f", str(example(tmp_path, "orders")), "--target-uri", "s3cret@@:::")
    assert "it must look like postgresql://user:password@host:5432/database" in text
    assert "s3cret" not in text


def test_run_waits_for_kafka_and_then_for_the_topic(
    tmp_path: Path, start: Start, database: Database, orders: KafkaBench
) -> None:
    file = example(tmp_path, f"{orders.topic}-later")
    unreachable = start(["run", "-f", str(file), "--bootstrap-servers", NOBODY], PROJECTOR_TARGET_URI=database.uri())
    unreachable.until("projection unavailable, trying again", f"Kafka at {NOBODY}: no answer within the time limit")
    assert unreachable.stop() == 0
    (tmp_path / "out.log").unlink()
    arguments = ["run", "-f", str(file), "--bootstrap-servers", orders.servers]
    missing = start(arguments, PROJECTOR_TARGET_URI=database.uri())
    missing.until("projection unavailable, trying again", f"topic '{orders.topic}-later' does not exist")
    later = KafkaBench(orders.servers, 1, topic=f"{orders.topic}-later")
    missing.until("published")
    assert missing.stop() == 0
    later.close()


def test_run_refuses_a_changed_definition_under_the_same_version(
    tmp_path: Path, start: Start, database: Database, orders: KafkaBench
) -> None:
    def run(change: dict[str, Any] | None = None) -> list[str]:
        file = example(tmp_path, orders.topic, change)
        return ["run", "-f", str(file), "--bootstrap-servers", orders.servers, "--target-uri", database.uri()]

    running = start(run())
    running.until("published")
    assert running.stop() == 0
    rules = [{"events": ["E"], "key": {"order_id": "event.id"}, "set": {"status": "'x'"}}]
    text = refused(*run({"rules": rules}))
    assert text.startswith("spec.version: the definition changed, but version '1' is build 1 with another definition")
    text = refused(*run({"rules": rules, "version": "2"}))
    assert text.startswith("spec.version: version '1' is live in order-summaries")


def test_work_names_what_its_environment_lacks() -> None:
    done = projector("work", "--build", "1", "--epoch", "1", environment={"PROJECTOR_HTTP_PORT": "many"})
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "PROJECTOR_KAFKA_BOOTSTRAP_SERVERS is not set; it must name the Kafka brokers as host:port,host:port",
        "PROJECTOR_TARGET_URI_FILE: there is no file /etc/projector/target/uri; does the Secret have the key?",
        "PROJECTOR_HTTP_PORT is 'many', which is no port number",
    ]
    assert "--epoch" in projector("work", "--build", "1").stderr


def test_work_ends_with_3_when_its_build_was_given_up(
    tmp_path: Path, start: Start, database: Database, orders: KafkaBench
) -> None:
    running = start(
        ["run", "-f", str(example(tmp_path, orders.topic)), "--bootstrap-servers", orders.servers],
        PROJECTOR_TARGET_URI=database.uri(),
    )
    running.until("published")
    assert running.stop() == 0
    uri = tmp_path / "uri"
    uri.write_text(database.uri(), encoding="utf-8")
    environment = {
        "PROJECTOR_KAFKA_BOOTSTRAP_SERVERS": orders.servers,
        "PROJECTOR_TARGET_URI_FILE": str(uri),
        "PROJECTOR_HTTP_PORT": "0",
    }
    text = ended(3, ["work", "--build", "1", "--epoch", "9"], environment)
    assert text == "build 1 is at epoch 1; this worker was started for epoch 9"
    text = ended(2, ["work", "--build", "77", "--epoch", "1"], environment)
    assert text == "target: the registry in this database has no build 77"
    (tmp_path / "out.log").unlink()
    worker = start(["work", "--build", "1", "--epoch", "1"], **environment)
    worker.until("partitions assigned")
    database.run("UPDATE projections.checkpoint SET epoch = 2")
    database.run("UPDATE projections.build SET epoch = 2")
    orders.produce(0, [b'{"order_id": "o-1", "customer": "Ada"}'], headers=[("ce_type", b"OrderPlaced")])
    assert worker.wait() == 3
    assert worker.errors() == "build 1 was given up: it has no checkpoints of epoch 1\n"


def test_work_waits_for_its_target_and_serves_the_reason(tmp_path: Path, start: Start) -> None:
    uri = tmp_path / "uri"
    uri.write_text("postgresql://worker:s3cret@127.0.0.1:1/app", encoding="utf-8")
    port = _free_port()
    environment = {"PROJECTOR_KAFKA_BOOTSTRAP_SERVERS": NOBODY, "PROJECTOR_TARGET_URI_FILE": str(uri)}
    worker = start(["work", "--build", "1", "--epoch", "1"], PROJECTOR_HTTP_PORT=str(port), **environment)
    worker.until("target unavailable, trying again", "127.0.0.1:1/app: connection refused")
    answer = wait.until("not ready", lambda: _get(port, "/readyz"), lambda text: "503" in text, 10)
    assert "target unavailable: 127.0.0.1:1/app: connection refused" in answer
    assert "200 OK" in _get(port, "/healthz")
    assert 'projector_build_info{version="' in _get(port, "/metrics")
    taken = refused("work", "--build", "1", "--epoch", "1", PROJECTOR_HTTP_PORT=str(port), **environment)
    assert taken.startswith(f"port {port} for probes and metrics cannot be used: ")
    assert worker.stop() == 0
    assert "s3cret" not in worker.errors() + str(worker.lines())


def test_discard_says_what_is_missing(database: Database) -> None:
    place = ("discard", "--partition", "orders/0", "--offset", "7")
    uri = database.uri()
    assert refused(*place, "--reason", "x", PROJECTOR_TARGET_URI=uri) == "give the Projection by -f FILE or by --name"
    assert "--reason is empty" in refused(*place, "--name", "n", "--reason", " ", PROJECTOR_TARGET_URI=uri)
    text = refused(*place, "--name", "n", "--reason", "x", PROJECTOR_TARGET_URI=uri)
    assert text.startswith("the target knows no projection default/n of installation standalone")


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _get(port: int, path: str) -> str:
    with socket.create_connection(("127.0.0.1", port), 5) as connection:
        connection.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        return b"".join(iter(lambda: connection.recv(65_536), b"")).decode()
