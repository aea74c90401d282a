"""The few calls to the API server that the operator makes, on plain dictionaries.

All raise `Unavailable` where the API server does not answer (or asks to come again), and `Refused` where it says no.
"""

import asyncio
import base64
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import aiohttp
from kubernetes.aio import client, config

from projection_operator.core.events import Event
from projection_operator.core.manifests import GROUP, KIND, MANAGER, PLURAL, RECORD_KIND, RECORD_PLURAL, VERSION

Object = dict[str, Any]

APPLY = "application/apply-patch+yaml"
JSON = "application/json"
TIMEOUT = 3.0
"""Seconds for one call; the client's own default is 300."""


class Unavailable(Exception):
    """The API server cannot be reached, is overloaded, or failed; try again later."""


@dataclass
class Refused(Exception):
    """The API server understood and said no. `message` is its own text."""

    status: int
    message: str

    def __str__(self) -> str:
        return f"{self.status}: {self.message}"


_NOT_FOUND, _CONFLICT, _TOO_MANY, _SERVER_ERROR = 404, 409, 429, 500


async def configuration() -> client.Configuration:
    """Credentials from KUBECONFIG where that is set, else from the pod's service account."""
    made = client.Configuration()
    if os.environ.get("KUBECONFIG"):
        await config.load_kube_config(client_configuration=made)  # type: ignore[no-untyped-call]  # theirs
    else:
        config.load_incluster_config(client_configuration=made)  # type: ignore[no-untyped-call]  # theirs
    return made


