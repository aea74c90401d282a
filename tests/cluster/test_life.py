"""A projection's life with the operator as a real process under the chart's rights, workers run by hand."""

import json
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from psycopg import sql

from tests.support import wait
from tests.support.api_server import CommandFailed
from tests.support.operator_process import IMAGE, Operator, Site
from tests.support.specs import spec_data


def is_live(status: dict[str, Any]) -> bool:
    return status.get("phase") == "Live" and status.get("lag", {}).get("events") == 0


def patch(site: Site, name: str, change: dict[str, Any]) -> None:
    options = (f"--namespace={site.namespace}", "--type=merge", f"--patch={json.dumps(change)}")
    site.api.kubectl("patch", "projection", name, *options)


def rows(site: Site, table: str) -> int:
    with psycopg.connect(site.database.uri()) as connection:
        row = connection.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table))).fetchone()
    assert row is not None
    return int(row[0])


def go_live(site: Site, name: str, topic: str, **spec: Any) -> None:
    site.api.apply(site.projection(name, topic, **spec))
    site.work(f"{name}-b{begun(site, name)}")
    site.until_condition(name, "Ready", "True", "Serving")
    site.until(name, lambda status: status.get("lag", {}).get("events") == 0, "lag 0")


def begun(site: Site, name: str) -> int:
    """Number of the first build."""
    status = site.until(name, lambda one: "candidate" in one or "liveBuild" in one, "a build")
    return int(status.get("liveBuild") or status["candidate"]["build"])


def test_from_apply_to_live(site: Site) -> None:
    topic = site.topic()
    site.send(topic, *({"id": f"o{n}", "name": "a"} for n in range(300)))
    site.api.apply(site.projection("orders", topic, scaling={"replicas": 2}))

    status = site.until_phase("orders", "Replaying")
    build = status["candidate"]["build"]
    assert status["lag"]["events"] == 300
    assert status["candidate"]["percent"] == 0
    ready = ("wait", "--for=condition=Ready", "projection/orders", f"--namespace={site.namespace}")
    with pytest.raises(CommandFailed, match="timed out"):
        site.api.kubectl(*ready, "--timeout=1s")
    with pytest.raises(psycopg.errors.UndefinedTable):
        rows(site, "orders")

    deployment = site.api.get("deployment", f"orders-b{build}", site.namespace)
    assert deployment["spec"]["replicas"] == 2
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["image"] == IMAGE
    (manager,) = {one["manager"] for one in deployment["metadata"]["managedFields"]}
    assert manager == "projection-operator"

    site.work(f"orders-b{build}")
    site.pods(f"orders-b{build}", ready=2, total=2)
    assert "condition met" in site.api.kubectl(*ready, "--timeout=40s")
    status = site.until("orders", is_live, "live and caught up")
    assert (status["liveVersion"], status["liveBuild"], status["replicas"]) == ("1", build, 2)
    assert "candidate" not in status
    assert status["observedGeneration"] == 1
    assert rows(site, "orders") == 300
    told = [event["reason"] for event in site.events("orders")]
    assert told == ["BuildBegun", "CatchingUp", "Published"]

    header, row = site.api.kubectl("get", "projections", "orders", f"--namespace={site.namespace}").splitlines()
    assert header.split()[:4] == ["NAME", "VERSION", "LIVE", "PHASE"]
    assert row.split()[:7] == ["orders", "1", "1", "Live", "0", "0", "2"]
    site.send(topic, *({"id": f"o{n}", "name": "b"} for n in range(10)))
    site.until("orders", is_live, "caught up again")


def test_a_version_change_is_planned_built_beside_swapped_and_undone(site: Site) -> None:
    topic = site.topic()
    site.send(topic, {"id": "o1", "name": "a"})
    go_live(site, "versions", topic)
    first = begun(site, "versions")
    columns = [*spec_data()["target"]["postgresql"]["columns"], {"name": "more", "type": "text"}]
    changed = site.projection("versions", topic, version="2", scaling={"replicas": 3}, rebuild={"parallelism": 1})
    changed["spec"]["target"]["postgresql"]["columns"] = columns
    site.api.apply(changed)
    status = site.until("versions", lambda one: "candidate" in one, "a candidate")
    second = status["candidate"]["build"]
    assert status["plan"]["columns"] == ["+ more text"]
    assert status["phase"] == "Replaying"
    assert site.condition("versions", "Rebuilding")["status"] == "True"
    assert site.condition("versions", "Ready")["status"] == "True"

    def replicas(build: int) -> int:
        number: int = site.api.get("deployment", f"versions-b{build}", site.namespace)["spec"]["replicas"]
        return number

    wait.until("the live build scales", lambda: replicas(first), lambda number: number == 3, 20)
    assert replicas(second) == 1
    site.work(f"versions-b{second}")
    status = site.until("versions", lambda one: one.get("liveBuild") == second, "the swap")
    assert [(one["version"], one["build"]) for one in status["retained"]] == [("1", first)]
    assert site.condition("versions", "Reconciling")["status"] == "False"
    assert "plan" not in status
    site.api.apply(site.projection("versions", topic))
    site.until("versions", lambda one: one.get("liveBuild") == first, "the way back")
    site.until_condition("versions", "Reconciling", "False", "Serving")
    told = [event["reason"] for event in site.events("versions")]
    assert told[-4:] == ["CatchingUp", "Swapped", "Planned", "RolledBack"]


