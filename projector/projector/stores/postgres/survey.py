"""What a swap would meet: the size of the live table, who reads the public view, what others made on the table."""

from dataclasses import dataclass
from typing import LiteralString

from psycopg import Cursor, sql

from projector.registry import Identity, RegistryError, Survey, Unmanaged
from projector.stores.postgres.indexes import IS_OURS

# The server's texts leave out a schema that is on the path, and here they are read by whoever has another one.
_PATH = "SELECT set_config('search_path', 'pg_catalog', true)"

_LIVE = """
SELECT b.number, b.table_schema, b.table_name, b.worker_role::text,
    to_regclass(format('%%I.%%I', p.public_schema, p.public_name))::oid,
    to_regclass(format('%%I.%%I', b.table_schema, b.table_name))::oid
FROM projections.projection p JOIN projections.build b ON b.number = p.live_build
WHERE p.installation = %s AND p.namespace = %s AND p.name = %s
"""
_SIZE = "SELECT pg_total_relation_size(%(table)s::oid), pg_relation_size(%(table)s::oid)"
_COUNT = sql.SQL("SELECT count(*) FROM {}")
_PLAN = sql.SQL("EXPLAIN (FORMAT JSON) SELECT FROM {}")
_COUNTED_BYTES = 1 << 20
"""A table of this size is counted: for a small one that was never analyzed, the planner takes ten pages for granted."""

# A rule stands for the relation whose rule it is: that is how a view depends on what it reads. What depends on the type
# of the view's rows depends on the view.
_DEPENDENTS: LiteralString = """
WITH RECURSIVE reached (class, object) AS (
    SELECT 'pg_class'::regclass::oid, %(relation)s::oid
    UNION
    SELECT step.class, step.object FROM reached CROSS JOIN LATERAL (
        SELECT CASE WHEN r.oid IS NULL THEN d.classid ELSE 'pg_class'::regclass::oid END,
            coalesce(r.ev_class, d.objid)
        FROM pg_depend d LEFT JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
        WHERE d.refclassid = reached.class AND d.refobjid = reached.object
    ) AS step (class, object)
)
SELECT o.type || ' ' || o.identity
FROM reached d CROSS JOIN LATERAL pg_identify_object(d.class, d.object, 0) o
WHERE (d.class, d.object) <> ('pg_class'::regclass::oid, %(relation)s::oid) AND (
    d.class IN ('pg_proc'::regclass, 'pg_policy'::regclass) OR d.class = 'pg_class'::regclass AND EXISTS (
        SELECT FROM pg_class c WHERE c.oid = d.object AND c.relkind IN ('v', 'm', 'r', 'p', 'f', 'c')
    )
)
"""

# Rights on a relation or on columns of it, as GRANT says them. The owner has all of them anyway.
_GRANTS: LiteralString = """
SELECT DISTINCT a.relowner, a.privilege_type, a.privilege_type || a.of_column AS privilege, a.grantee,
    CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END AS role
FROM (
    SELECT c.relowner, a.privilege_type, a.grantee, '' AS of_column
    FROM pg_class c CROSS JOIN aclexplode(c.relacl) a WHERE c.oid = %(relation)s::oid
    UNION ALL
    SELECT c.relowner, a.privilege_type, a.grantee, format(' (%%I)', v.attname)
    FROM pg_class c JOIN pg_attribute v ON v.attrelid = c.oid CROSS JOIN aclexplode(v.attacl) a
    WHERE c.oid = %(relation)s::oid AND NOT v.attisdropped
) a
WHERE a.grantee <> a.relowner
"""
_ON_VIEW: LiteralString = f"SELECT g.privilege || ' to ' || g.role FROM ({_GRANTS}) g"  # noqa: S608 - of constants