class Cluster:
    """One connection pool to the API server."""

    def __init__(self, made: client.Configuration) -> None:
        self._api = client.ApiClient(made)
        self.errors = 0

    async def close(self) -> None:
        """Release connections."""
        await self._api.close()  # type: ignore[no-untyped-call]  # theirs

    async def call(
        self,
        method: str,
        path: str,
        body: Object | None = None,
        query: Mapping[str, str] | None = None,
        content_type: str = JSON,
    ) -> Object:
        """One request; the answer as a dictionary."""
        headers = {"Accept": JSON, "Content-Type": content_type}
        request = await self._api.param_serialize(
            method, path, query_params=list((query or {}).items()), header_params=headers, body=body,
            auth_settings=["BearerToken"],
        )  # fmt: skip
        try:
            answer = await self._api.call_api(*request, _request_timeout=TIMEOUT)
            text: bytes = await answer.read()  # type: ignore[no-untyped-call]  # theirs
        except (aiohttp.ClientError, OSError, TimeoutError, asyncio.IncompleteReadError) as error:
            self.errors += 1
            raise Unavailable(f"the API server does not answer: {str(error) or type(error).__name__}") from error
        return self._judged(answer.status, text)

    def _judged(self, status: int, text: bytes) -> Object:
        if status < 400:  # noqa: PLR2004 - where HTTP's errors begin
            decoded: Object = json.loads(text or b"{}")
            return decoded
        message = _message(text)
        # An unknown field in an apply gives 500; it never passes by itself.
        permanent = status < _SERVER_ERROR or "field not declared in schema" in message
        if status == _TOO_MANY or not permanent:
            self.errors += 1
            raise Unavailable(f"the API server answers {status}: {message}")
        raise Refused(status, message)

    async def _find(self, path: str) -> Object | None:
        try:
            return await self.call("GET", path)
        except Refused as refused:
            if refused.status == _NOT_FOUND:
                return None
            raise

    # Projections -------------------------------------------------------------------------------------------------

    async def projection(self, namespace: str, name: str) -> Object | None:
        """A Projection, or None where there is none."""
        return await self._find(_projection(namespace, name))

    async def apply_status(self, namespace: str, name: str, status: Object) -> None:
        """Write `status`; what it does not have is removed."""
        body = {**_typed(namespace, name), "status": status}
        await self._apply(f"{_projection(namespace, name)}/status", body)

    async def apply_finalizers(self, namespace: str, name: str, uid: str, finalizers: list[str]) -> None:
        """Have our finalizer there or not. The uid keeps this from creating an object that is already gone."""
        body = _typed(namespace, name)
        body["metadata"] |= {"uid": uid, "finalizers": finalizers}
        await self._apply(_projection(namespace, name), body, manager=f"{MANAGER}-finalizer")

    async def _apply(self, path: str, body: Object, manager: str = MANAGER) -> Object:
        query = {"fieldManager": manager, "force": "true"}
        return await self.call("PATCH", path, body, query, content_type=APPLY)

    # Deployments -------------------------------------------------------------------------------------------------

    async def deployments(self, namespace: str, selector: str) -> list[Object]:
        """Deployments with these labels."""
        answer = await self.call("GET", _deployments(namespace), query={"labelSelector": selector})
        items: list[Object] = answer["items"]
        return items

    async def apply_deployment(self, manifest: Mapping[str, Any]) -> None:
        """Make a Deployment look like `manifest`."""
        meta = manifest["metadata"]
        await self._apply(f"{_deployments(meta['namespace'])}/{quote(meta['name'])}", dict(manifest))

    async def delete_deployment(self, namespace: str, name: str) -> None:
        """Delete a Deployment, its pods in the background; gone is fine."""
        await self._delete(f"{_deployments(namespace)}/{quote(name)}")

    async def _delete(self, path: str) -> None:
        try:
            await self.call("DELETE", path, {"propagationPolicy": "Background"})
        except Refused as refused:
            if refused.status != _NOT_FOUND:
                raise

    # Records of builds -------------------------------------------------------------------------------------------

    async def records(self, namespace: str, selector: str) -> list[Object]:
        """Records with these labels; Refused(404) where their CRD is not installed."""
        answer = await self.call("GET", _records(namespace), query={"labelSelector": selector})
        items: list[Object] = answer["items"]
        return items

    async def apply_record(self, manifest: Mapping[str, Any]) -> None:
        """Make a record look like `manifest`, which has no status."""
        meta = manifest["metadata"]
        await self._apply(f"{_records(meta['namespace'])}/{quote(meta['name'])}", dict(manifest))

    async def apply_record_status(self, namespace: str, name: str, status: Object) -> None:
        """Write the status of a record; what it does not have is removed. Refused(404) where the record is gone."""
        body = {**_typed(namespace, name, RECORD_KIND), "status": status}
        await self._apply(f"{_records(namespace)}/{quote(name)}/status", body)

    async def delete_record(self, namespace: str, name: str) -> None:
        """Delete a record; gone is fine."""
        await self._delete(f"{_records(namespace)}/{quote(name)}")

    # The rest ----------------------------------------------------------------------------------------------------

    async def secret(self, namespace: str, name: str) -> dict[str, bytes] | None:
        """The data of a Secret, or None where there is none."""
        found = await self._find(f"/api/v1/namespaces/{quote(namespace)}/secrets/{quote(name)}")
        if found is None:
            return None
        return {key: base64.b64decode(value) for key, value in (found.get("data") or {}).items()}

    async def served(self) -> bool:
        """Whether the API server knows Projections: the CRD is installed and established."""
        try:
            answer = await self.call("GET", f"/apis/{GROUP}/{VERSION}")
        except Refused:
            return False
        return any(resource["name"] == PLURAL for resource in answer["resources"])

    async def installation(self) -> str:
        """What tells this cluster from others: the uid of its kube-system namespace."""
        found = await self.call("GET", "/api/v1/namespaces/kube-system")
        return str(found["metadata"]["uid"])

    async def emit(self, body: Mapping[str, Any], event: Event, reporter: str, at: str) -> None:
        """Post an event about the Projection `body`."""
        meta = body["metadata"]
        await self.call(
            "POST",
            f"/api/v1/namespaces/{quote(meta['namespace'])}/events",
            {
                "metadata": {"generateName": f"{meta['name']}.", "namespace": meta["namespace"]},
                "involvedObject": {
                    "apiVersion": f"{GROUP}/{VERSION}",
                    "kind": KIND,
                    "namespace": meta["namespace"],
                    "name": meta["name"],
                    "uid": meta["uid"],
                    "resourceVersion": meta["resourceVersion"],
                },
                "type": event.type,
                "reason": event.reason.value,
                "message": event.message,
                "source": {"component": MANAGER},
                "reportingComponent": f"{GROUP}/{MANAGER}",
                "reportingInstance": reporter,
                "firstTimestamp": at,
                "lastTimestamp": at,
                "count": 1,
            },
        )

    # Leases ------------------------------------------------------------------------------------------------------

    async def lease(self, namespace: str, name: str) -> Object | None:
        """A Lease, or None where there is none."""
        return await self._find(_lease(namespace, name))

    async def create_lease(self, namespace: str, body: Object) -> Object:
        """Create a Lease; Refused(409) where another was faster."""
        return await self.call("POST", _leases(namespace), body)

    async def replace_lease(self, namespace: str, name: str, body: Object) -> Object:
        """Replace the Lease that was read; Refused(409) where it has changed since."""
        return await self.call("PUT", _lease(namespace, name), body)


def conflict(refused: Refused) -> bool:
    """Whether somebody else was faster."""
    return refused.status == _CONFLICT


def _message(text: bytes) -> str:
    try:
        return str(json.loads(text)["message"])
    except (ValueError, KeyError, TypeError):
        return text.decode("utf-8", "replace")[:500]


def _typed(namespace: str, name: str, kind: str = KIND) -> Object:
    return {"apiVersion": f"{GROUP}/{VERSION}", "kind": kind, "metadata": {"namespace": namespace, "name": name}}


def _projection(namespace: str, name: str) -> str:
    return f"/apis/{GROUP}/{VERSION}/namespaces/{quote(namespace)}/{PLURAL}/{quote(name)}"


def _deployments(namespace: str) -> str:
    return f"/apis/apps/v1/namespaces/{quote(namespace)}/deployments"


def _records(namespace: str) -> str:
    return f"/apis/{GROUP}/{VERSION}/namespaces/{quote(namespace)}/{RECORD_PLURAL}"


def _leases(namespace: str) -> str:
    return f"/apis/coordination.k8s.io/v1/namespaces/{quote(namespace)}/leases"


def _lease(namespace: str, name: str) -> str:
    return f"{_leases(namespace)}/{quote(name)}"
