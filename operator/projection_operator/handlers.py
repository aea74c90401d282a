"""kopf's part: watches and credentials. An event only compares a signature and wakes the queue."""

import dataclasses
import os
from collections.abc import Callable, Mapping
from typing import Any

import kopf

from projection_operator.core.manifests import (
    GROUP,
    MANAGED_BY,
    MANAGER,
    PLURAL,
    PROJECTION_LABEL,
    VERSION,
)
from projection_operator.core.observation import HOLD_VERSION, TAKE_OVER
from projection_operator.loop.ports import Key

DEBOUNCE = 0.05
"""Seconds in which several events make one pass."""


class Signatures:
    """What of an object matters; an event that changes none of it wakes nobody."""

    def __init__(self, wake: Callable[[Key, float], None]) -> None:
        self._wake = wake
        self._projections: dict[Key, object] = {}
        self._deployments: dict[Key, object] = {}

    def projection(self, kind: str | None, body: Mapping[str, Any]) -> None:
        """An event about a Projection."""
        meta = body["metadata"]
        key = (meta["namespace"], meta["name"])
        annotations = meta.get("annotations") or {}
        said = tuple(annotations.get(name) for name in (TAKE_OVER, HOLD_VERSION))
        mark = (meta["uid"], meta.get("generation"), meta.get("deletionTimestamp"), said)
        if _news(self._projections, key, mark, kind):
            self._wake(key, DEBOUNCE)

    def deployment(self, kind: str | None, body: Mapping[str, Any]) -> None:
        """An event about a Deployment of ours."""
        meta, status = body["metadata"], body.get("status") or {}
        owner = (meta.get("labels") or {}).get(PROJECTION_LABEL)
        counts = tuple(status.get(name) for name in _COUNTS)
        mark = (meta["uid"], meta.get("generation"), meta.get("deletionTimestamp"), counts)
        if _news(self._deployments, (meta["namespace"], meta["name"]), mark, kind) and owner:
            self._wake((meta["namespace"], owner), DEBOUNCE)


_COUNTS = ("observedGeneration", "replicas", "updatedReplicas", "readyReplicas", "availableReplicas")


def _news(known: dict[Key, object], key: Key, mark: object, kind: str | None) -> bool:
    if kind == "DELETED":
        known.pop(key, None)
        return True
    if known.get(key) == mark:
        return False
    known[key] = mark
    return True


def register(registry: kopf.OperatorRegistry, signatures: Signatures) -> None:
    """Put the handlers into `registry`."""

    @kopf.on.login(registry=registry)
    def login(**kwargs: Any) -> kopf.ConnectionInfo | None:
        found = kopf.login_with_service_account(**kwargs)
        return _by_address(found) if found else kopf.login_with_kubeconfig(**kwargs)

    @kopf.on.event(GROUP, VERSION, PLURAL, registry=registry)
    async def projection(type: str | None, body: kopf.Body, **_: Any) -> None:  # noqa: A002 - kopf's keyword
        signatures.projection(type, body)

    @kopf.on.event("apps", "v1", "deployments", labels={"app.kubernetes.io/managed-by": MANAGER}, registry=registry)
    async def deployment(type: str | None, body: kopf.Body, **_: Any) -> None:  # noqa: A002 - kopf's keyword
        signatures.deployment(type, body)


def _by_address(found: kopf.ConnectionInfo) -> kopf.ConnectionInfo:
    """Reach the API server as all other clients in a pod do: by the injected address, so that DNS may be away."""
    host, port = os.environ.get("KUBERNETES_SERVICE_HOST"), os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    if not host:
        return found
    return dataclasses.replace(found, server=f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}")


def settings() -> kopf.OperatorSettings:
    """Settings that were proven on a real API server; see docs/adr/0001."""
    made = kopf.OperatorSettings()
    made.persistence.finalizer = f"{GROUP}/unused"
    made.posting.enabled = False
    # No looking for CRDs and namespaces, so no rights on them; the service waits until Projections are served.
    made.scanning.disabled = True
    # A worker keeps its slot until idle: both together, or neither.
    made.queueing.worker_limit = 50
    made.queueing.idle_timeout = 0.05
    made.watching.server_timeout = 300
    made.watching.client_timeout = 360
    made.watching.connect_timeout = 10
    made.watching.chunk_size = 500
    made.watching.label_selectors["deployments"] = MANAGED_BY
    made.networking.request_timeout = 30
    made.networking.connect_timeout = 10
    made.networking.error_backoffs = [1, 2, 4]
    return made
