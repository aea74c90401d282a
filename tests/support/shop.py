"""A shop of its own for a test: topic, database, namespace, Secrets and one Projection, independent of all others."""

import json
import os
import re
import shlex
import subprocess
import sys
import urllib.request
import uuid
from collections.abc import Collection, Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import psycopg
import yaml
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from psycopg import sql

from examples.shop import generator, verify
from examples.shop.events import NO_NUMBER, events, spoiled
from tests.support import wait
from tests.support.cluster import ROOT, Cluster, CommandFailed, Json, is_ready

ORDERS = ROOT / "examples" / "shop" / "order-summaries.yaml"
SECOND = ROOT / "examples" / "shop" / "order-summaries-v2.yaml"
NAME = "order-summaries"
TABLE = "public.order_summaries"
TOO_LARGE: Json = {"qty": 1, "price_cents": 2**63 - 1}
"""An item that can be folded, and whose sum then does not fit the column."""
PASSWORDS = {"admin": "admin-demo", "worker": "worker-demo"}
"""Those of the demo, since roles belong to the whole server: the tests must not lock a running demo out."""


@dataclass(frozen=True)
class Checkpoint:
    """Where the build that is read stands on a partition."""

    partition: int
    next_offset: int


class Shop:
    """All that belongs to one test's projection."""

    def __init__(self, cluster: Cluster, example: Path = ORDERS, partitions: int = generator.PARTITIONS) -> None:
        self.cluster = cluster
        self.example: Json = yaml.safe_load(example.read_text())
        self.version = "1"
        self.name: str = self.example["metadata"]["name"]
        self.id = f"t-{uuid.uuid4().hex[:8]}"
        self.namespace = self.topic = self.id
        self.database = self.id.replace("-", "_")
        self.kafka = cluster.sandbox.endpoints.kafka
        self.discarded: set[verify.Position] = set()
        self.parked: set[verify.Position] = set()
        self.in_pod = False
        """Whether `projector` is to run in a pod: a handler is nowhere else."""
        self._partitions = partitions
        self._seed = 0

    @property
    def uri(self) -> str:
        """The test's database, as superuser from this machine."""
        return self._in_database(self.cluster.sandbox.endpoints.postgres_uri)

    def pod_uri(self, role: str, password: str | None = None) -> str:
        """The database from a pod, as `admin` or `worker`."""
        place = self._in_database(self.cluster.sandbox.endpoints.postgres_uri_pods).split("@")[1]
        return f"postgresql://read_db_{role}:{password or PASSWORDS[role]}@{place}"

    def _in_database(self, uri: str) -> str:
        return f"{uri.rsplit('/', 1)[0]}/{self.database}"

    def open(self, topic: bool = True) -> None:
        """Create everything but the Projection."""
        if topic:
            generator.create_topic(self.kafka, self.topic, self._partitions)
        with psycopg.connect(self.cluster.sandbox.endpoints.postgres_uri, autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(self.database)))
        variables = [f"--set={role}_password={password}" for role, password in PASSWORDS.items()]
        roles = ["--file", str(ROOT / "examples" / "shop" / "roles.sql")]
        subprocess.run(
            ["psql", self.uri, "--quiet", "--set=ON_ERROR_STOP=1", *variables, *roles], check=True, capture_output=True
        )
        self.cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace}})
        self.secret("read-db", self.pod_uri("worker"))
        self.secret("read-db-admin", self.pod_uri("admin"))

    def close(self) -> None:
        """Let everything in the cluster go; what lies outside goes in `forget`, when its users are gone."""
        self.cluster.kubectl("delete", "projections", "--all", "-n", self.namespace, "--timeout=60s")
        self.cluster.kubectl("delete", "namespace", self.namespace, "--wait=false")

    def forget(self) -> None:
        """Wait until the namespace is gone, then remove database and topic."""
        self.cluster.kubectl("wait", "--for=delete", f"namespace/{self.namespace}", "--timeout=90s")
        with psycopg.connect(self.cluster.sandbox.endpoints.postgres_uri, autocommit=True) as connection:
            drop = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(self.database))
            connection.execute(drop)
        admin = AdminClient({"bootstrap.servers": self.kafka, "log_level": 3})
        admin.delete_topics([self.topic])[self.topic].exception(timeout=30)

    def secret(self, name: str, uri: str, key: str = "uri") -> None:
        """Create or change a Secret that holds a URI."""
        meta = {"name": name, "namespace": self.namespace}
        self.cluster.apply({"apiVersion": "v1", "kind": "Secret", "metadata": meta, "stringData": {key: uri}})

    def delete_secret(self, name: str) -> None:
        """Remove a Secret."""
        self.cluster.kubectl("delete", "secret", name, "-n", self.namespace)

    def discard_as_told(self, message: str, position: verify.Position) -> None:
        """Do what the message of the condition says, and let the fold pass over the event as well."""
        self.projector(*_told(r"projector (discard .*) --reason <why>", message), "--reason", "a test made it")
        self.discarded.add(position)

    def parked_as_told(self, message: str) -> list[Json]:
        """What the command of the message lists."""
        listed: list[Json] = json.loads(self.projector("parked", "list", *_listing(message), "-o", "json"))
        return listed

    def let_go_as_told(self, message: str, listed: Json) -> None:
        """Discard the first event of a parked key and replay the others, and let the fold do the same."""
        key = (*_listing(message), "--key", json.dumps(listed["key"]))
        position = listed["partition"], listed["firstOffset"]
        self.projector("parked", "discard", *key, "--offset", str(position[1]), "--reason", "a test made it")
        self.parked.remove(position)
        self.discarded.add(position)
        if listed["events"] > 1:
            self.projector("parked", "replay", *key)

    def projector(self, *arguments: str) -> str:
        """Run a command as the operator's role; what it printed."""
        if self.in_pod:
            pod = wait.until("a projector is ready", self.ready_pods, bool, 60)[0]
            there = ("exec", "-n", self.namespace, pod, "--", "env")
            return self.cluster.kubectl(
                *there, f"PROJECTOR_TARGET_URI={self.pod_uri('admin')}", "projector", *arguments
            )
        command = [str(Path(sys.executable).with_name("projector")), *arguments]
        env = {**os.environ, "PROJECTOR_TARGET_URI": self.pod_uri("admin")}
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise CommandFailed(f"{' '.join(command)}: {done.stderr or done.stdout}")
        return done.stdout

    def manifest(self) -> Json:
        """The example's Projection, moved to this test's namespace, topic and database."""
        document = deepcopy(self.example)
        document["metadata"] = {"name": self.name, "namespace": self.namespace}
        kafka = document["spec"]["source"]["kafka"]
        kafka.update(topics=[self.topic], bootstrapServers=[self.cluster.sandbox.endpoints.kafka_pods])
        return document

    def apply(self, **spec: object) -> None:
        """Apply the example, with these fields of its spec replaced."""
        document = self.manifest()
        document["spec"].update(spec)
        self.cluster.apply(document)

    def projection(self) -> Json:
        """The Projection as the API server has it."""
        return self.cluster.get("projection", self.name, self.namespace)

    def change_version(self, version: str, **spec: object) -> None:
        """Apply the example's YAML of that version, as a merge in Git would; `compare` goes by it once it is live."""
        self.example = yaml.safe_load({"1": ORDERS, "2": SECOND}[version].read_text())
        self.apply(**spec)

    def wait_live(self, version: str, timeout: float = 120) -> None:
        """Until that version serves, and nothing is on its way any more."""

        def serves(status: Json) -> bool:
            return status.get("liveVersion") == version and "candidate" not in status

        wait.until(f"version {version} is live", lambda: self.projection().get("status", {}), serves, timeout)
        self.version = version

    def candidate(self) -> Json:
        """The build on its way in the status; empty while there is none."""
        found: Json = self.projection().get("status", {}).get("candidate", {})
        return found

    def build(self) -> int:
        """Number of the build that is live, or else on its way."""
        status = self.projection()["status"]
        return int(status.get("liveBuild") or status["candidate"]["build"])

    def condition(self, kind: str) -> Json:
        """A condition of the status; empty while there is none."""
        conditions = self.projection().get("status", {}).get("conditions", [])
        return next((one for one in conditions if one["type"] == kind), {})

    def wait_condition(self, kind: str, status: str, reason: str | None = None, timeout: float = 90) -> Json:
        """Until the condition is so; the condition."""

        def good(one: Json) -> bool:
            return one.get("status") == status and reason in (None, one.get("reason"))

        return wait.until(f"{kind}={status} {reason or ''}", lambda: self.condition(kind), good, timeout)

    def wait_ready(self, timeout: float = 120) -> None:
        """`kubectl wait --for=condition=Ready`, as a user would."""
        target = ("-n", self.namespace, f"projection/{self.name}", f"--timeout={timeout:.0f}s")
        self.cluster.kubectl("wait", "--for=condition=Ready", *target)

    def pods(self) -> list[Json]:
        """Projector pods that are not on their way out, ready ones first."""
        pods = [
            pod for pod in self.cluster.list_all("pods", self.namespace) if "deletionTimestamp" not in pod["metadata"]
        ]
        return sorted(pods, key=lambda pod: (not is_ready(pod), pod["metadata"]["name"]))

    def ready_pods(self) -> list[str]:
        """Names of the projector pods that are ready."""
        return [pod["metadata"]["name"] for pod in self.pods() if is_ready(pod)]

    def working_pods(self) -> list[str]:
        """Names of the ready pods that hold a partition."""
        return [pod for pod in self.ready_pods() if self._works(pod)]

    def _works(self, pod: str) -> bool:
        try:
            return any(line.startswith("projector_lag_records{") for line in self.metrics(pod))
        except OSError:  # it has just been killed, and its status does not say so yet
            return False

    def address(self, pod: str) -> str:
        """IP address of a pod."""
        address: str = self.cluster.get("pod", pod, self.namespace)["status"]["podIP"]
        return address

    def orphan(self, pod: str) -> None:
        """Take a pod out of its Deployment: it lives on, and nobody will stop it."""
        labels = ("projections.dev/build-", "pod-template-hash-")
        self.cluster.kubectl("label", "pod", pod, "-n", self.namespace, *labels)

        def owners() -> list[Json]:
            found: list[Json] = self.cluster.get("pod", pod, self.namespace)["metadata"].get("ownerReferences", [])
            return found

        wait.until("the pod belongs to nobody", owners, lambda found: not found, 30)

    def exit_code(self, pod: str) -> int | None:
        """With what the container of a pod ended last; None while it has not."""
        status = self.cluster.get("pod", pod, self.namespace)["status"]["containerStatuses"][0]
        ended = status["state"].get("terminated") or status["lastState"].get("terminated")
        return None if ended is None else int(ended["exitCode"])

    def metrics(self, pod: str) -> list[str]:
        """Lines of /metrics of a pod."""
        with urllib.request.urlopen(f"http://{self.address(pod)}:8080/metrics", timeout=5) as answer:
            text: str = answer.read().decode()
        return text.splitlines()

    def pids(self, pod: str) -> list[int]:
        """Process ids of a pod's containers on this machine."""
        return list(self.cluster.sandbox.containers(pod))

    def send(self, orders: int) -> None:
        """Some whole orders' events, as fast as they go."""
        self._seed += 1
        generator.Feed(self.kafka, self.topic).send(events(self._seed, orders), rate=None)

    def put(self, key: str, value: bytes | None, kind: str | None, partition: int = -1) -> verify.Position:
        """Send one record as it is; where it lies."""
        feed = generator.Feed(self.kafka, self.topic)
        feed.put_raw(key.encode(), value, kind, partition)
        feed.flush()
        return feed.last

    def spoil(self, order_id: str, item: Mapping[str, object] = NO_NUMBER, partition: int = -1) -> None:
        """Send an order with an item that cannot be applied and, behind it, events that can."""
        feed = generator.Feed(self.kafka, self.topic)
        for event in spoiled(order_id, item):
            feed.put_raw(order_id.encode(), event.value, event.type, partition)
            feed.flush()
            if item.items() <= event.body.items():
                self.parked.add(feed.last)

    def flow(self, rate: float = 300) -> generator.Background:
        """Events that keep coming while the block lasts."""
        self._seed += 1
        return generator.Background(self.kafka, self.topic, self._seed, rate)

    def positions(self) -> Mapping[int, int]:
        """Next offset by partition of the live build; where none is, of the newest that was not given up."""
        with psycopg.connect(self.uri) as connection:
            return self._positions(connection)

    def _positions(self, connection: psycopg.Connection) -> Mapping[int, int]:
        query = """
            SELECT c.partition, c.next_offset
            FROM projections.checkpoint c
            WHERE c.build = coalesce(
                (SELECT live_build FROM projections.projection),
                (SELECT max(number) FROM projections.build WHERE state NOT IN ('Abandoned', 'Retired'))
            )
        """
        return dict(connection.execute(query).fetchall())

    def ends(self) -> Mapping[int, int]:
        """End of each partition now; asked again while a broker that has just started is not ready for it."""

        def ask() -> Mapping[int, int] | str:
            try:
                return generator.ends(self.kafka, self.topic)
            except KafkaException as error:
                return str(error)

        answer = wait.until("Kafka tells the ends", ask, lambda ends: not isinstance(ends, str), 30)
        return {} if isinstance(answer, str) else answer

    def compare_now(self) -> verify.Comparison:
        """Law 1 while events flow: rows and checkpoints of one snapshot against the fold of exactly that prefix."""
        with psycopg.connect(self.uri) as connection:
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            until, found = self._positions(connection), verify.table(connection, TABLE)
        return verify.compare(self._fold(until), found)

    def _fold(self, until: Mapping[int, int] | None) -> verify.Rows:
        return verify.fold(self.kafka, self.topic, until, self.discarded, self.parked, self.version)

    def compare_all(self) -> verify.Comparison:
        """The whole topic against the whole table; for the time after the flow has stopped."""
        with psycopg.connect(self.uri) as connection:
            found = verify.table(connection, TABLE)
        return verify.compare(self._fold(None), found)

    def wait_caught_up(self, timeout: float = 90, skip: Collection[int] = ()) -> None:
        """Until the checkpoints have passed what is in the topic at this moment (but for the partitions `skip`)."""
        ends = {number: end for number, end in self.ends().items() if number not in skip}

        def passed(positions: Mapping[int, int]) -> bool:
            return all(positions.get(number, -1) >= end for number, end in ends.items())

        wait.until(f"checkpoints at {ends}", self.positions, passed, timeout)


def _told(pattern: str, message: str) -> list[str]:
    """The words of the command in a message."""
    found = re.search(pattern, message)
    if found is None:
        raise AssertionError(f"the message tells no way out: {message}")
    return shlex.split(found[1])


def _listing(message: str) -> list[str]:
    """The options that say which projection's parked events are meant."""
    return _told(r"projector parked list ((?:--\w+ [\w-]+ ?)+)", message)
