"""`make demo`: a real cluster, the operator, one projection, and what happens to it when things die.

Each step prints the commands that a user would type. It may be run again at once: it finds the projection and goes on
with more events. The cluster stays up; `make clean` removes it.
"""

import json
import os
import signal
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psycopg
from confluent_kafka import KafkaException

from examples.console import Failed, Shell, say, step, until
from examples.polling import Polling
from examples.shop import generator, verify
from sandbox import Sandbox
from sandbox.errors import SandboxError

ROOT = Path(__file__).resolve().parent.parent
SHOP = "examples/shop"
TOPIC = "orders"
OPERATOR_NS = "projections-system"
FIRST_EVENTS = 20_000
RATE = 400
PROJECTION = "projection/order-summaries"
READY_S = 180
"""From apply to Ready: pods start, the log so far is folded, the view appears."""
RECOVERY_S = 60
"""From a kill to lag 0 under flow: restart of the container, a new member in the group."""
CHANGE_S = 120
"""From apply to another version live: plan, pods, replay, swap."""
RETURN_S = 15
"""From apply to a kept version live: one pass and one statement."""
FILES = {"1": "order-summaries.yaml", "2": "order-summaries-v2.yaml"}
_NEWEST = "SELECT order_id, customer, status, item_count FROM order_summaries ORDER BY last_event_at DESC LIMIT 5"
_DEGRADED = """jsonpath='{.status.conditions[?(@.type=="Degraded")].message}'"""
_OF_PROJECTION = "--field-selector involvedObject.name=order-summaries,involvedObject.kind=Projection"
_EVENT = "custom-columns=REASON:.reason,MESSAGE:.message"
_POSITIONS = """
    SELECT c.partition, c.next_offset
    FROM projections.checkpoint c JOIN projections.projection p ON p.live_build = c.build
    WHERE p.namespace = 'shop' AND p.name = 'order-summaries'
"""


@dataclass
class Report:
    """What the demo proved, as build/reports/demo.json has it."""

    checks: list[dict[str, object]] = field(default_factory=list)

    def add(self, name: str, value: float, unit: str, bound: float | None) -> None:
        """One figure; `bound` is the largest value that is right, None where there is none."""
        holds = bound is None or value <= bound
        shown = round(value, 1)
        self.checks.append(asdict(_Check(name, shown, unit, bound, holds)))
        limit = "" if bound is None else f" (at most {bound:g})"
        say(f"   {'ok' if holds else 'NOT OK'}: {name}: {shown:g} {unit}{limit}")

    def fail(self, reason: str) -> None:
        """A step did not come to its end."""
        self.checks.append(asdict(_Check(f"failed: {reason}", 1, "failures", 0, holds=False)))
        say(f"\nFAILED: {reason}")

    @property
    def holds(self) -> bool:
        """Whether all of it is right."""
        return all(check["holds"] for check in self.checks)

    def write(self) -> Path:
        """Write the report; the path of it."""
        path = ROOT / "build" / "reports" / "demo.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(self.checks, indent=2) + "\n")
        return path


@dataclass(frozen=True)
class _Check:
    name: str
    value: float
    unit: str
    bound: float | None
    holds: bool


