"""A stand-in for a schema registry: a real HTTP server on loopback with the part of the API that readers use.

It stores what it is given: it neither compiles nor compares schemas. Protobuf is registered as a descriptor, which is
what it answers to `format=serialized`.
"""

import base64
import io
import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

import fastavro
from google.protobuf.descriptor import FileDescriptor
from google.protobuf.message import Message

Reference = tuple[str, str, int]
"""Name, subject and version."""

_PROTO_TEXT = 'syntax = "proto3";\n'
_UNKNOWN = {"subjects": (40401, "Subject not found."), "schemas": (40403, "Schema not found")}


@dataclass(frozen=True, slots=True)
class _Stored:
    number: int
    kind: str
    text: str
    references: tuple[Reference, ...]


class SchemaRegistryServer:
    """Use as a context manager. `failing` and `answer` say what it does wrong, if anything; `paths` were asked for."""

    def __init__(self, user_password: str = "") -> None:
        self.failing = 0
        """A status to answer everything with; 0: none."""
        self.answer: bytes | None = None
        """A body to answer everything with, in place of the right one."""
        self.compiles = True
        """Whether `format=serialized` is served; else schemas come as text, as old registries give them."""
        self.paths: list[str] = []
        self._authorization = f"Basic {base64.b64encode(user_password.encode()).decode()}" if user_password else None
        self._by_number: dict[int, _Stored] = {}
        self._by_subject: dict[str, list[_Stored]] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        """Serve."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def register(self, subject: str, text: str, kind: str = "AVRO", references: Sequence[Reference] = ()) -> int:
        """Store a schema as the next version of a subject; its id."""
        stored = _Stored(len(self._by_number) + 1, kind, text, tuple(references))
        self._by_number[stored.number] = stored
        self._by_subject.setdefault(subject, []).append(stored)
        return stored.number

    def register_file(self, file: FileDescriptor, subject: str = "") -> int:
        """Store a Protobuf file and those it imports, each under its name or `subject`; its id."""
        own = [imported for imported in file.dependencies if not imported.name.startswith("google/protobuf/")]
        for imported in own:
            self.register_file(imported)
        references = [(imported.name, imported.name, len(self._by_subject[imported.name])) for imported in own]
        text = base64.b64encode(file.serialized_pb).decode()
        return self.register(subject or file.name, text, "PROTOBUF", references)

    def avro(self, subject: str, schema: Any) -> Callable[[Any], bytes]:
        """Register an Avro schema; what makes values of events written with it."""
        number = self.register(subject, json.dumps(schema))
        return lambda event: avro_value(number, schema, event)

    def protobuf(self, subject: str, file: FileDescriptor) -> Callable[[Message], bytes]:
        """Register a Protobuf file; what makes values of messages of it."""
        number = self.register_file(file, subject)
        return lambda message: protobuf_value(number, message)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        registry = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, body = registry._answer(self.path, self.headers.get("Authorization"))
                self.send_response(status)
                self.send_header("Content-Type", "application/vnd.schemaregistry.v1+json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        return Handler

    def _answer(self, path: str, authorization: str | None) -> tuple[int, bytes]:
        self.paths.append(path)
        if self._authorization not in {None, authorization}:
            return 401, json.dumps({"error_code": 401, "message": "Unauthorized"}).encode()
        if self.failing:
            return self.failing, json.dumps({"error_code": self.failing * 100, "message": "out of order"}).encode()
        if self.answer is not None:
            return 200, self.answer
        split = urlsplit(path)
        parts = [unquote(part) for part in split.path.strip("/").split("/")]
        stored = self._stored(parts)
        if stored is None:
            code, message = _UNKNOWN.get(parts[0], (404, "HTTP 404 Not Found"))
            return 404, json.dumps({"error_code": code, "message": message}).encode()
        return 200, json.dumps(self._body(stored, parse_qs(split.query).get("format") == ["serialized"])).encode()

    def _stored(self, parts: list[str]) -> _Stored | None:
        match parts:
            case ["schemas", "ids", number]:
                return self._by_number.get(int(number))
            case ["subjects", subject, "versions", version]:
                versions = self._by_subject.get(subject, [])
                return versions[int(version) - 1] if int(version) <= len(versions) else None
            case _:
                return None

    def _body(self, stored: _Stored, serialized: bool) -> dict[str, Any]:
        body: dict[str, Any] = {"schema": stored.text}
        if stored.kind != "AVRO":  # which the API leaves out
            body["schemaType"] = stored.kind
        if stored.kind == "PROTOBUF" and not (serialized and self.compiles):
            body["schema"] = _PROTO_TEXT
        if stored.references:
            body["references"] = [{"name": n, "subject": s, "version": v} for n, s, v in stored.references]
        return body


def avro_value(number: int, schema: Any, event: Any) -> bytes:
    """A record's value: an event in Avro."""
    out = io.BytesIO()
    fastavro.schemaless_writer(out, schema, event)
    return _header(number) + out.getvalue()


def protobuf_value(number: int, message: Message) -> bytes:
    """A record's value: a message in Protobuf, with its place in the file."""
    path = _path(message.DESCRIPTOR)
    indexes = b"\0" if path == [0] else b"".join(zigzag(number) for number in (len(path), *path))
    return _header(number) + indexes + message.SerializeToString()


def _path(descriptor: Any) -> list[int]:
    parent = descriptor.containing_type
    siblings = descriptor.file.message_types_by_name.values() if parent is None else parent.nested_types
    return [*([] if parent is None else _path(parent)), [found.name for found in siblings].index(descriptor.name)]


def zigzag(number: int) -> bytes:
    """A number as Protobuf's sint32 and Avro's int are written."""
    rest = (number << 1) ^ (number >> 63)
    out = bytearray()
    while rest > 0x7F:
        out.append(rest & 0x7F | 0x80)
        rest >>= 7
    out.append(rest)
    return bytes(out)


def _header(number: int) -> bytes:
    return b"\0" + number.to_bytes(4, "big")