def test_suspend_scale_and_drift(site: Site) -> None:
    topic = site.topic()
    site.send(topic, {"id": "o1", "name": "a"})
    go_live(site, "suspended", topic)
    build = begun(site, "suspended")

    def replicas() -> int:
        number: int = site.api.get("deployment", f"suspended-b{build}", site.namespace)["spec"]["replicas"]
        return number

    site.api.kubectl("scale", "projection", "suspended", f"--namespace={site.namespace}", "--replicas=4")
    wait.until("scaled", replicas, lambda number: number == 4, 20)
    site.api.kubectl("scale", "deployment", f"suspended-b{build}", f"--namespace={site.namespace}", "--replicas=9")
    wait.until("put back", replicas, lambda number: number == 4, 20)
    site.api.kubectl("delete", "deployment", f"suspended-b{build}", f"--namespace={site.namespace}")
    name = f"suspended-b{build}"
    wait.true("made again", lambda: site.api.exists("deployment", name, site.namespace), 20)
    patch(site, "suspended", {"spec": {"suspend": True}})
    wait.until("no pods", replicas, lambda number: number == 0, 20)
    site.until_condition("suspended", "Ready", "True", "Suspended")
    site.until_phase("suspended", "Suspended")
    patch(site, "suspended", {"spec": {"suspend": False}})
    wait.until("pods again", replicas, lambda number: number == 4, 20)


def test_a_template_is_applied_and_a_bad_one_refused_by_name(site: Site) -> None:
    topic = site.topic()
    template = {
        "spec": {"nodeSelector": {"disk": "ssd"}, "containers": [{"name": "projector", "imagePullPolicy": "Never"}]}
    }
    site.api.apply(site.projection("template", topic, projector={"template": template, "image": "own:1"}))
    name = f"template-b{begun(site, 'template')}"
    wait.true("its Deployment", lambda: site.api.exists("deployment", name, site.namespace), 20)
    pod = site.api.get("deployment", name, site.namespace)["spec"]["template"]["spec"]
    assert pod["nodeSelector"] == {"disk": "ssd"}
    assert (pod["containers"][0]["image"], pod["containers"][0]["imagePullPolicy"]) == ("own:1", "Never")

    patch(site, "template", {"spec": {"projector": {"template": {"spec": {"containrs": []}}}}})
    stalled = site.until_condition("template", "Stalled", "True", "DeploymentRefused")
    assert stalled["message"].startswith(f"spec.projector: the API server refuses Deployment {name}: ")
    assert "containrs" in stalled["message"]
    patch(site, "template", {"spec": {"projector": {"template": {"spec": {"containrs": None}}}}})
    site.until_condition("template", "Stalled", "False", "Progressing")


def test_retain_keeps_the_view_and_a_new_resource_goes_on_from_the_checkpoints(site: Site) -> None:
    topic = site.topic()
    site.send(topic, *({"id": f"o{n}", "name": "a"} for n in range(20)))
    go_live(site, "retained", topic)
    build = begun(site, "retained")
    site.api.kubectl("delete", "projection", "retained", f"--namespace={site.namespace}", "--timeout=10s")
    name = f"retained-b{build}"
    wait.true("its Deployment is collected", lambda: not site.api.exists("deployment", name, site.namespace), 30)
    assert rows(site, "retained") == 20

    site.send(topic, {"id": "o99", "name": "b"})
    site.api.apply(site.projection("retained", topic))
    site.until_condition("retained", "Ready", "True", "Serving")
    assert begun(site, "retained") == build
    site.until("retained", lambda status: status.get("lag", {}).get("events") == 0, "the old worker goes on")
    assert rows(site, "retained") == 21


