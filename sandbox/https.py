"""Just enough of an HTTP client for health checks."""

from __future__ import annotations

import http.client
import json
import ssl
from pathlib import Path
from typing import Any

from . import versions


def status(port: int, path: str, *, tls: bool = True, timeout: float = 2.0) -> int:
    """The status code of a health endpoint on this machine; 0 if nothing answers."""
    # These endpoints have certificates of their own making, and only say "ok".
    context = ssl._create_unverified_context() if tls else None  # noqa: S323, SLF001
    return _get(port, path, context, timeout)[0]


def api(pki: Path, path: str, timeout: float = 5.0) -> tuple[int, Any]:
    """GET from the API server as its administrator: status code and JSON."""
    try:
        context = ssl.create_default_context(cafile=str(pki / "ca.crt"))
        context.load_cert_chain(pki / "admin.crt", pki / "admin.key")
    except OSError:
        return 0, None
    code, body = _get(versions.PORT_APISERVER, path, context, timeout)
    try:
        return code, json.loads(body)
    except ValueError:
        return code, None


def _get(port: int, path: str, context: ssl.SSLContext | None, timeout: float) -> tuple[int, bytes]:
    connection = (
        http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
        if context is None
        else http.client.HTTPSConnection("127.0.0.1", port, timeout=timeout, context=context)
    )
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    except (OSError, http.client.HTTPException):
        return 0, b""
    finally:
        connection.close()
