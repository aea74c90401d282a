"""The Deployment of a build, whole, and what a template of the spec may change."""

from typing import Any

import pytest

from projection_operator.core.manifests import selector_text
from projection_operator.core.merge import contains, merge
from tests.support.projections import manifest, spec

LABELS = {
    "app.kubernetes.io/name": "projector",
    "app.kubernetes.io/instance": "orders",
    "app.kubernetes.io/component": "projector",
    "app.kubernetes.io/part-of": "projection",
    "app.kubernetes.io/managed-by": "projection-operator",
    "projections.dev/projection": "orders",
    "projections.dev/build": "7",
}
POD = {
    "automountServiceAccountToken": False,
    "enableServiceLinks": False,
    "terminationGracePeriodSeconds": 15,
    "securityContext": {
        "runAsNonRoot": True,
        "runAsUser": 65532,
        "runAsGroup": 65532,
        "fsGroup": 65532,
        "seccompProfile": {"type": "RuntimeDefault"},
    },
    "containers": [
        {
            "name": "projector",
            "image": "projector:1.2.3",
            "args": ["work", "--build", "7", "--epoch", "4"],
            "env": [
                {"name": "PROJECTOR_KAFKA_BOOTSTRAP_SERVERS", "value": "kafka:9092"},
                {"name": "PROJECTOR_TARGET_URI_FILE", "value": "/etc/projector/target/uri"},
                {"name": "PROJECTOR_HTTP_PORT", "value": "8080"},
                {"name": "PROJECTOR_BAD_DATA", "value": "ParkKey"},
                {"name": "PROJECTOR_MAX_PARKED_KEYS", "value": "100"},
            ],
            "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}],
            "startupProbe": {
                "httpGet": {"path": "/healthz", "port": "http"},
                "periodSeconds": 1,
                "timeoutSeconds": 2,
                "failureThreshold": 60,
            },
            "livenessProbe": {
                "httpGet": {"path": "/healthz", "port": "http"},
                "periodSeconds": 10,
                "timeoutSeconds": 2,
                "failureThreshold": 6,
            },
            "readinessProbe": {
                "httpGet": {"path": "/readyz", "port": "http"},
                "periodSeconds": 2,
                "timeoutSeconds": 2,
                "failureThreshold": 3,
            },
            "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "512Mi"}},
            "securityContext": {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            },
            "terminationMessagePolicy": "File",
            "volumeMounts": [
                {"name": "target", "mountPath": "/etc/projector/target", "readOnly": True},
                {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - the pod's own empty volume
            ],
        }
    ],
    "volumes": [
        {
            "name": "target",
            "secret": {"secretName": "db", "items": [{"key": "uri", "path": "uri"}], "defaultMode": 0o440},
        },
        {"name": "tmp", "emptyDir": {"sizeLimit": "64Mi"}},
    ],
}


def test_whole() -> None:
    assert manifest(replicas=2) == {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": "orders-b7",
            "namespace": "shop",
            "labels": LABELS,
            "annotations": {"projections.dev/version": "1", "projections.dev/epoch": "4"},
            "ownerReferences": [
                {
                    "apiVersion": "projections.dev/v1alpha1",
                    "kind": "Projection",
                    "name": "orders",
                    "uid": "uid-1",
                    "controller": True,
                    "blockOwnerDeletion": False,
                }
            ],
        },
        "spec": {
            "replicas": 2,
            "revisionHistoryLimit": 2,
            "selector": {"matchLabels": {"projections.dev/projection": "orders", "projections.dev/build": "7"}},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "template": {
                "metadata": {"labels": LABELS, "annotations": {"projections.dev/version": "1"}},
                "spec": POD,
            },
        },
    }


def test_the_selector_of_the_scale_subresource_finds_the_pods() -> None:
    wanted = dict(pair.split("=") for pair in selector_text("orders", 7).split(","))
    assert wanted.items() <= LABELS.items()


TEMPLATE = {
    "metadata": {"labels": {"team": "sales", "projections.dev/build": "999"}, "annotations": {"a": "b"}},
    "spec": {
        "nodeSelector": {"disk": "ssd"},
        "tolerations": [{"key": "spot", "operator": "Exists"}],
        "containers": [
            {
                "name": "projector",
                "resources": {"limits": {"memory": "2Gi"}},
                "env": [{"name": "EXTRA", "value": "1"}, {"name": "PROJECTOR_HTTP_PORT", "value": "9090"}],
                "livenessProbe": None,
                "volumeMounts": [{"name": "cache", "mountPath": "/cache"}],
            },
            {"name": "sidecar", "image": "sidecar:1"},
        ],
        "volumes": [{"name": "cache", "emptyDir": {}}],
    },
}


