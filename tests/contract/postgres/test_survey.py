"""What a swap would meet, on a real server."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import psycopg
import pytest

from projector.registry import RegistryError, Survey, SwapTerms, Unmanaged
from tests.support.postgres import Database, PostgresBuild, begin
from tests.support.swaps import FOLLOWED, publish, version

MANY = 60_000


@pytest.fixture
def live(database: Database) -> Iterator[PostgresBuild]:
    """A live build with a worker of its own role."""
    made = begin(database, FOLLOWED, worker=database.role("worker"))
    publish(made)
    yield made
    made.close()


def surveyed(build: PostgresBuild) -> Survey:
    """The survey of what is live."""
    found = build.registry.survey(build.identity)
    assert found is not None
    return found


def fill(build: PostgresBuild, rows: int) -> None:
    """So many rows."""
    build.database.run("INSERT INTO orders__b1 SELECT n::text, n FROM generate_series(1, %s) n", rows)


def test_where_nothing_is_live_there_is_nothing_to_tell(database: Database) -> None:
    with closing(begin(database, FOLLOWED)) as build:
        assert build.registry.survey(build.identity) is None
        assert build.registry.survey(replace(build.identity, name="another")) is None
        database.run("DROP SCHEMA projections CASCADE")
        assert build.registry.survey(build.identity) is None


def test_a_build_that_only_we_have_touched(live: PostgresBuild) -> None:
    found = surveyed(live)
    assert (found.rows, found.dependents, found.grants, found.unmanaged) == (0, (), (), ())
    assert found.total_bytes == 8192 * 2  # the first page of the key's index, and one of long values


def test_a_small_table_is_counted(live: PostgresBuild) -> None:
    fill(live, 3)
    assert surveyed(live).rows == 3
    live.database.run("ANALYZE orders__b1")
    live.database.run("DELETE FROM orders__b1 WHERE id = '1'")
    assert surveyed(live).rows == 2


def test_a_large_table_is_estimated_analyzed_or_not(live: PostgresBuild) -> None:
    live.database.run("ALTER TABLE orders__b1 SET (autovacuum_enabled = false)")
    fill(live, MANY)
    assert live.database.run("SELECT reltuples FROM pg_class WHERE relname = 'orders__b1'") == [(-1,)]
    assert MANY / 3 < surveyed(live).rows < MANY * 3
    live.database.run("ANALYZE orders__b1")
    # Not counted: that would take long for a table that is larger.
    live.database.run("DELETE FROM orders__b1 WHERE id = '1'")
    assert surveyed(live).rows == MANY
    ((size,),) = live.database.run("SELECT pg_total_relation_size('orders__b1')")
    assert surveyed(live).total_bytes == size > MANY * 40


def test_it_is_of_the_build_that_is_live_now(live: PostgresBuild) -> None:
    fill(live, 3)
    live.database.run("CREATE INDEX by_total ON orders__b1 (total)")
    coming = version(live, "2", FOLLOWED)
    assert (surveyed(live).rows, len(surveyed(live).unmanaged)) == (3, 1)
    live.registry.swap(live.epoch, coming.spec.build, SwapTerms())
    assert (surveyed(live).rows, surveyed(live).unmanaged) == (0, ())


def test_what_reads_the_view_and_what_reads_that(live: PostgresBuild) -> None:
    for statement in (
        'CREATE SCHEMA "Ap""p"',
        "CREATE VIEW totals AS SELECT sum(total) AS total FROM orders",
        'CREATE MATERIALIZED VIEW "Ap""p"."Day\'s %" AS SELECT total FROM totals',
        'CREATE INDEX ON "Ap""p"."Day\'s %" (total)',
        "CREATE FUNCTION best(int) RETURNS bigint LANGUAGE sql BEGIN ATOMIC SELECT max(total) + $1 FROM orders; END",
        "CREATE VIEW twice AS SELECT 2 * best(0) AS n, (SELECT count(*) FROM orders) AS m",
        "CREATE FUNCTION rows_of() RETURNS SETOF orders LANGUAGE sql AS 'SELECT * FROM public.orders'",
        "CREATE TABLE kept (one orders, n int PRIMARY KEY)",
        "CREATE POLICY seen ON kept USING (EXISTS (SELECT FROM orders WHERE total = n))",
        # Those do not depend on the view.
        "CREATE VIEW direct AS SELECT id FROM orders__b1",
        "CREATE FUNCTION late() RETURNS bigint LANGUAGE sql AS 'SELECT max(total) FROM public.orders'",
    ):
        live.database.run(statement)
    assert surveyed(live).dependents == (
        "function public.best(integer)",
        "function public.rows_of()",
        'materialized view "Ap""p"."Day\'s %"',
        "policy seen on public.kept",
        "table public.kept",
        "view public.totals",
        "view public.twice",
    )


def test_who_may_do_what_with_the_view(live: PostgresBuild) -> None:
    web, other = live.database.role("web"), live.database.role("O'Neill")
    for statement in (
        f'GRANT SELECT, DELETE ON orders TO "{web}" WITH GRANT OPTION',
        f'GRANT SELECT (total, id) ON orders TO "{other}"',
        f'GRANT SELECT ON orders TO "{other}"',
        "GRANT SELECT ON orders TO PUBLIC",
        "REVOKE INSERT ON orders FROM postgres",
    ):
        live.database.run(statement)
    # The same right, given by another, is told once.
    live.database.run(f'GRANT SELECT ON orders TO "{other}"', role=web)
    rights = [f"DELETE to {web}", f"SELECT to {web}", "SELECT to PUBLIC"]
    rights += [f'SELECT{columns} to "{other}"' for columns in ("", " (id)", " (total)")]
    assert surveyed(live).grants == tuple(sorted(rights))
    assert surveyed(live).unmanaged == ()


def test_without_its_view_a_build_still_has_a_size(live: PostgresBuild) -> None:
    fill(live, 2)
    live.database.run("DROP VIEW orders")
    assert replace(surveyed(live), total_bytes=0) == Survey(2, 0, (), (), ())


def test_a_table_that_is_missing_is_not_an_empty_one(live: PostgresBuild) -> None:
    live.database.run("DROP TABLE orders__b1 CASCADE")
    with pytest.raises(RegistryError, match=r"public\.orders__b1, the table of live build 1, is not there any more"):
        live.registry.survey(live.identity)


TABLE = "public.orders__b1"
MADE = (
    Unmanaged("check", "small", f"ALTER TABLE {TABLE} ADD CONSTRAINT small CHECK ((total < 9))"),
    Unmanaged(
        "foreign key",
        "lines_of",
        f"ALTER TABLE public.lines ADD CONSTRAINT lines_of FOREIGN KEY (n) REFERENCES {TABLE}(id) ON DELETE CASCADE",
    ),
    Unmanaged(
        "foreign key",
        "of_day",
        f"ALTER TABLE {TABLE} ADD CONSTRAINT of_day FOREIGN KEY (total) REFERENCES public.days(n)",
    ),
    Unmanaged("grant", "SELECT (total) to {web}", f"GRANT SELECT (total) ON {TABLE} TO {{web}}"),
    Unmanaged("grant", "UPDATE to PUBLIC", f"GRANT UPDATE ON {TABLE} TO PUBLIC"),
    Unmanaged(
        "index", 'Odd % "name', f'CREATE UNIQUE INDEX "Odd % ""name" ON {TABLE} USING btree (total) WHERE (total > 5)'
    ),
    Unmanaged("index", "by_total", f"CREATE INDEX by_total ON {TABLE} USING btree (total DESC)"),
    Unmanaged(
        "policy",
        "all_of_it",
        f"CREATE POLICY all_of_it ON {TABLE} AS PERMISSIVE FOR ALL TO PUBLIC USING (true)",
    ),
    Unmanaged(
        "policy",
        "mine",
        f"CREATE POLICY mine ON {TABLE} AS RESTRICTIVE FOR INSERT TO postgres, {{web}} WITH CHECK ((total > 1))",
    ),
    Unmanaged("publication", "all_rows", f"ALTER PUBLICATION all_rows ADD TABLE {TABLE}"),
    Unmanaged("publication", "few", f"ALTER PUBLICATION few ADD TABLE {TABLE} (id, total) WHERE ((total > 5))"),
    Unmanaged(
        "row level security",
        "orders__b1",
        f"ALTER TABLE {TABLE} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY",
    ),
    Unmanaged("statistics", "pairs", f"CREATE STATISTICS public.pairs (dependencies) ON id, total FROM {TABLE}"),
    Unmanaged(
        "trigger",
        "each",
        f"CREATE TRIGGER each BEFORE UPDATE ON {TABLE} FOR EACH ROW EXECUTE FUNCTION public.each_row('x')",
    ),
)
UNMADE = (
    "ALTER TABLE public.lines DROP CONSTRAINT lines_of",
    f"ALTER TABLE {TABLE} DROP CONSTRAINT of_day, DROP CONSTRAINT small",
    f"ALTER TABLE {TABLE} NO FORCE ROW LEVEL SECURITY, DISABLE ROW LEVEL SECURITY",
    "REVOKE SELECT (total) ON orders__b1 FROM {web}",
    f"REVOKE UPDATE ON {TABLE} FROM PUBLIC",
    'DROP INDEX by_total, "Odd % ""name"',
    f"DROP POLICY all_of_it ON {TABLE}",
    f"DROP POLICY mine ON {TABLE}",
    f"ALTER PUBLICATION all_rows DROP TABLE {TABLE}",
    f"ALTER PUBLICATION few DROP TABLE {TABLE}",
    "DROP STATISTICS pairs",
    f"DROP TRIGGER each ON {TABLE}",
)


@pytest.fixture
def crowded(live: PostgresBuild) -> PostgresBuild:
    """Others have made what there is to make around the table."""
    for statement in (
        "CREATE TABLE lines (n text)",
        "CREATE TABLE days (n bigint PRIMARY KEY)",
        "CREATE PUBLICATION all_rows",
        "CREATE PUBLICATION few",
        "CREATE FUNCTION each_row() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
        # Those have a new table, too, or nothing to do with this one.
        "CREATE PUBLICATION everything FOR ALL TABLES",
        "CREATE PUBLICATION another FOR TABLE lines",
        "CREATE INDEX ON lines (n)",
        "CREATE TRIGGER other BEFORE UPDATE ON lines FOR EACH ROW EXECUTE FUNCTION each_row()",
        "ALTER TABLE lines ADD CONSTRAINT short CHECK (n < 'x')",
        "GRANT SELECT ON lines TO PUBLIC",
    ):
        live.database.run(statement)
    return live


def test_what_others_made_on_the_table_can_be_made_again(crowded: PostgresBuild) -> None:
    web = crowded.database.role("web")
    made = tuple(replace(one, name=one.name.replace("{web}", web), ddl=one.ddl.replace("{web}", web)) for one in MADE)
    assert surveyed(crowded).unmanaged == ()
    for _ in range(2):
        for one in made[::-1]:
            crowded.database.run(one.ddl)
        assert surveyed(crowded).unmanaged == made
        for statement in UNMADE:
            crowded.database.run(statement.replace("{web}", web))
        assert surveyed(crowded).unmanaged == ()


def test_row_level_security_without_a_policy(live: PostgresBuild) -> None:
    live.database.run(f"ALTER TABLE {TABLE} ENABLE ROW LEVEL SECURITY")
    secured = Unmanaged("row level security", "orders__b1", f"ALTER TABLE {TABLE} ENABLE ROW LEVEL SECURITY")
    assert surveyed(live).unmanaged == (secured,)


def test_rights_that_a_new_table_gets_by_default_are_no_loss(database: Database) -> None:
    web = database.role("web")
    database.run(f"ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO {web}")
    database.run(f"ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT UPDATE ON TABLES TO {web}")
    with closing(begin(database, FOLLOWED, worker=database.role("worker"))) as live:
        publish(live)
        assert live.database.run("SELECT has_table_privilege(%s, 'orders__b1', 'SELECT, UPDATE')", web) == [(True,)]
        assert surveyed(live).unmanaged == ()
        database.run(f"GRANT DELETE, SELECT ON {TABLE} TO {web}")
        assert [one.name for one in surveyed(live).unmanaged] == [f"DELETE to {web}"]


def test_names_that_need_quotes(database: Database) -> None:
    with closing(begin(database, FOLLOWED, name="Order's %")) as live:
        publish(live)
        table = f'public."{live.spec.table}"'
        database.run(f"CREATE INDEX odd ON {table} (total)")
        database.run(f"GRANT SELECT ON {table} TO PUBLIC")
        database.run(f'CREATE POLICY "p %" ON {table} FOR SELECT USING (total > 1)')
        database.run('CREATE VIEW report AS SELECT FROM public."Order\'s %"')
        found = surveyed(live)
        assert [one.ddl for one in found.unmanaged] == [
            f"GRANT SELECT ON {table} TO PUBLIC",
            f"CREATE INDEX odd ON {table} USING btree (total)",
            f'CREATE POLICY "p %" ON {table} AS PERMISSIVE FOR SELECT TO PUBLIC USING ((total > 1))',
        ]
        assert found.dependents == ("view public.report",)


def test_a_role_with_the_operators_rights_may_ask(database: Database) -> None:
    operator = database.role("operator")
    database.run(f'GRANT CREATE ON DATABASE "{database.name}" TO "{operator}"')
    database.run(f'GRANT CREATE ON SCHEMA public TO "{operator}"')
    with closing(begin(database, FOLLOWED, operator=operator, worker=database.role("worker"))) as live:
        publish(live)
        fill(live, MANY)
        database.run(f"CREATE INDEX odd ON {TABLE} (total)")
        found = surveyed(live)
        assert (found.grants, [one.name for one in found.unmanaged]) == ((), ["odd"])


def test_it_holds_nobody_up_and_leaves_nothing_behind(live: PostgresBuild) -> None:
    with psycopg.connect(live.database.uri()) as writer:
        writer.execute("LOCK TABLE orders__b1 IN EXCLUSIVE MODE")
        writer.execute("INSERT INTO orders__b1 VALUES ('a', 1)")
        assert surveyed(live).rows == 0
    assert surveyed(live).rows == 1
    open_ones = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND xact_start IS NOT NULL"
    assert live.database.run(f"{open_ones} AND application_name = 'projection operator'") == [(0,)]
