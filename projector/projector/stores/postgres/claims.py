"""Projections in the registry: who holds a public name, and letting go of all of it."""

from psycopg import Cursor, errors, sql

from projector.ports import StoreUnavailable
from projector.registry import Identity, PublicName, TargetTaken, WrongState
from projector.stores.postgres import indexing
from projector.stores.postgres.grants import require_schema
from projector.stores.postgres.history import record

_OWN = """
SELECT id, resource_uid, public_schema, public_name, live_build FROM projections.projection
WHERE installation = %s AND namespace = %s AND name = %s FOR UPDATE
"""
_HOLDER = (
    "SELECT namespace, name FROM projections.projection WHERE public_schema = %s AND public_name = %s AND id <> %s"
)
_INSERT = """
INSERT INTO projections.projection (installation, namespace, name, resource_uid, public_schema, public_name)
VALUES (%s, %s, %s, %s, %s, %s)
"""
_ADOPT = "UPDATE projections.projection SET resource_uid = %s, public_schema = %s, public_name = %s WHERE id = %s"
_RELATION = """
SELECT c.relkind::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = %s AND c.relname = %s
"""
# Locked, so that whoever is broken off in making an index sees why.
_TABLES = """
SELECT number, table_schema, table_name FROM projections.build WHERE projection = %s AND state <> 'Retired' FOR UPDATE
"""


def claim(cursor: Cursor, identity: Identity, resource_uid: str, public: PublicName) -> None:
    """Register or adopt.

    Raises TargetTaken, RegistryError, NotPermitted; WrongState where the table of a live build would be renamed.
    """
    own = cursor.execute(_OWN, (identity.installation, identity.namespace, identity.name)).fetchone()
    own_id, uid, schema, table, live = own if own is not None else (0, "", "", "", None)
    if own is not None and (uid, schema, table) == (resource_uid, public.schema, public.table):
        return
    if live is not None and (schema, table) != (public.schema, public.table):
        raise WrongState(f"the public name is {schema}.{table} and cannot become {public} while build {live} is live")
    _require_free(cursor, own_id, public, is_shown=live is not None)
    if own is None:
        require_schema(cursor, public.schema)
        names = (identity.installation, identity.namespace, identity.name, resource_uid, public.schema, public.table)
        cursor.execute(_INSERT, names)
        record(cursor, identity.installation, "Claimed", str(public), identity)
    else:
        cursor.execute(_ADOPT, (resource_uid, public.schema, public.table, own_id))
        record(cursor, identity.installation, "Adopted", f"{public} for resource {resource_uid}", identity)


def _require_free(cursor: Cursor, own_id: int, public: PublicName, *, is_shown: bool) -> None:
    holder = cursor.execute(_HOLDER, (public.schema, public.table, own_id)).fetchone()
    if holder is not None:
        raise TargetTaken(f"{public} is the table of projection {holder[0]}/{holder[1]}")
    if not is_shown and relation_kind(cursor, public.schema, public.table) is not None:
        raise TargetTaken(f"{public} is a table that is not managed here")


def relation_kind(cursor: Cursor, schema: str, name: str) -> str | None:
    """Kind of what has this name (`r` table, `v` view, …), None where nothing has."""
    row = cursor.execute(_RELATION, (schema, name)).fetchone()
    return None if row is None else str(row[0])


def delete(cursor: Cursor, identity: Identity) -> None:
    """Drop view and tables, forget everything but the history. Raises WrongState where other objects depend on them."""
    own = cursor.execute(_OWN, (identity.installation, identity.namespace, identity.name)).fetchone()
    if own is None:
        return
    own_id, _, schema, name, live = own
    if live is not None and relation_kind(cursor, schema, name) == "v":
        drop(cursor, "VIEW", schema, name)
    for number, table_schema, table in cursor.execute(_TABLES, (own_id,)).fetchall():
        indexing.stop(cursor, number)
        drop(cursor, "TABLE", table_schema, table)
    cursor.execute("UPDATE projections.projection SET live_build = NULL WHERE id = %s", (own_id,))
    cursor.execute("DELETE FROM projections.projection WHERE id = %s", (own_id,))
    record(cursor, identity.installation, "Deleted", f"{schema}.{name}", identity)


_DROP = {"VIEW": sql.SQL("DROP VIEW IF EXISTS {}"), "TABLE": sql.SQL("DROP TABLE IF EXISTS {}")}


def drop(cursor: Cursor, kind: str, schema: str, name: str) -> None:
    """Drop a relation of ours. Raises StoreUnavailable where it is in use, WrongState where others depend on it."""
    try:
        cursor.execute(_DROP[kind].format(sql.Identifier(schema, name)))
    except errors.LockNotAvailable:
        raise StoreUnavailable(f"waiting for {schema}.{name}: other sessions are using it") from None
    except errors.DependentObjectsStillExist as error:
        raise WrongState(f"{schema}.{name} cannot be dropped: {error.diag.message_detail}") from None


def rename_installation(cursor: Cursor, old: str, new: str) -> None:
    """After a take-over the projections are the new owner's."""
    cursor.execute("UPDATE projections.projection SET installation = %s WHERE installation = %s", (new, old))
    record(cursor, new, "TakenOver", f"from installation {old}")
