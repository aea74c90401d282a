"""Records of builds on a real API server: their history, their table, and an operator without their CRD."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from tests.support import wait
from tests.support.api_server import CommandFailed, Json
from tests.support.operator_process import ROOT, Site

CRD = "projectionrebuilds.projections.dev"
OTHER: dict[str, Any] = {
    "version": "2",
    "rules": [{"events": ["E"], "key": {"id": "event.id"}, "set": {"name": "event.id"}}],
}


def records(site: Site, name: str) -> dict[int, Json]:
    """By build."""
    names = [one for one in site.api.names("projectionrebuilds", site.namespace) if one.startswith(f"{name}-b")]
    found = (site.api.get("projectionrebuild", one, site.namespace) for one in names)
    return {one["spec"]["build"]: one for one in found}


def steps(site: Site, name: str) -> dict[int, str | None]:
    return {build: one.get("status", {}).get("step") for build, one in records(site, name).items()}


def until_steps(site: Site, name: str, *expected: str) -> dict[int, Json]:
    """Wait until these are the steps of the builds, oldest first; the records."""

    def now() -> list[str | None]:
        return [step for _, step in sorted(steps(site, name).items())]

    wait.until(f"the records of {name}", now, lambda seen: seen == list(expected), 40)
    return records(site, name)


def candidate(site: Site, name: str) -> int:
    return int(site.until(name, lambda one: "candidate" in one, "a candidate")["candidate"]["build"])


def go_live(site: Site, name: str, topic: str, **spec: Any) -> int:
    """The number of the build that is live then."""
    site.api.apply(site.projection(name, topic, **spec))
    build = candidate(site, name)
    site.work(f"{name}-b{build}")
    site.until(name, lambda one: one.get("liveBuild") == build, "live")
    return build


def wake(site: Site, name: str) -> None:
    """Have a pass now and not at the next look, which may be half a minute away."""
    site.api.kubectl("scale", "projection", name, f"--namespace={site.namespace}", "--replicas=2")


def time(record: Json, field: str) -> datetime:
    return datetime.fromisoformat(record["status"][field])


def test_a_version_change_leaves_two_records(site: Site) -> None:
    topic = site.topic()
    site.send(topic, *({"id": f"o{number}", "name": "a"} for number in range(7)))
    first = go_live(site, "history", topic)
    (only,) = until_steps(site, "history", "Live").values()
    assert (only["spec"], only["status"]["percent"], only["status"]["events"]) == (
        {"projection": "history", "version": "1", "build": first, "rebuildToken": ""},
        100,
        7,
    )
    second = go_live(site, "history", topic, **OTHER)
    found = until_steps(site, "history", "Replaced", "Live")
    new = found[second]
    assert (new["spec"]["fromVersion"], new["spec"]["fromBuild"]) == ("1", first)
    plan = site.api.kubectl("get", "events", f"--namespace={site.namespace}", "--output=jsonpath={.items[*].message}")
    assert f"({new['spec']['plan']})" in plan
    assert time(only, "startedAt") <= time(only, "finishedAt") <= time(new, "startedAt") <= time(new, "finishedAt")
    assert found[first]["status"]["finishedAt"] == only["status"]["finishedAt"]
    (owner,) = new["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"]) == ("Projection", "history")
    deployment = site.api.get("deployment", f"history-b{second}", site.namespace)
    assert new["metadata"]["labels"] == deployment["metadata"]["labels"]
    assert {one["manager"] for one in new["metadata"]["managedFields"]} == {"projection-operator"}


def test_what_kubectl_shows(site: Site) -> None:
    selector = ("--selector=projections.dev/projection=history", "--sort-by=.spec.build")
    header, old, new = site.api.kubectl("get", "prb", f"--namespace={site.namespace}", *selector).splitlines()
    assert header.split() == ["NAME", "PROJECTION", "VERSION", "BUILD", "STEP", "PERCENT", "STARTED", "FINISHED"]
    first, second = sorted(records(site, "history"))
    assert old.split()[:6] == [f"history-b{first}", "history", "1", str(first), "Replaced", "100"]
    assert new.split()[:6] == [f"history-b{second}", "history", "2", str(second), "Live", "100"]
    assert len(new.split()) == 8
    wide = site.api.kubectl("get", "prb", f"--namespace={site.namespace}", *selector, "--output=wide")
    assert "another build took its place at" in wide
    explained = site.api.kubectl("explain", "projectionrebuild")
    assert "does nothing to the" in explained


def test_the_spec_of_a_record_stays(site: Site) -> None:
    number = max(records(site, "history"))
    patch = ("--type=merge", '--patch={"spec":{"version":"9"}}', f"--namespace={site.namespace}")
    with pytest.raises(CommandFailed, match="a record is not changed"):
        site.api.kubectl("patch", "prb", f"history-b{number}", *patch)


def test_a_deleted_record_comes_back_and_one_that_is_made_by_hand_is_nothing(site: Site) -> None:
    before = records(site, "history")
    site.api.kubectl("delete", "prb", "--all", f"--namespace={site.namespace}")
    body = {
        "apiVersion": "projections.dev/v1alpha1",
        "kind": "ProjectionRebuild",
        "metadata": {"name": "history-b99", "namespace": site.namespace},
        "spec": {"projection": "history", "version": "9", "build": 99},
    }
    site.api.apply(body)
    wake(site, "history")
    wait.until("they are back", lambda: set(records(site, "history")), lambda seen: set(before) < seen, 50)
    site.api.kubectl("delete", "prb", "history-b99", f"--namespace={site.namespace}")
    found = until_steps(site, "history", "Replaced", "Live")
    assert {number: one["status"] for number, one in found.items()} == {
        number: one["status"] for number, one in before.items()
    }
    assert site.status("history")["liveVersion"] == "2"


def test_an_abort_and_the_limit(site: Site) -> None:
    topic = site.topic()
    site.send(topic, {"id": "o1", "name": "a"})
    go_live(site, "given-up", topic)
    site.api.apply(site.projection("given-up", topic, **OTHER))
    candidate(site, "given-up")
    until_steps(site, "given-up", "Live", "Replaying")
    site.api.apply(site.projection("given-up", topic, **OTHER, promotion={"abortVersion": "2"}))
    found = until_steps(site, "given-up", "Live", "Aborted")
    assert found[max(found)]["status"]["message"] == "promotion.abortVersion names its version"
    limit = {"historyLimit": 1}
    site.api.apply(site.projection("given-up", topic, **OTHER, rebuild=limit, rebuildToken="again"))
    third = candidate(site, "given-up")
    site.api.apply(site.projection("given-up", topic, rebuild=limit))
    assert max(until_steps(site, "given-up", "Live", "Superseded")) == third


def test_records_go_with_their_projection(site: Site) -> None:
    site.api.kubectl("delete", "projection", "given-up", f"--namespace={site.namespace}")
    wait.until("no record is left", lambda: records(site, "given-up"), lambda seen: seen == {}, 30)


def test_no_right_is_missing(site: Site) -> None:
    (operator,) = site.operators
    assert "forbidden" not in operator.text().lower()
    assert operator.lines("pass_failed") + operator.lines("record_refused") + operator.lines("records_left_out") == []


def test_without_the_crd_it_works_and_says_so_once(site: Site, new_site: Callable[[], Site]) -> None:
    del site  # its records go with their CRD
    place = new_site()
    place.api.kubectl("delete", "crd", CRD, "--timeout=30s")
    try:
        operator = place.operator()
        topic = place.topic()
        place.send(topic, {"id": "o1", "name": "a"})
        go_live(place, "without", topic)
        place.until_condition("without", "Reconciling", "False", "Serving")
        (told,) = operator.lines("records_left_out")
        assert (told["crd"], told["reason"]) == (CRD, f"CRD {CRD} is not installed")
        assert operator.lines("pass_failed") == []
    finally:
        place.api.kubectl("apply", "--server-side", f"--filename={ROOT / 'crds' / f'{CRD}.yaml'}")
        place.api.kubectl("wait", "--for=condition=Established", f"crd/{CRD}", "--timeout=30s")
    wake(place, "without")
    until_steps(place, "without", "Live")