def test_delete_drops_view_table_and_entries(site: Site) -> None:
    topic = site.topic()
    site.send(topic, {"id": "o1", "name": "a"})
    go_live(site, "dropped", topic, deletionPolicy="Delete")
    with psycopg.connect(site.database.uri()) as connection:
        connection.execute("CREATE VIEW report AS SELECT id FROM dropped")
    assert site.api.get("projection", "dropped", site.namespace)["metadata"]["finalizers"] == [
        "projections.dev/cleanup"
    ]
    site.api.kubectl("delete", "projection", "dropped", f"--namespace={site.namespace}", "--wait=false")
    stalled = site.until_condition("dropped", "Stalled", "True", "TargetInUse")
    assert "report" in stalled["message"]
    with psycopg.connect(site.database.uri()) as connection:
        connection.execute("DROP VIEW report")
    wait.true("it is gone", lambda: not site.api.exists("projection", "dropped", site.namespace), 40)
    with psycopg.connect(site.database.uri()) as connection:
        left = connection.execute("SELECT relname FROM pg_class WHERE relname LIKE 'dropped%'").fetchall()
        entries = connection.execute("SELECT count(*) FROM projections.projection WHERE name = 'dropped'").fetchone()
    assert (left, entries) == ([], (0,))


def test_another_version_or_token_before_the_first_is_live_begins_anew(site: Site) -> None:
    topic = site.topic()
    site.send(topic, {"id": "o1", "name": "a"})
    site.api.apply(site.projection("again", topic))
    first = begun(site, "again")
    site.api.apply(site.projection("again", topic, rebuildToken="x"))
    status = site.until("again", lambda one: one.get("candidate", {}).get("build", first) != first, "another build")
    assert status["candidate"]["version"] == "1"
    wait.until(
        "one Deployment is left",
        lambda: [name for name in site.api.names("deployment", site.namespace) if name.startswith("again-")],
        lambda names: names == [f"again-b{status['candidate']['build']}"],
        20,
    )
    with psycopg.connect(site.database.uri()) as connection:
        query = "SELECT state FROM projections.build WHERE number = %s"
        wait.until(
            "the first is retired",
            lambda: connection.execute(query, (first,)).fetchone(),
            lambda row: row == ("Retired",),
            20,
        )


def test_a_lost_status_comes_back_and_the_probes_answer(site: Site) -> None:
    topic = site.topic()
    site.send(topic, {"id": "o1", "name": "a"})
    go_live(site, "lost", topic)
    options = (f"--namespace={site.namespace}", "--subresource=status", "--type=json")
    site.api.kubectl("patch", "projection", "lost", *options, '--patch=[{"op":"remove","path":"/status"}]')
    site.until_condition("lost", "Ready", "True", "Serving", timeout=50)
    operator = site.operators[0]
    assert operator.http("/healthz")[0] == 200
    assert operator.http("/readyz")[0] == 200
    metrics = operator.http("/metrics")[1]
    labels = f'{{name="lost",namespace="{site.namespace}"}}'
    assert f"projection_lag_events{labels} 0.0" in metrics
    assert f"projection_ready{labels} 1.0" in metrics
    assert "projection_operator_leader 1.0" in metrics


def test_no_fault_was_logged(site: Site) -> None:
    (operator,) = site.operators
    assert "Traceback" not in operator.text()
    assert operator.lines("pass_failed") == []
    assert "forbidden" not in operator.text().lower()  # what the API server says where a right is missing
    assert [line for line in operator.lines("act_refused") if line["reason"] == "NotPermitted"] == []


def test_an_outage_of_the_api_server_ends_in_a_new_start(new_site: Callable[[], Site]) -> None:
    site = new_site()
    topic = site.topic()
    site.send(topic, {"id": "o1", "name": "a"})
    operator = site.operator({"LEASE_DURATION": "6", "LEASE_RENEW_DEADLINE": "4", "LEASE_RETRY": "0.5"})
    site.api.apply(site.projection("outage", topic))
    site.until_phase("outage", "Replaying")
    site.api.stop_server()
    try:
        # Leadership cannot be renewed: the process ends, and Kubernetes would start it again.
        assert operator.process.wait(20) == 4
    finally:
        site.api.start_server()
    second: Operator = site.operator()
    site.work(f"outage-b{begun(site, 'outage')}")
    site.until_condition("outage", "Ready", "True", "Serving")
    assert second.process.poll() is None
    assert second.stop() == 0
