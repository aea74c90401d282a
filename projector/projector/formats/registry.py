"""Schemas by the HTTP API that Confluent's registry and its like have in common."""

import base64
import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from projector.formats.errors import SchemaRegistryUnavailable, Undecodable

_TIMEOUT = 5.0
_SETTLED = 5.0
"""Seconds after which a schema that the registry does not know is really absent.

A registry's follower may learn of a schema later than we read the first event written with it.
"""
_ABSENT = frozenset({40401, 40402, 40403})
"""The API's codes for an unknown subject, version and schema; a 404 without them is not a registry's."""
_MOST_DEEP = 100
"""References may go this deep; there are no circles in a registry that works."""


@dataclass(frozen=True, slots=True)
class Schema:
    """A schema with all that it refers to, each under the name by which it does so."""

    kind: str
    text: str
    references: tuple[tuple[str, "Schema"], ...] = ()


class SchemaRegistry:
    """A registry at `url`. `credentials` is a file with `user:password`, read for every request: it may be rotated.

    Synchronous, for one thread. Schemas never change, so whoever asks keeps what they made of one.
    """

    def __init__(
        self,
        url: str,
        credentials: Path | None = None,
        clock: Callable[[], float] = time.monotonic,
        timeout: float = _TIMEOUT,
    ) -> None:
        parts = urlsplit(url)
        if parts.username is not None:
            raise ValueError("credentials do not belong into the URL of the schema registry, but into a Secret")
        if parts.scheme not in {"http", "https"}:
            raise ValueError(f"{url!r} is not the URL of a schema registry, which begins with http:// or https://")
        self._url = url.rstrip("/")
        self._credentials = credentials
        self._clock = clock
        self._timeout = timeout
        self._absent_since: dict[str, float] = {}

    def schema(self, number: int, serialized: bool = False) -> Schema:
        """The schema of an id; `serialized` asks for Protobuf as a FileDescriptorProto in base64 instead of text.

        Raises SchemaRegistryUnavailable, or Undecodable where the registry does not know the schema.
        """
        return self._resolved(f"/schemas/ids/{number}", serialized, f"schema {number}", _MOST_DEEP)

    def _resolved(self, path: str, serialized: bool, what: str, depth: int) -> Schema:
        if depth == 0:
            raise Undecodable(f"{what} refers to others more than {_MOST_DEEP} deep")
        found = self._get(path + ("?format=serialized" if serialized else ""), what)
        try:
            # AVRO is what the API leaves out.
            kind, text = str(found.get("schemaType", "AVRO")), str(found["schema"])
            wanted = [(str(r["name"]), str(r["subject"]), int(r["version"])) for r in found.get("references") or ()]
        except (AttributeError, KeyError, TypeError, ValueError):
            raise self._unavailable(f"the answer to {path} is not a schema") from None
        references = tuple(
            (name, self._resolved(_version(subject, version), serialized, f"{what}, reference {name}", depth - 1))
            for name, subject, version in wanted
        )
        return Schema(kind, text, references)

    def _get(self, path: str, what: str) -> Any:
        try:
            with urllib.request.urlopen(self._request(path), timeout=self._timeout) as response:  # noqa: S310 - see __init__
                found = json.load(response)
        except urllib.error.HTTPError as error:
            with error:
                raise self._refused(path, what, error.code, _complaint(error)) from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise self._unavailable(f"{path}: {getattr(error, 'reason', error)}") from None
        self._absent_since.pop(path, None)
        return found

    def _request(self, path: str) -> urllib.request.Request:
        request = urllib.request.Request(self._url + path)  # noqa: S310 - see __init__
        request.add_header("Accept", "application/vnd.schemaregistry.v1+json, application/json")
        if self._credentials is not None:
            try:
                token = base64.b64encode(self._credentials.read_bytes().strip()).decode()
            except OSError as error:
                raise self._unavailable(f"the credentials cannot be read: {error.strerror}") from None
            # Unredirected: they are this host's alone.
            request.add_unredirected_header("Authorization", f"Basic {token}")
        return request

    def _refused(self, path: str, what: str, status: int, complaint: Any) -> Exception:
        code, message = complaint.get("error_code"), complaint.get("message")
        if status != http.client.NOT_FOUND or code not in _ABSENT:
            return self._unavailable(f"{path}: {status} {message or http.client.responses.get(status, '')}".rstrip())
        since = self._absent_since.setdefault(path, self._clock())
        if self._clock() - since < _SETTLED:
            return self._unavailable(f"{what} is not known yet")
        return Undecodable(f"{what} is not in the schema registry")

    def _unavailable(self, why: str) -> SchemaRegistryUnavailable:
        return SchemaRegistryUnavailable(f"schema registry at {self._url}: {why}")


def _version(subject: str, version: int) -> str:
    return f"/subjects/{quote(subject, safe='')}/versions/{version}"


def _complaint(error: urllib.error.HTTPError) -> dict[str, Any]:
    try:
        found = json.load(error)
    except (OSError, http.client.HTTPException, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
