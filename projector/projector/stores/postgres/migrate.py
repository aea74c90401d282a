"""Installs and migrates the registry's schema.

Migrations only ever expand (columns and tables that older workers do not know) or, a release later, contract: builds
that are kept warm run the workers of an older release.
"""

from collections.abc import Iterator
from importlib import resources
from typing import LiteralString

from psycopg import Cursor

from projector.registry import NotPermitted

_LOCK = "SELECT pg_advisory_xact_lock(7238164509371264)"
"""Two operators may start at once; the number is only ours by being improbable."""

_RIGHTS = """
SELECT current_user::text, current_database()::text, has_database_privilege(current_database(), 'CREATE'),
    to_regnamespace('projections') IS NOT NULL
"""
_VERSIONS = """
CREATE TABLE IF NOT EXISTS projections.migration (
    number integer PRIMARY KEY,
    applied_at timestamptz NOT NULL DEFAULT now()
)
"""


def lock(cursor: Cursor) -> None:
    """Hold off other operators until the end of the transaction."""
    cursor.execute(_LOCK)


def migrate(cursor: Cursor) -> None:
    """Bring the schema up to date inside the caller's transaction, which must hold `lock`."""
    _create_schema(cursor)
    cursor.execute(_VERSIONS)
    done = {number for (number,) in cursor.execute("SELECT number FROM projections.migration")}
    for number, statements in _migrations():
        if number not in done:
            cursor.execute(statements)
            cursor.execute("INSERT INTO projections.migration (number) VALUES (%s)", (number,))


def _create_schema(cursor: Cursor) -> None:
    row = cursor.execute(_RIGHTS).fetchone()
    role, database, may_create, exists = row if row is not None else ("", "", False, False)
    if exists:
        return
    if not may_create:
        raise NotPermitted(
            f'role {role} may not create the schema "projections" in database {database}: '
            f'GRANT CREATE ON DATABASE "{database}" TO "{role}"'
        )
    cursor.execute("CREATE SCHEMA projections")


def _migrations() -> Iterator[tuple[int, LiteralString]]:
    folder = resources.files("projector.stores.postgres.migrations")
    for file in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if file.name.endswith(".sql"):
            yield int(file.name.split("_", 1)[0]), file.read_text(encoding="utf-8")
