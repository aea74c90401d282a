"""The Deployment of a build, as a dictionary for server-side apply."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from projection_operator.core.merge import merge
from projector.spec.models import ProjectionSpec

GROUP = "projections.dev"
VERSION = "v1alpha1"
KIND = "Projection"
PLURAL = "projections"
MANAGER = "projection-operator"
PROJECTION_LABEL = f"{GROUP}/projection"
BUILD_LABEL = f"{GROUP}/build"
EPOCH_ANNOTATION = f"{GROUP}/epoch"
VERSION_ANNOTATION = f"{GROUP}/version"
MANAGED_BY = f"app.kubernetes.io/managed-by={MANAGER}"
"""Label selector of all that the operator made."""

CONTAINER = "projector"
USER = 65532
HTTP_PORT = 8080
URI_FOLDER = "/etc/projector/target"
GRACE_SECONDS = 15


@dataclass(frozen=True, slots=True)
class Owner:
    """The Projection that owns the Deployment."""

    namespace: str
    name: str
    uid: str


def deployment_name(name: str, build: int) -> str:
    """Name of the Deployment of a build."""
    return f"{name}-b{build}"


def selector(name: str, build: int) -> dict[str, str]:
    """Labels by which the pods of a build are found."""
    return {PROJECTION_LABEL: name, BUILD_LABEL: str(build)}


def selector_text(name: str, build: int) -> str:
    """`selector` as the scale subresource wants it."""
    return ",".join(f"{key}={value}" for key, value in selector(name, build).items())


def deployment(
    owner: Owner, spec: ProjectionSpec, build: int, epoch: int, version: str, replicas: int, image: str
) -> dict[str, Any]:
    """The Deployment of `build`. `version` is the build's own, which may differ from the spec's."""
    labels = _labels(owner.name, build)
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": deployment_name(owner.name, build),
            "namespace": owner.namespace,
            "labels": labels,
            "annotations": {VERSION_ANNOTATION: version, EPOCH_ANNOTATION: str(epoch)},
            "ownerReferences": [_owner_reference(owner)],
        },
        "spec": {
            "replicas": replicas,
            "revisionHistoryLimit": 2,
            "selector": {"matchLabels": selector(owner.name, build)},
            # A new pod joins before an old one leaves, and a pod that does not start takes nothing away.
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "template": _template(spec, build, epoch, version, image, labels),
        },
    }


def _owner_reference(owner: Owner) -> dict[str, Any]:
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": KIND,
        "name": owner.name,
        "uid": owner.uid,
        "controller": True,
        # False: setting it needs a right on the finalizers of Projections, and deletion in the background needs it not.
        "blockOwnerDeletion": False,
    }


def _labels(name: str, build: int) -> dict[str, str]:
    return {
        "app.kubernetes.io/name": "projector",
        "app.kubernetes.io/instance": name,
        "app.kubernetes.io/component": "projector",
        "app.kubernetes.io/part-of": "projection",
        "app.kubernetes.io/managed-by": MANAGER,
        **selector(name, build),
    }


def _template(
    spec: ProjectionSpec, build: int, epoch: int, version: str, image: str, labels: Mapping[str, str]
) -> dict[str, Any]:
    own = {
        "metadata": {"labels": dict(labels), "annotations": {VERSION_ANNOTATION: version}},
        "spec": _pod(spec, build, epoch, image),
    }
    merged = merge(own, spec.projector.template or {})
    # Whatever the template says, the Deployment must find its pods.
    return merge(merged, {"metadata": {"labels": dict(labels)}})


def _pod(spec: ProjectionSpec, build: int, epoch: int, image: str) -> dict[str, Any]:
    secret = spec.target.postgresql.connection_secret_ref
    return {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(spec, build, epoch, image)],
        "volumes": [
            {
                "name": "target",
                "secret": {
                    "secretName": secret.name,
                    "items": [{"key": secret.key, "path": "uri"}],
                    "defaultMode": 0o440,
                },
            },
            {"name": "tmp", "emptyDir": {"sizeLimit": "64Mi"}},
        ],
    }


def _container(spec: ProjectionSpec, build: int, epoch: int, image: str) -> dict[str, Any]:
    return {
        "name": CONTAINER,
        "image": image,
        "args": ["work", "--build", str(build), "--epoch", str(epoch)],
        "env": [
            {"name": "PROJECTOR_KAFKA_BOOTSTRAP_SERVERS", "value": ",".join(spec.source.kafka.bootstrap_servers)},
            {"name": "PROJECTOR_TARGET_URI_FILE", "value": f"{URI_FOLDER}/uri"},
            {"name": "PROJECTOR_HTTP_PORT", "value": str(HTTP_PORT)},
        ],
        "ports": [{"name": "http", "containerPort": HTTP_PORT, "protocol": "TCP"}],
        "startupProbe": _probe("/healthz", period=1, failures=60),
        "livenessProbe": _probe("/healthz", period=10, failures=6),
        "readinessProbe": _probe("/readyz", period=2, failures=3),
        "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "512Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "terminationMessagePolicy": "File",
        "volumeMounts": [
            {"name": "target", "mountPath": URI_FOLDER, "readOnly": True},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - the pod's own empty volume
        ],
    }


def _probe(path: str, period: int, failures: int) -> dict[str, Any]:
    return {
        "httpGet": {"path": path, "port": "http"},
        "periodSeconds": period,
        "timeoutSeconds": 2,
        "failureThreshold": failures,
    }
