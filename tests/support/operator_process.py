"""The operator as a real process, with the rights that the chart gives it and no more."""

import json
import os
import re
import secrets
import shlex
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import psycopg
import yaml
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient

from examples.shop.generator import create_topic
from projector.stores.postgres import PostgresRegistry
from sandbox import Sandbox
from tests.support import wait
from tests.support.api_server import Api, Json, free_port
from tests.support.postgres import Database
from tests.support.specs import spec_data

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "helm" / "projection-operator"
OK = 200
IMAGE = "projector:of-the-test"
RIGHTS = ("ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding")
QUICK_LEASE = {"LEASE_DURATION": "3", "LEASE_RENEW_DEADLINE": "2", "LEASE_RETRY": "0.4"}


@dataclass
class Operator:
    """A process of `projection-operator run`."""

    process: subprocess.Popen[bytes]
    log: Path
    port: int

    def text(self) -> str:
        """All that it logged."""
        return self.log.read_text()

    def lines(self, event: str) -> list[Json]:
        """Log lines of an event."""
        found = [json.loads(line) for line in self.text().splitlines() if line.startswith("{")]
        return [line for line in found if line.get("event") == event]

    def http(self, path: str) -> tuple[int, str]:
        """Status and body of a probe."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def waits(self) -> bool:
        """Whether it runs."""
        try:
            return self.http("/healthz")[0] == OK
        except urllib.error.URLError:
            return False

    def leads(self) -> bool:
        """Whether it said so."""
        return bool(self.lines("leading"))

    def stop(self, by: signal.Signals = signal.SIGTERM, timeout: float = 20) -> int:
        """Send a signal; the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(by)
        return self.process.wait(timeout)