class Demo:
    """The steps, in order. What they share is the sandbox, the shell and the report."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.report = Report()
        self.uri = sandbox.endpoints.postgres_uri
        self.kafka = sandbox.endpoints.kafka

    def prepare(self) -> None:
        """The machine and the images."""
        with step("1. A real Kubernetes, Kafka and PostgreSQL on this machine; two images"):
            self.sandbox.up()
            self.images = self.sandbox.images()
        tools = [str(Path(self.sandbox.tool(name)).parent) for name in ("kubectl", "helm")]
        admin = f"postgresql://read_db_admin:admin-demo@{self.uri.split('@')[1]}"
        variables = {"KUBECONFIG": str(self.sandbox.endpoints.kubeconfig), "PROJECTOR_TARGET_URI": admin}
        self.shell = Shell([*tools, str(Path(sys.executable).parent)], variables)

    def run(self) -> None:
        """All that follows."""
        self._events()
        self._secrets()
        self._operator()
        self._apply()
        self._kills()
        self._compare_at_last()
        self._bad_event()
        self._another_version()
        self._look_around()

    def _events(self) -> None:
        with step(f"2. The write side: order events in the Kafka topic {TOPIC}"):
            generator.create_topic(self.kafka, TOPIC)
            # Another run goes on with other orders: the seed is how many events there are.
            self.seed = self._sent()
            self.shell.run(f"{self._generator()} --count {FIRST_EVENTS} --seed {self.seed}")

    def _sent(self) -> int:
        return sum(generator.ends(self.kafka, TOPIC).values())

    def _generator(self) -> str:
        return f"python -m examples.shop.generator --bootstrap-servers {self.kafka} --topic {TOPIC}"

    def _secrets(self) -> None:
        with step("3. The read side: two database roles, a namespace, and a Secret for each role"):
            passwords = "-v admin_password=admin-demo -v worker_password=worker-demo"
            self.shell.run(f"psql -qAt {self.uri} -v ON_ERROR_STOP=1 {passwords} -f {SHOP}/roles.sql")
            self.shell.run(f"kubectl apply -f {SHOP}/namespace.yaml -f {SHOP}/secrets.yaml")

    def _operator(self) -> None:
        with step("4. The operator, by Helm"):
            chart = f"helm upgrade --install projection-operator helm/projection-operator -n {OPERATOR_NS}"
            images = " ".join(
                f"--set {part}.repository={name.rpartition(':')[0]} --set {part}.tag={name.rpartition(':')[2]}"
                for part, name in (("image", self.images.operator), ("projectorImage", self.images.projector))
            )
            self.shell.run(f"{chart} --create-namespace --take-ownership --wait {images}")
            self.shell.run(f"kubectl get pods -n {OPERATOR_NS}")

    def _apply(self) -> None:
        with step("5. The projection: one YAML file, and a view that anyone can query"):
            began = time.monotonic()
            self.shell.run(f"kubectl apply -f {SHOP}/{FILES['1']}")
            with self.shell.beside("kubectl get projections -n shop -w"):
                self.shell.run(f"kubectl wait -n shop --for=condition=Ready {PROJECTION} --timeout={READY_S}s")
                until("version 1 is live", lambda: self._status("liveVersion") == "1", READY_S)
                until("kubectl shows lag 0", self._no_lag, READY_S)
            self.report.add("from apply to Ready and lag 0", time.monotonic() - began, "s", READY_S)
            self.shell.run(f'psql {self.uri} -c "{_NEWEST}"')
            self._compare("rows that differ after the first events")

    def _kills(self) -> None:
        with step(f"6. {RATE} events per second keep coming, and processes die"):
            before = self._sent()
            process = self.shell.start(f"{self._generator()} --forever --rate {RATE} --seed {self.seed + 1}")
            try:
                until("events flow", lambda: self._sent() > before + RATE, 30)
                self._kill_projector()
                self._kill_operator()
            finally:
                process.terminate()
                said, _ = process.communicate(timeout=90)
                say(f"    {said.strip()}")
            if process.returncode != 0:
                raise Failed("the generator did not end well")

    def _kill_projector(self) -> None:
        pod = self.shell.run("kubectl get pods -n shop -o jsonpath={.items[0].metadata.name}", shown=False)
        pid = self.sandbox.containers(pod)[0]
        say("   A projector's process is killed, without a chance to say goodbye:")
        say(f"$ kill -9 {pid}    # {pod}")
        began, restarts = time.monotonic(), self._restarts(pod)
        os.kill(pid, signal.SIGKILL)
        until("Kubernetes has seen it", lambda: self._restarts(pod) > restarts, RECOVERY_S)
        self._recovered("from a projector's death until all is in that came meanwhile", began)

    def _restarts(self, pod: str) -> int:
        path = "jsonpath={.status.containerStatuses[0].restartCount}"
        return int(self.shell.run(f"kubectl get pod -n shop {pod} -o {path}", shown=False))

    def _kill_operator(self) -> None:
        say("   The operator's pod is killed; projectors go on without it:")
        began = time.monotonic()
        self.shell.run(f"kubectl delete pod -n {OPERATOR_NS} --all --force --grace-period=0")
        self._recovered("from the operator's death until all is in that came meanwhile", began)
        self.shell.run(f"kubectl rollout status deployment -n {OPERATOR_NS} --timeout=120s")
        self.shell.run("kubectl get pods,projections -n shop")

    def _recovered(self, name: str, began: float) -> None:
        """Show the moment, then wait until all events that are there now, after the death, are in the table."""
        self.shell.run("kubectl get pods,projections -n shop")
        ends = generator.ends(self.kafka, TOPIC)
        until("every event of that moment is in the table", lambda: self._passed(ends), RECOVERY_S)
        self.report.add(name, time.monotonic() - began, "s", RECOVERY_S)
        self.shell.run("kubectl get pods,projections -n shop")

    def _compare_at_last(self) -> None:
        with step("7. The flow has stopped: is every event in the table, once?"):
            ends = generator.ends(self.kafka, TOPIC)
            until("every event is in the table", lambda: self._passed(ends), RECOVERY_S)
            took = until("kubectl shows lag 0", self._no_lag, RECOVERY_S)
            self.report.add("from there until kubectl shows lag 0", took, "s", RECOVERY_S)
            self.shell.run("kubectl get projections -n shop")
            self._compare("rows that differ after the kills")

    def _bad_event(self) -> None:
        with step("8. An item says `many` where a number belongs: its order waits aside, and all others go on"):
            order = f"o-bad-{self._sent()}"
            self.shell.run(f"{self._generator()} --bad {order} --count 2000 --seed {self._sent()}")
            until("status tells of the parked order", lambda: "parked list" in self._degraded(), RECOVERY_S)
            message = self.shell.run(f"kubectl get -n shop {PROJECTION} -o {_DEGRADED}")
            where = message.split("projector parked list ")[1].split(". ")[0]
            self.shell.run(f"projector parked list {where}")
            (bad,) = json.loads(self.shell.run(f"projector parked list {where} -o json", shown=False))
            say("   It may be passed over; what came after it for this order is applied then:")
            key = f"--key '{json.dumps(bad['key'])}'"
            why = f"--offset {bad['firstOffset']} --reason 'no such number'"
            self.shell.run(f"projector parked discard {where} {key} {why}")
            self.shell.run(f"projector parked replay {where} {key}")
            took = until("status says that all is well", lambda: "parked" not in self._degraded(), RECOVERY_S)
            self.report.add("from there until status says that all is well", took, "s", RECOVERY_S)
            self._compare("rows that differ without the event that was passed over")

    def _another_version(self) -> None:
        with step("9. Another version: a column more, one of another type, a rule mended; readers go on"):
            self.shell.run(f"diff {SHOP}/{FILES['1']} {SHOP}/{FILES['2']}", may_fail=True)
            process = self.shell.start(f"{self._generator()} --forever --rate {RATE} --seed {self._sent()}")
            try:
                with Polling(self.uri) as readers:
                    self._change("from apply to version 2 live", "2", CHANGE_S)
                    say("   It is wrong? The old version is still fed, so the way back is short:")
                    self._change("from apply to version 1 live again", "1", RETURN_S)
                    say("   And forward again:")
                    self._change("from apply to version 2 live again", "2", RETURN_S)
            finally:
                process.terminate()
                process.communicate(timeout=90)
            self.report.add("readers' errors meanwhile", len(readers.errors), f"of {readers.count} reads", 0)
            self.report.add("longest read meanwhile", readers.longest * 1000, "ms", None)
            ends = generator.ends(self.kafka, TOPIC)
            until("every event is in the table", lambda: self._passed(ends), RECOVERY_S)
            self.shell.run("kubectl get projections -n shop")
            self.shell.run(f"kubectl get events -n shop {_OF_PROJECTION} --sort-by=.lastTimestamp -o {_EVENT}")
            self._compare("rows that differ after the versions changed", "2")

    def _change(self, name: str, version: str, limit: float) -> None:
        """Apply the YAML of a version, as a merge in Git would, and wait until it is live."""
        began, before = time.monotonic(), self._status("liveVersion")
        with self.shell.beside("kubectl get projections -n shop -w"):
            self.shell.run(f"kubectl apply -f {SHOP}/{FILES[version]}")
            if before != version:
                until(
                    "a plan", lambda: bool(self._status("plan.hash")) or self._status("liveVersion") == version, 30, 0.1
                )
                self.shell.run(f"kubectl get -n shop {PROJECTION} -o jsonpath={{.status.plan}}")
            until(f"version {version} is live", lambda: self._status("liveVersion") == version, limit, 0.1)
        self.report.add(name, time.monotonic() - began, "s", limit)

    def _status(self, path: str) -> str:
        return self.shell.run(f"kubectl get -n shop {PROJECTION} -o jsonpath={{.status.{path}}}", shown=False)

    def _degraded(self) -> str:
        return self.shell.run(f"kubectl get -n shop {PROJECTION} -o {_DEGRADED}", shown=False)

    def _no_lag(self) -> bool:
        path = "jsonpath={.status.lag.events}"
        return self.shell.run(f"kubectl get -n shop {PROJECTION} -o {path}", shown=False) == "0"

    def _passed(self, ends: dict[int, int]) -> bool:
        """Whether the live build's checkpoints, which lie beside the rows, are past `ends`."""
        with psycopg.connect(self.uri) as connection:
            positions: dict[int, int] = dict(connection.execute(_POSITIONS).fetchall())
        return all(positions.get(partition, -1) >= end for partition, end in ends.items())

    def _compare(self, name: str, version: str = "1") -> None:
        say(f"$ python -m examples.shop.verify --topic {TOPIC} --uri {self.uri} --discarded --version {version}")
        with psycopg.connect(self.uri, autocommit=True) as connection:
            expected = verify.fold(self.kafka, TOPIC, None, verify.passed_over(connection, TOPIC), version=version)
            result = verify.compare(expected, verify.table(connection, "public.order_summaries"))
        for line in (*result.details(), result.summary):
            say(f"    {line}")
        self.report.add(name, len(result.differing), f"of {result.rows} rows", 0)

    def _look_around(self) -> None:
        say("\nThe cluster goes on running. To look around:")
        for line in self.shell.exports():
            say(f"  {line}")
        say("  kubectl describe projection order-summaries -n shop")
        say("  kubectl logs -n shop -l projections.dev/projection=order-summaries")
        say(f"  psql {self.uri}")
        say("To remove it all: make clean")


def main() -> None:
    """Run the demo; exit code 1 if something failed or did not hold."""
    began = time.monotonic()
    demo = Demo(Sandbox())
    try:
        demo.prepare()
        demo.run()
    except (Failed, SandboxError, KafkaException, psycopg.Error, generator.NotDelivered) as error:
        demo.report.fail(str(error))
    demo.report.add("the whole demo", time.monotonic() - began, "s", None)
    say(f"\nreport: {demo.report.write().relative_to(ROOT)}")
    sys.exit(0 if demo.report.holds else 1)


if __name__ == "__main__":
    main()
