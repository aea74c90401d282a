"""The chart: rights without wildcards, pods that a restricted namespace takes, a CRD that upgrades and stays."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.api_server import Api, CommandFailed
from tests.support.operator_process import CHART
from tests.support.projections import manifest

RELEASE, NAMESPACE = "projection-operator", "chart"
CRD = "projections.projections.dev"


@pytest.fixture(scope="module")
def namespace(api: Api) -> Iterator[str]:
    """One that warns of what a restricted one would refuse."""
    labels = {"pod-security.kubernetes.io/warn": "restricted"}
    api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": labels}})
    yield NAMESPACE
    api.kubectl("delete", "namespace", NAMESPACE, "--wait=false")


def render(api: Api, *options: str) -> list[dict[str, Any]]:
    text = api.helm("template", RELEASE, str(CHART), f"--namespace={NAMESPACE}", *options)
    return [one for one in yaml.safe_load_all(text) if one]


def test_lint(api: Api) -> None:
    assert "0 chart(s) failed" in api.helm("lint", "--strict", str(CHART))


def test_rights_are_few_and_named(api: Api) -> None:
    rules = {
        (one["kind"], one["metadata"]["name"]): one["rules"]
        for one in render(api)
        if one["kind"] in {"ClusterRole", "Role"}
    }
    for owner, granted in rules.items():
        for rule in granted:
            assert "*" not in [*rule["apiGroups"], *rule["resources"], *rule["verbs"]], owner
    by_resource = {
        resource: set(rule["verbs"])
        for rule in rules["ClusterRole", f"{RELEASE}-projections"]
        for resource in rule["resources"]
    }
    assert by_resource["secrets"] == {"get"}
    assert by_resource["projections"] == {"get", "list", "watch", "patch"}
    assert by_resource["projections/status"] == {"patch"}
    assert by_resource["projectionrebuilds"] == {"list", "create", "patch", "delete"}
    assert by_resource["projectionrebuilds/status"] == {"patch"}
    ours = {"projections", "projections/status", "projectionrebuilds", "projectionrebuilds/status"}
    assert set(by_resource) == {*ours, "deployments", "secrets", "events"}


def test_people_read_records_and_write_none(api: Api) -> None:
    granted = {
        role: {resource: set(rule["verbs"]) for rule in one["rules"] for resource in rule["resources"]}
        for one in render(api)
        for role in ("view", "edit")
        if one["metadata"]["name"] == f"{RELEASE}-{role}"
    }
    assert granted["view"]["projectionrebuilds"] == {"get", "list", "watch"}
    assert "projectionrebuilds" not in granted["edit"]


def test_both_crds_are_installed_or_none(api: Api) -> None:
    def crds(*options: str) -> list[str]:
        return [
            one["metadata"]["name"]
            for one in render(api, *options)
            if one["kind"] == "CustomResourceDefinition"
            and one["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
        ]

    assert sorted(crds()) == ["projectionrebuilds.projections.dev", CRD]
    assert crds("--set=crds.install=false") == []


def test_with_namespaces_given_the_rights_are_bound_there_only(api: Api) -> None:
    bindings = [
        (one["kind"], one["metadata"].get("namespace"), one["roleRef"]["name"])
        for one in render(api, "--set=watchNamespaces={a,b}")
        if one["kind"].endswith("Binding")
    ]
    assert sorted(bindings, key=str) == sorted(
        [
            ("ClusterRoleBinding", None, f"{RELEASE}-cluster"),
            ("RoleBinding", "a", f"{RELEASE}-projections"),
            ("RoleBinding", "b", f"{RELEASE}-projections"),
            ("RoleBinding", NAMESPACE, RELEASE),
        ],
        key=str,
    )


def test_pods_of_operator_and_projector_suit_a_restricted_namespace(api: Api, namespace: str) -> None:
    (operator,) = (one for one in render(api) if one["kind"] == "Deployment")
    projector = manifest()
    projector["metadata"]["namespace"] = namespace
    del projector["metadata"]["ownerReferences"]
    api.apply(operator, projector, options=["--dry-run=server", "--warnings-as-errors"])


def test_an_image_by_digest(api: Api) -> None:
    digest = f"sha256:{'a' * 64}"
    (operator,) = (one for one in render(api, f"--set=image.digest={digest}") if one["kind"] == "Deployment")
    assert operator["spec"]["template"]["spec"]["containers"][0]["image"] == f"projection-operator@{digest}"


@pytest.mark.parametrize("wrong", ["imgae.tag=1", "workers=0", "image.digest=abc", "watchNamespaces={A_B}"])
def test_values_are_checked(api: Api, wrong: str) -> None:
    with pytest.raises(CommandFailed, match="values don't meet the specifications of the schema"):
        render(api, f"--set={wrong}")


def test_the_crd_upgrades_with_the_chart_and_outlives_it(api: Api, namespace: str, tmp_path: Path) -> None:
    # The CRD is there already, as after `kubectl apply -f crds/`.
    install = ("upgrade", "--install", RELEASE, f"--namespace={namespace}", "--take-ownership")
    api.helm(*install, str(CHART))
    newer = tmp_path / "chart"
    shutil.copytree(CHART, newer)
    file = newer / "files" / f"{CRD}.yaml"
    file.write_text(file.read_text().replace("A read model: the fold of a log into a table.", "Something newer."))
    api.helm(*install, str(newer))
    assert _description(api) == "Something newer."
    api.helm("uninstall", RELEASE, f"--namespace={namespace}")
    assert _description(api) == "Something newer."
    api.kubectl("wait", "--for=condition=Established", f"crd/{CRD}", "--timeout=10s")


def _description(api: Api) -> str:
    crd = json.loads(api.kubectl("get", "crd", CRD, "--output=json"))
    text: str = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["description"]
    return text