@dataclass
class Site:
    """A namespace with everything that a Projection needs, and the rights for an operator of that namespace."""

    api: Api
    sandbox: Sandbox
    folder: Path
    namespace: str = field(default_factory=lambda: f"t-{secrets.token_hex(4)}")
    topics: list[str] = field(default_factory=list)
    operators: list[Operator] = field(default_factory=list)
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.database = Database(self.sandbox.endpoints.postgres_uri)

    @property
    def kafka(self) -> str:
        """Brokers."""
        return self.sandbox.endpoints.kafka

    def open(self) -> None:
        """Create everything but Projections."""
        self.database.create()
        self.admin, self.worker = self.database.role("admin"), self.database.role("worker")
        self.database.run(f'GRANT ALL ON DATABASE {self.database.name} TO "{self.admin}"')
        self.database.run(f'GRANT ALL ON SCHEMA public TO "{self.admin}"')
        # A swap waits for old snapshots, and the operator has to see them.
        self.database.run(f'GRANT pg_read_all_stats TO "{self.admin}"')
        self.api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace}})
        self.secret("read-db", self.database.uri(self.worker))
        self.secret("read-db-admin", self.database.uri(self.admin))
        self._rights()

    def close(self) -> None:
        """Stop processes and remove what is outside the API."""
        for operator in self.operators:
            operator.stop(signal.SIGKILL)
        for worker in self.workers:
            worker.kill()
            worker.wait()
        self.database.drop()
        if self.topics:
            admin = AdminClient({"bootstrap.servers": self.kafka})
            for future in admin.delete_topics(self.topics).values():
                future.exception(timeout=30)

    def _rights(self) -> None:
        options = (f"--namespace={self.namespace}", f"--set=watchNamespaces={{{self.namespace}}}")
        text = self.api.helm("template", self.namespace, str(CHART), *options)
        found = [one for one in yaml.safe_load_all(text) if one and one["kind"] in RIGHTS]
        self.api.apply(*found)
        self.account = next(one["metadata"]["name"] for one in found if one["kind"] == "ServiceAccount")
        deployment = next(one for one in yaml.safe_load_all(text) if one and one["kind"] == "Deployment")
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        self.environment = {one["name"]: one["value"] for one in container["env"] if "value" in one}

    def _kubeconfig(self) -> Path:
        token = self.api.kubectl("create", "token", self.account, f"--namespace={self.namespace}", "--duration=1h")
        config = json.loads(self.api.kubeconfig.read_text())
        config["users"][0]["user"] = {"token": token.strip()}
        path = self.folder / f"{self.namespace}.kubeconfig"
        path.write_text(json.dumps(config))
        return path

    def operator(self, settings: Mapping[str, str] | None = None, wait_until_it_leads: bool = True) -> Operator:
        """Start one."""
        port, log = free_port(), self.folder / f"{self.namespace}-operator-{len(self.operators)}.log"
        own = {
            "PROJECTOR_IMAGE": IMAGE,
            "NAMESPACE": self.namespace,
            "POD_NAME": f"operator-{len(self.operators)}",
            "HTTP_PORT": str(port),
            **(settings or {}),
        }
        env = {
            **os.environ,
            **self.environment,
            **{f"PROJECTION_OPERATOR_{name}": value for name, value in own.items()},
        }
        env |= {"KUBECONFIG": str(self._kubeconfig()), "PYTHONPATH": f"{ROOT / 'operator'}:{ROOT / 'projector'}"}
        command = [sys.executable, "-c", "from projection_operator.cli import main; main()", "run"]
        with log.open("wb") as output:
            process = subprocess.Popen(command, env=env, stdout=output, stderr=output)
        started = Operator(process, log, port)
        self.operators.append(started)
        if wait_until_it_leads:
            wait.true("the operator leads", started.leads, 30)
        return started

    def secret(self, name: str, uri: str, key: str = "uri") -> None:
        """Create or replace a Secret that holds a URI."""
        body = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name, "namespace": self.namespace},
            "stringData": {key: uri},
        }
        self.api.kubectl("replace", "--force", "--filename=-", stdin=yaml.safe_dump(body))

    def topic(self, partitions: int = 2) -> str:
        """A topic of the test's own."""
        name = f"{self.namespace}-{len(self.topics)}"
        create_topic(self.kafka, name, partitions)
        self.topics.append(name)
        return name

    def send(self, topic: str, *values: bytes | Mapping[str, Any], partition: int = 0) -> None:
        """Write events of type E."""
        producer = Producer({"bootstrap.servers": self.kafka})
        for value in values:
            encoded = value if isinstance(value, bytes) else json.dumps(value).encode()
            producer.produce(topic, encoded, key=b"k", headers=[("ce_type", b"E")], partition=partition)
        producer.flush(30)

    def projection(self, name: str, topic: str, table: str | None = None, **spec: Any) -> Json:
        """A Projection's manifest."""
        base = deepcopy(spec_data())
        base["source"]["kafka"] |= {"bootstrapServers": [self.kafka], "topics": [topic]}
        base["target"]["postgresql"] |= {
            "connectionSecretRef": {"name": "read-db"},
            "adminSecretRef": {"name": "read-db-admin"},
            "table": table or name.replace("-", "_"),
        }
        return {
            "apiVersion": "projections.dev/v1alpha1",
            "kind": "Projection",
            "metadata": {"name": name, "namespace": self.namespace},
            "spec": {**base, **spec},
        }

    def status(self, name: str) -> Json:
        """Its status; empty while there is none."""
        found: Json = self.api.get("projection", name, self.namespace).get("status", {})
        return found

    def condition(self, name: str, kind: str) -> Json:
        """One condition; empty while there is none."""
        return next((one for one in self.status(name).get("conditions", []) if one["type"] == kind), {})

    def until(self, name: str, good: Callable[[Json], bool], what: str, timeout: float = 40) -> Json:
        """Wait for a status."""
        return wait.until(f"{name}: {what}", lambda: self.status(name), good, timeout)

    def until_condition(self, name: str, kind: str, status: str, reason: str, timeout: float = 40) -> Json:
        """Wait for a condition."""

        def good(one: Json) -> bool:
            return (one.get("status"), one.get("reason")) == (status, reason)

        what = f"{name}: {kind}={status} {reason}"
        return wait.until(what, lambda: self.condition(name, kind), good, timeout)

    def until_phase(self, name: str, phase: str, timeout: float = 40) -> Json:
        """Wait for a phase."""
        return self.until(name, lambda status: status.get("phase") == phase, phase, timeout)

    def events(self, name: str) -> list[Json]:
        """Events about it, oldest first."""
        text = self.api.kubectl("get", "events", f"--namespace={self.namespace}", "--output=json")
        about = [one for one in json.loads(text)["items"] if one["involvedObject"]["name"] == name]
        # Their times are in whole seconds.
        return sorted(about, key=lambda one: int(one["metadata"]["resourceVersion"]))

    def work(self, deployment: str) -> subprocess.Popen[bytes]:
        """Start a worker as the Deployment says, in a process instead of a pod."""
        wait.true(f"Deployment {deployment}", lambda: self.api.exists("deployment", deployment, self.namespace), 40)
        body = self.api.get("deployment", deployment, self.namespace)
        (container,) = body["spec"]["template"]["spec"]["containers"]
        uri = self.folder / f"{self.namespace}-uri"
        uri.write_text(self.database.uri(self.worker))
        env = {**os.environ, "PYTHONPATH": str(ROOT / "projector")}
        env |= {one["name"]: one["value"] for one in container["env"]}
        env |= {"PROJECTOR_TARGET_URI_FILE": str(uri), "PROJECTOR_HTTP_PORT": str(free_port())}
        command = [sys.executable, "-c", "from projector.cli import main; main()", *container["args"]]
        with (self.folder / f"{deployment}.log").open("ab") as output:
            self.workers.append(subprocess.Popen(command, env=env, stdout=output, stderr=output))
        return self.workers[-1]

    def pods(self, deployment: str, ready: int, total: int) -> None:
        """Say, as the Deployment's controller would, how many pods there are."""
        available = {
            "type": "Available",
            "status": "True" if ready else "False",
            "reason": "Test",
            "message": "",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
            "lastUpdateTime": "2026-01-01T00:00:00Z",
        }
        status = {"replicas": total, "readyReplicas": ready, "conditions": [available]}
        patch = json.dumps({"status": status})
        options = (f"--namespace={self.namespace}", "--subresource=status", "--type=merge", f"--patch={patch}")
        self.api.kubectl("patch", "deployment", deployment, *options)

    @cached_property
    def installation(self) -> str:
        """The cluster's id."""
        found: str = json.loads(self.api.kubectl("get", "namespace", "kube-system", "--output=json"))["metadata"]["uid"]
        return found

    @property
    def lease(self) -> str:
        """Name of the operators' Lease."""
        return str(self.environment["PROJECTION_OPERATOR_LEASE_NAME"])

    def discard(self, message: str) -> None:
        """Do what a message of the condition Degraded tells."""
        found = re.search(r"projector (discard .*) --reason <why>", message)
        assert found is not None, message
        words = [*shlex.split(found[1]), "--reason", "a test made it", "--target-uri", self.database.uri(self.admin)]
        command = [sys.executable, "-c", "from projector.cli import main; main()", *words]
        env = {**os.environ, "PYTHONPATH": str(ROOT / "projector")}
        subprocess.run(command, env=env, check=True, capture_output=True)

    def create_again(self, topic: str) -> None:
        """Delete a topic and create it anew, with events in it."""
        admin = AdminClient({"bootstrap.servers": self.kafka})
        admin.delete_topics([topic])[topic].result(timeout=30)
        wait.true("a new topic", lambda: create_topic(self.kafka, topic, 1), 30)
        self.send(topic, *({"id": f"n{number}", "name": "a"} for number in range(50)))

    def claim_registry(self, installation: str) -> str:
        """Let another installation own the registry."""
        registry = PostgresRegistry(self.database.uri(self.admin), installation)
        registry.take_leadership("an operator elsewhere")
        registry.close()
        return installation

    def epoch(self) -> int:
        """Of the registry's operator."""
        with psycopg.connect(self.database.uri()) as connection:
            row = connection.execute("SELECT epoch FROM projections.operator").fetchone()
        assert row is not None
        return int(row[0])
