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
RECORD_KIND = "ProjectionRebuild"
RECORD_PLURAL = "projectionrebuilds"
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
SCHEMA_REGISTRY_FOLDER = "/etc/projector/schema-registry"
GRACE_SECONDS = 15
MAX_RATE = "PROJECTOR_MAX_EVENTS_PER_SECOND"
"""Of a replay, for each pod of the build."""


@dataclass(frozen=True, slots=True)
class Owner:
    """The Projection that owns the Deployment."""

    namespace: str
    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class Run:
    """What runs. `version` is the build's own, which may differ from the spec's.

    `max_events_per_second` is the limit of each of its pods, while it replays.
    """

    build: int
    epoch: int
    version: str
    replicas: int
    image: str
    max_events_per_second: str | None = None


def deployment_name(name: str, build: int) -> str:
    """Name of the Deployment of a build."""
    return f"{name}-b{build}"


def selector(name: str, build: int) -> dict[str, str]:
    """Labels by which the pods of a build are found."""
    return {PROJECTION_LABEL: name, BUILD_LABEL: str(build)}


def selector_text(name: str, build: int) -> str:
    """`selector` as the scale subresource wants it."""
    return ",".join(f"{key}={value}" for key, value in selector(name, build).items())


def deployment(owner: Owner, spec: ProjectionSpec, run: Run) -> dict[str, Any]:
    """The Deployment of a build."""
    labels = labels_of(owner.name, run.build)
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": deployment_name(owner.name, run.build),
            "namespace": owner.namespace,
            "labels": labels,
            "annotations": {VERSION_ANNOTATION: run.version, EPOCH_ANNOTATION: str(run.epoch)},
            "ownerReferences": [owner_reference(owner)],
        },
        "spec": {
            "replicas": run.replicas,
            "revisionHistoryLimit": 2,
            "selector": {"matchLabels": selector(owner.name, run.build)},
            # A new pod joins before an old one leaves, and a pod that does not start takes nothing away.
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "template": _template(spec, run, labels),
        },
    }


def owner_reference(owner: Owner) -> dict[str, Any]:
    """With it, what the operator made goes when the Projection does."""
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": KIND,
        "name": owner.name,
        "uid": owner.uid,
        "controller": True,
        # False: setting it needs a right on the finalizers of Projections, and deletion in the background needs it not.
        "blockOwnerDeletion": False,
    }


def labels_of(name: str, build: int) -> dict[str, str]:
    """Labels of all that belongs to a build."""
    return {
        "app.kubernetes.io/name": "projector",
        "app.kubernetes.io/instance": name,
        "app.kubernetes.io/component": "projector",
        "app.kubernetes.io/part-of": "projection",
        "app.kubernetes.io/managed-by": MANAGER,
        **selector(name, build),
    }


def _template(spec: ProjectionSpec, run: Run, labels: Mapping[str, str]) -> dict[str, Any]:
    own = {
        "metadata": {"labels": dict(labels), "annotations": {VERSION_ANNOTATION: run.version}},
        "spec": _pod(spec, run),
    }
    merged = merge(own, spec.projector.template or {})
    # Whatever the template says, the Deployment must find its pods.
    return merge(merged, {"metadata": {"labels": dict(labels)}})


def _pod(spec: ProjectionSpec, run: Run) -> dict[str, Any]:
    secrets = _secrets(spec)
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
        "containers": [_container(spec, run, secrets)],
        "volumes": [
            *(_volume(secret) for secret in secrets),
            {"name": "tmp", "emptyDir": {"sizeLimit": "64Mi"}},
        ],
    }


@dataclass(frozen=True, slots=True)
class _Secret:
    """A key of a Secret as a file `<folder>/<path>`, on a volume `volume`."""

    volume: str
    name: str
    key: str
    folder: str
    path: str


def _secrets(spec: ProjectionSpec) -> tuple[_Secret, ...]:
    target = spec.target.postgresql.connection_secret_ref
    found = [_Secret("target", target.name, target.key, URI_FOLDER, "uri")]
    registry = spec.source.kafka.schema_registry
    if registry is not None and registry.credentials_secret_ref is not None:
        ref = registry.credentials_secret_ref
        found.append(_Secret("schema-registry", ref.name, ref.key, SCHEMA_REGISTRY_FOLDER, "credentials"))
    return tuple(found)


def _volume(secret: _Secret) -> dict[str, Any]:
    items = [{"key": secret.key, "path": secret.path}]
    return {"name": secret.volume, "secret": {"secretName": secret.name, "items": items, "defaultMode": 0o440}}


def _environment(spec: ProjectionSpec, run: Run) -> dict[str, str]:
    """What a projector has to know beside its build's definition, which the registry holds."""
    kafka = spec.source.kafka
    found = {
        "PROJECTOR_KAFKA_BOOTSTRAP_SERVERS": ",".join(kafka.bootstrap_servers),
        "PROJECTOR_TARGET_URI_FILE": f"{URI_FOLDER}/uri",
        "PROJECTOR_HTTP_PORT": str(HTTP_PORT),
        "PROJECTOR_BAD_DATA": spec.errors.bad_data,
        "PROJECTOR_MAX_PARKED_KEYS": str(spec.errors.max_parked_keys),
    }
    if run.max_events_per_second is not None:
        found[MAX_RATE] = run.max_events_per_second
    if kafka.schema_registry is not None:
        found["PROJECTOR_SCHEMA_REGISTRY_URL"] = kafka.schema_registry.url
        if kafka.schema_registry.credentials_secret_ref is not None:
            found["PROJECTOR_SCHEMA_REGISTRY_CREDENTIALS_FILE"] = f"{SCHEMA_REGISTRY_FOLDER}/credentials"
    return found


def _container(spec: ProjectionSpec, run: Run, secrets: tuple[_Secret, ...]) -> dict[str, Any]:
    return {
        "name": CONTAINER,
        "image": run.image,
        "args": ["work", "--build", str(run.build), "--epoch", str(run.epoch)],
        "env": [{"name": name, "value": value} for name, value in _environment(spec, run).items()],
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
            *({"name": one.volume, "mountPath": one.folder, "readOnly": True} for one in secrets),
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
