"""Connections: how long they may wait, and plain words for why there is none.

Every session, the worker's and the operator's, frees what it holds in seconds when its process is stopped or cut off:
nothing stays open without work, and both ends probe the connection.
"""

import re
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import conninfo

from projector.ports import StoreUnavailable
from projector.registry import RegistryError

OLDEST_SERVER = 150000
"""MERGE came with PostgreSQL 15."""

_CLIENT: dict[str, Any] = {
    "connect_timeout": 5,  # seconds
    "keepalives": 1,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,  # milliseconds
}

_SESSION = {
    "idle_in_transaction_session_timeout": "10s",
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "10s",
    "default_transaction_isolation": r"read\ committed",
    "timezone": "UTC",
}

_CAUSES = (
    (re.compile(r"FATAL:\s+(.*)"), r"\1"),
    (re.compile(r"Connection refused"), "connection refused"),
    (re.compile(r"(?i)timeout expired|timed out"), "no answer within the time limit"),
    (re.compile(r"(?i)failed to resolve host|could not translate host name|Name or service not known"), "unknown host"),
    (re.compile(r"server closed the connection unexpectedly"), "the server closed the connection"),
    (re.compile(r"no password supplied"), "no password given"),
)


@dataclass(frozen=True, slots=True)
class Address:
    """Where a URI points to, without its secrets."""

    host: str
    port: str
    database: str
    user: str

    def __str__(self) -> str:
        return f"{self.host}:{self.port}/{self.database}"


@dataclass(frozen=True, slots=True)
class Probe:
    """Who we are at a target, and what it is. `server_version` as in 150018."""

    role: str
    database: str
    server_version: int


def address(uri: str) -> Address:
    """Read a URI; raises StoreUnavailable, since the Secret that holds it may be mended."""
    try:
        parts = conninfo.conninfo_to_dict(uri)
    except psycopg.Error:
        # The library's text repeats the URI, password included.
        text = "the connection URI cannot be read; it must look like postgresql://user:password@host:5432/database"
        raise StoreUnavailable(text) from None
    user = str(parts.get("user") or "")
    return Address(
        host=str(parts.get("host") or "localhost"),
        port=str(parts.get("port") or "5432"),
        database=str(parts.get("dbname") or user),
        user=user,
    )


def connect(uri: str, *, application: str, settings: dict[str, str]) -> psycopg.Connection:
    """Open a session in autocommit mode. `settings` are the session's, over those that all have.

    Raises StoreUnavailable naming host, port, database and cause, never a secret.
    """
    target = address(uri)
    own = conninfo.conninfo_to_dict(uri).get("options")
    options = " ".join([*([str(own)] if own else []), *(f"-c {k}={v}" for k, v in (_SESSION | settings).items())])
    try:
        return psycopg.connect(uri, autocommit=True, application_name=application, options=options, **_CLIENT)
    except psycopg.Error as error:
        raise StoreUnavailable(f"{target}: {cause(error)}") from None


def cause(error: psycopg.Error) -> str:
    """One line that says why, in the server's words where it gave some."""
    if error.diag.message_primary:
        return error.diag.message_primary
    text = str(error)
    for pattern, answer in _CAUSES:
        if match := pattern.search(text):
            return match.expand(answer).strip()
    return "the connection was lost"


def probe(uri: str) -> Probe:
    """Connect and look around. Raises StoreUnavailable, or RegistryError where the server is too old."""
    with connect(uri, application="projection probe", settings={"statement_timeout": "5s"}) as connection:
        require_version(connection)
        try:
            row = connection.execute("SELECT current_user::text, current_database()::text").fetchone()
        except psycopg.Error as error:
            raise StoreUnavailable(f"{address(uri)}: {cause(error)}") from None
        role, database = row if row is not None else ("", "")
        return Probe(role=role, database=database, server_version=connection.info.server_version)


def current_role(uri: str) -> str:
    """Name of the role that the URI logs in as, known to the server."""
    return probe(uri).role


def require_version(connection: psycopg.Connection) -> None:
    """Raise RegistryError where the server is older than we can use."""
    version = connection.info.server_version
    if version < OLDEST_SERVER:
        raise RegistryError(f"the server is PostgreSQL {version // 10000}; 15 or newer is needed")
