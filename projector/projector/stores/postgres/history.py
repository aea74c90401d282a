"""History: what was done, for people; never read by the machinery."""

from psycopg import Cursor

from projector.registry import Identity

_RECORD = """
INSERT INTO projections.history (installation, namespace, name, build, what, detail) VALUES (%s, %s, %s, %s, %s, %s)
"""
_RECORD_BUILD = """
INSERT INTO projections.history (installation, namespace, name, build, what, detail)
SELECT p.installation, p.namespace, p.name, b.number, %s, %s
FROM projections.build b JOIN projections.projection p ON p.id = b.projection WHERE b.number = %s
"""


def record(cursor: Cursor, installation: str, what: str, detail: str, identity: Identity | None = None) -> None:
    """Note an act on the registry or on a projection."""
    namespace, name = (identity.namespace, identity.name) if identity else (None, None)
    cursor.execute(_RECORD, (installation, namespace, name, None, what, detail))


def record_build(cursor: Cursor, build: int, what: str, detail: str = "") -> None:
    """Note an act on a build."""
    cursor.execute(_RECORD_BUILD, (what, detail, build))