# What default privileges give, a new table gets as well.
_ON_TABLE: LiteralString = f"""
SELECT 'grant', g.privilege || ' to ' || g.role,
    format('GRANT %%s ON %%s TO %%s', g.privilege, %(relation)s::oid::regclass, g.role)
FROM ({_GRANTS}) g
WHERE g.role <> quote_ident(%(worker)s) AND NOT EXISTS (
    SELECT FROM pg_default_acl d CROSS JOIN aclexplode(d.defaclacl) a
    WHERE d.defaclrole = g.relowner AND d.defaclobjtype = 'r'
        AND d.defaclnamespace IN (0, to_regnamespace(quote_ident(%(schema)s)))
        AND (a.grantee, a.privilege_type) = (g.grantee, g.privilege)
)
"""  # noqa: S608 - of constants
_INDEXES: LiteralString = f"""
SELECT 'index', c.relname, pg_get_indexdef(c.oid) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
CROSS JOIN (VALUES (%(build)s::bigint)) AS b (number)
WHERE i.indrelid = %(relation)s::oid AND NOT i.indisprimary AND c.relname !~ ({IS_OURS})
"""  # noqa: S608 - of constants
_TRIGGERS: LiteralString = """
SELECT 'trigger', t.tgname, pg_get_triggerdef(t.oid) FROM pg_trigger t
WHERE t.tgrelid = %(relation)s::oid AND NOT t.tgisinternal
"""
# One for all tables, or for all of a schema, has a new table too.
_PUBLICATIONS: LiteralString = """
SELECT 'publication', p.pubname, format('ALTER PUBLICATION %%I ADD TABLE %%s%%s%%s', p.pubname, r.prrelid::regclass,
    (SELECT format(' (%%s)', string_agg(quote_ident(v.attname), ', ' ORDER BY v.attnum)) FROM pg_attribute v
        WHERE v.attrelid = r.prrelid AND v.attnum = ANY (r.prattrs) HAVING count(*) > 0),
    ' WHERE (' || pg_get_expr(r.prqual, r.prrelid) || ')')
FROM pg_publication_rel r JOIN pg_publication p ON p.oid = r.prpubid WHERE r.prrelid = %(relation)s::oid
"""
_STATISTICS: LiteralString = """
SELECT 'statistics', s.stxname, pg_get_statisticsobjdef(s.oid) FROM pg_statistic_ext s
WHERE s.stxrelid = %(relation)s::oid
"""
_CONSTRAINTS: LiteralString = """
SELECT CASE k.contype WHEN 'f' THEN 'foreign key' ELSE 'check' END, k.conname,
    format('ALTER TABLE %%s ADD CONSTRAINT %%I %%s', k.conrelid::regclass, k.conname, pg_get_constraintdef(k.oid))
FROM pg_constraint k WHERE k.contype IN ('f', 'c') AND %(relation)s::oid IN (k.conrelid, k.confrelid)
"""
_POLICIES: LiteralString = """
SELECT 'policy', p.policyname, format('CREATE POLICY %%I ON %%s AS %%s FOR %%s TO %%s%%s%%s', p.policyname,
    %(relation)s::oid::regclass, p.permissive, p.cmd,
    (SELECT string_agg(CASE r WHEN 'public' THEN 'PUBLIC' ELSE quote_ident(r) END, ', ') FROM unnest(p.roles) r),
    ' USING (' || p.qual || ')', ' WITH CHECK (' || p.with_check || ')')
FROM pg_policies p WHERE (p.schemaname, p.tablename) = (%(schema)s, %(table)s)
UNION ALL
SELECT 'row level security', c.relname, format('ALTER TABLE %%s ENABLE ROW LEVEL SECURITY%%s', c.oid::regclass,
    CASE WHEN c.relforcerowsecurity THEN ', FORCE ROW LEVEL SECURITY' END)
FROM pg_class c WHERE c.oid = %(relation)s::oid AND c.relrowsecurity
"""
# A view that is made anew keeps neither.
_VIEW_ONLY: LiteralString = """
SELECT 'trigger of the view', t.tgname, pg_get_triggerdef(t.oid) FROM pg_trigger t
WHERE t.tgrelid = %(view)s::oid AND NOT t.tgisinternal
UNION ALL
SELECT 'rule of the view', r.rulename, pg_get_ruledef(r.oid) FROM pg_rewrite r
WHERE r.ev_class = %(view)s::oid AND r.ev_type <> '1'
"""
# Without it the server shows nothing of others' transactions, and a swap cannot tell whether it has to wait for them.
_BLIND: LiteralString = """
SELECT format('GRANT pg_read_all_stats TO %%I', current_user)
WHERE NOT pg_has_role(current_user, 'pg_read_all_stats', 'USAGE')
"""
_KINDS = (_VIEW_ONLY, _INDEXES, _TRIGGERS, _PUBLICATIONS, _STATISTICS, _CONSTRAINTS, _POLICIES, _ON_TABLE)
_UNMANAGED: LiteralString = " UNION ALL ".join(_KINDS)


@dataclass(frozen=True, slots=True)
class _Live:
    """The live build's table, and the view over it.

    `view` and `relation` are the server's ids, None where it has none.
    """

    number: int
    schema: str
    table: str
    worker: str
    view: int | None
    relation: int | None

    @property
    def name(self) -> sql.Identifier:
        """As it stands in a statement."""
        return sql.Identifier(self.schema, self.table)


def survey(cursor: Cursor, identity: Identity) -> Survey | None:
    """See `projector.registry.Registry.survey`. Raises RegistryError where the live build's table is missing."""
    cursor.execute(_PATH)
    row = cursor.execute(_LIVE, (identity.installation, identity.namespace, identity.name)).fetchone()
    if row is None:
        return None
    live = _Live(*row)
    total, own = cursor.execute(_SIZE, {"table": live.relation}).fetchone() or (None, None)
    if total is None or own is None:
        raise RegistryError(f"{live.schema}.{live.table}, the table of live build {live.number}, is not there any more")
    return Survey(
        rows=_rows(cursor, live.name, own),
        total_bytes=total,
        dependents=_words(cursor, _DEPENDENTS, live.view),
        grants=_words(cursor, _ON_VIEW, live.view),
        unmanaged=_unmanaged(cursor, live),
        blind="".join(text for (text,) in cursor.execute(_BLIND, ())),
    )


def _rows(cursor: Cursor, table: sql.Identifier, own_bytes: int) -> int:
    if own_bytes <= _COUNTED_BYTES:
        (rows,) = cursor.execute(_COUNT.format(table)).fetchone() or (0,)
        return int(rows)
    (([explained],),) = cursor.execute(_PLAN.format(table)).fetchall()
    return int(explained["Plan"]["Plan Rows"])


def _words(cursor: Cursor, query: LiteralString, view: int | None) -> tuple[str, ...]:
    return tuple(sorted(text for (text,) in cursor.execute(query, {"relation": view})))


def _unmanaged(cursor: Cursor, live: _Live) -> tuple[Unmanaged, ...]:
    values = {
        "build": live.number,
        "relation": live.relation,
        "view": live.view,
        "schema": live.schema,
        "table": live.table,
        "worker": live.worker,
    }
    # The server finds no words for what was dropped since the statement began.
    found = [row for row in cursor.execute(_UNMANAGED, values) if row[2] is not None]
    return tuple(Unmanaged(kind, name, ddl) for kind, name, ddl in sorted(found))
