"""Rights: what the operator's role needs, and what it gives to the workers' role."""

from psycopg import Cursor, sql

from projector.registry import NotPermitted, RegistryError

_SCHEMA = """
SELECT current_user::text, current_database()::text, to_regnamespace(quote_ident(%(schema)s)) IS NOT NULL,
    CASE WHEN to_regnamespace(quote_ident(%(schema)s)) IS NOT NULL
        THEN has_schema_privilege(%(schema)s, 'CREATE') ELSE false END
"""
_WORKER = """
SELECT %(worker)s = current_user, has_schema_privilege(%(worker)s, %(schema)s, 'USAGE'),
    has_database_privilege(%(worker)s, current_database(), 'TEMP'), current_database()::text, current_user::text
"""


def require_schema(cursor: Cursor, schema: str) -> None:
    """Raise RegistryError where `schema` is missing, NotPermitted where we may not create tables in it."""
    row = cursor.execute(_SCHEMA, {"schema": schema}).fetchone()
    role, database, exists, may_create = row if row is not None else ("", "", False, False)
    if not exists:
        raise RegistryError(f'schema "{schema}" does not exist in database {database}')
    if not may_create:
        raise NotPermitted(
            f"role {role} may not create tables in schema {schema} of database {database}: "
            f'GRANT CREATE, USAGE ON SCHEMA "{schema}" TO "{role}"'
        )


def grant_worker(cursor: Cursor, worker_role: str, schema: str, table: str) -> None:
    """Give the workers' role what it needs for one build; nothing where it is our own role."""
    row = cursor.execute(_WORKER, {"worker": worker_role, "schema": schema}).fetchone()
    own, may_use, may_temp, database, role = row if row is not None else (True, True, True, "", "")
    if own:
        return
    worker = sql.Identifier(worker_role)
    if not may_use:
        _grant_usage(cursor, worker_role, schema, role)
    if not may_temp:
        # Only a warning of the server where we may not; the worker then writes large batches the slower way.
        cursor.execute(sql.SQL("GRANT TEMPORARY ON DATABASE {} TO {}").format(sql.Identifier(database), worker))
    for right in _RIGHTS:
        cursor.execute(right.format(worker=worker, table=sql.Identifier(schema, table)))


_RIGHTS = (
    sql.SQL("GRANT USAGE ON SCHEMA projections TO {worker}"),
    sql.SQL("GRANT SELECT ON projections.build, projections.projection, projections.discarded TO {worker}"),
    sql.SQL(
        "GRANT SELECT, UPDATE (next_offset, event_time, moved_at, stuck_offset, stuck_message) "
        "ON projections.checkpoint TO {worker}"
    ),
    sql.SQL("GRANT SELECT, INSERT ON projections.parked_key, projections.parked_event TO {worker}"),
    sql.SQL("GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO {worker}"),
)


def _grant_usage(cursor: Cursor, worker_role: str, schema: str, role: str) -> None:
    cursor.execute(
        sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(sql.Identifier(schema), sql.Identifier(worker_role))
    )
    row = cursor.execute("SELECT has_schema_privilege(%s, %s, 'USAGE')", (worker_role, schema)).fetchone()
    if row is None or not row[0]:
        raise NotPermitted(
            f"role {role} may not let the workers' role {worker_role} into schema {schema}: "
            f'GRANT USAGE ON SCHEMA "{schema}" TO "{worker_role}"'
        )