def test_a_template_is_laid_over_by_names() -> None:
    made = manifest(wanted=spec(projector={"template": TEMPLATE}))["spec"]["template"]
    pod = made["spec"]
    projector, sidecar = pod["containers"]
    assert made["metadata"]["labels"] == LABELS | {"team": "sales"}
    assert made["metadata"]["annotations"] == {"projections.dev/version": "1", "a": "b"}
    assert (pod["nodeSelector"], pod["tolerations"]) == ({"disk": "ssd"}, [{"key": "spot", "operator": "Exists"}])
    assert projector["resources"] == {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "2Gi"}}
    assert {one["name"]: one["value"] for one in projector["env"]} == {
        "PROJECTOR_KAFKA_BOOTSTRAP_SERVERS": "kafka:9092",
        "PROJECTOR_TARGET_URI_FILE": "/etc/projector/target/uri",
        "PROJECTOR_HTTP_PORT": "9090",
        "PROJECTOR_BAD_DATA": "ParkKey",
        "PROJECTOR_MAX_PARKED_KEYS": "100",
        "EXTRA": "1",
    }
    assert "livenessProbe" not in projector
    assert [one["mountPath"] for one in projector["volumeMounts"]] == ["/etc/projector/target", "/tmp", "/cache"]  # noqa: S108 - the pod's own
    assert [one["name"] for one in pod["volumes"]] == ["target", "tmp", "cache"]
    assert sidecar == {"name": "sidecar", "image": "sidecar:1"}


def environment(made: dict[str, Any]) -> dict[str, str]:
    container = made["spec"]["template"]["spec"]["containers"][0]
    return {one["name"]: one["value"] for one in container["env"]}


def test_what_happens_to_bad_events_reaches_the_pods() -> None:
    made = environment(manifest(wanted=spec(errors={"badData": "Stop", "maxParkedKeys": 7})))
    assert (made["PROJECTOR_BAD_DATA"], made["PROJECTOR_MAX_PARKED_KEYS"]) == ("Stop", "7")


def with_registry(**more: Any) -> dict[str, Any]:
    registry = {"url": "https://schemas:8081", **more}
    kafka = {"bootstrapServers": ["kafka:9092"], "topics": ["orders"], "format": "Avro", "schemaRegistry": registry}
    return manifest(wanted=spec(source={"kafka": kafka}))


def test_a_schema_registry_without_credentials() -> None:
    made = with_registry()
    assert environment(made)["PROJECTOR_SCHEMA_REGISTRY_URL"] == "https://schemas:8081"
    assert "PROJECTOR_SCHEMA_REGISTRY_CREDENTIALS_FILE" not in environment(made)
    assert made["spec"]["template"]["spec"]["volumes"] == POD["volumes"]


def test_credentials_of_a_schema_registry_are_a_file() -> None:
    made = with_registry(credentialsSecretRef={"name": "schemas", "key": "login"})
    pod = made["spec"]["template"]["spec"]
    path = "/etc/projector/schema-registry"
    assert environment(made)["PROJECTOR_SCHEMA_REGISTRY_CREDENTIALS_FILE"] == f"{path}/credentials"
    assert pod["volumes"][1] == {
        "name": "schema-registry",
        "secret": {
            "secretName": "schemas",
            "items": [{"key": "login", "path": "credentials"}],
            "defaultMode": 0o440,
        },
    }
    assert pod["containers"][0]["volumeMounts"][1] == {"name": "schema-registry", "mountPath": path, "readOnly": True}


@pytest.mark.parametrize(
    ("base", "over", "merged"),
    [
        ({"a": 1}, {"b": 2}, {"a": 1, "b": 2}),
        ({"a": {"x": 1, "y": 2}}, {"a": {"y": 3}}, {"a": {"x": 1, "y": 3}}),
        ({"a": {"x": 1}}, {"a": None}, {}),
        ({"args": ["a"]}, {"args": ["b", "c"]}, {"args": ["b", "c"]}),
        ({"l": [{"name": "a", "v": 1}]}, {"l": [{"name": "b"}]}, {"l": [{"name": "a", "v": 1}, {"name": "b"}]}),
        ({"l": [{"name": "a"}]}, {"l": [{"key": "b"}]}, {"l": [{"key": "b"}]}),
        (
            {"ports": [{"name": "http", "containerPort": 1}]},
            {"ports": [{"name": "web", "containerPort": 1}]},
            {"ports": [{"name": "web", "containerPort": 1}]},
        ),
    ],
)
def test_merge(base: dict[str, Any], over: dict[str, Any], merged: dict[str, Any]) -> None:
    before = repr(base)
    assert merge(base, over) == merged
    assert repr(base) == before


@pytest.mark.parametrize(
    ("live", "asked", "holds"),
    [
        ({"a": 1, "default": 2}, {"a": 1}, True),
        ({"a": 1}, {"a": 2}, False),
        ({}, {"a": 0}, False),
        ({"l": [{"name": "a", "default": 1}]}, {"l": [{"name": "a"}]}, True),
        ({"l": [{"name": "a"}, {"name": "b"}]}, {"l": [{"name": "a"}]}, False),
    ],
)
def test_contains(live: object, asked: object, holds: bool) -> None:
    assert contains(live, asked) is holds
