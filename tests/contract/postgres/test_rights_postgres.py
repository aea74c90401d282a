"""Two roles: the operator's makes tables, the workers' only moves rows and checkpoints of its own builds."""

from collections.abc import Iterator
from dataclasses import dataclass

import psycopg
import pytest
from psycopg import errors
from structlog.testing import capture_logs

from projector.ports import Ends, Fenced, Place, StoreUnavailable
from projector.registry import Identity, NotPermitted, PublicName
from projector.stores.postgres import NoSuchBuild, PostgresRegistry, PostgresStore, load_build
from tests.contract.store_contract import COUNTED, commit, counted, move
from tests.support.postgres import INSTALLATION, ORDERS, Database

ENDS = dict.fromkeys(ORDERS, Ends(0, 10))


@dataclass
class Roles:
    """An operator's role with just what it needs, and two workers' roles."""

    database: Database
    operator: str
    worker: str
    other: str
    registry: PostgresRegistry

    def begin(self, name: str, worker: str) -> int:
        identity = Identity(INSTALLATION, "shop", name)
        epoch = self.registry.take_leadership("me")
        self.registry.claim(epoch, identity, "uid", PublicName("public", name))
        return self.registry.begin(epoch, identity, "1", "", COUNTED, ENDS, worker)

    def store(self, build: int, reader: str, writer: str | None = None) -> PostgresStore:
        spec = load_build(self.database.uri(reader), build)
        uri = self.database.uri(writer or reader)
        return PostgresStore(lambda: uri, spec, 1, copy_from=2)


@pytest.fixture
def roles(database: Database) -> Iterator[Roles]:
    operator, worker, other = (database.role(name) for name in ("operator", "worker", "other"))
    database.run(f'GRANT CREATE ON DATABASE "{database.name}" TO "{operator}"')
    database.run(f'GRANT CREATE ON SCHEMA public TO "{operator}"')
    registry = PostgresRegistry(database.uri(operator), INSTALLATION)
    yield Roles(database, operator, worker, other, registry)
    registry.close()


def test_a_worker_needs_nothing_but_what_begin_gives(roles: Roles) -> None:
    store = roles.store(roles.begin("orders", roles.worker), roles.worker)
    assert store.positions(ORDERS) == dict.fromkeys(ORDERS, Place(0))
    commit(store, [move(0, 1)], counted("a"))
    commit(store, [move(1, 2)], counted("a") | counted("b"))
    assert not store.discarded(ORDERS[0], 1)
    store.close()


def test_a_worker_moves_its_own_builds_only(roles: Roles) -> None:
    mine, theirs = roles.begin("mine", roles.worker), roles.begin("theirs", roles.other)
    store = roles.store(theirs, roles.other, roles.worker)
    with pytest.raises(Fenced):
        store.positions(ORDERS)
    with pytest.raises(Fenced):
        commit(store, [move(0, 1)], counted("a"))
    store.close()
    assert load_build(roles.database.uri(roles.worker), mine).partitions == frozenset(ORDERS)
    with pytest.raises(NoSuchBuild) as refused:
        load_build(roles.database.uri(roles.worker), theirs)
    expected = f"build {theirs} was begun for role {roles.other}, but the worker logs in as {roles.worker}"
    assert str(refused.value) == expected
    with psycopg.connect(roles.database.uri(roles.worker)) as connection:
        moved = connection.execute("UPDATE projections.checkpoint SET next_offset = 7 WHERE build = %s", (theirs,))
        assert moved.rowcount == 0


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE projections.checkpoint SET epoch = 9",
        "INSERT INTO projections.checkpoint SELECT * FROM projections.checkpoint",
        "DELETE FROM projections.checkpoint",
        "UPDATE projections.build SET state = 'Live'",
        "INSERT INTO projections.discarded SELECT 1, 't', 'i', 0, 1, 'x'",
        "SELECT * FROM projections.operator",
        "DROP TABLE orders__b1",
        "CREATE TABLE mine (x int)",
    ],
)
def test_a_worker_may_do_no_more(roles: Roles, statement: str) -> None:
    roles.begin("orders", roles.worker)
    with pytest.raises(errors.InsufficientPrivilege):
        roles.database.run(statement, role=roles.worker)


def test_a_right_that_was_taken_away_is_an_outage(roles: Roles) -> None:
    store = roles.store(roles.begin("orders", roles.worker), roles.worker)
    roles.database.run(f'REVOKE INSERT ON orders__b1 FROM "{roles.worker}"')
    with pytest.raises(StoreUnavailable, match="permission denied for table orders__b1"):
        commit(store, [move(0, 1)], counted("a"))
    roles.database.run(f'GRANT INSERT ON orders__b1 TO "{roles.worker}"')
    commit(store, [move(0, 1)], counted("a"))
    store.close()


def test_without_temporary_tables_large_batches_go_the_slower_way(roles: Roles) -> None:
    build = roles.begin("orders", roles.worker)
    roles.database.run(f'REVOKE TEMPORARY ON DATABASE "{roles.database.name}" FROM PUBLIC')
    store = roles.store(build, roles.worker)
    with capture_logs() as logs:
        for offset in range(2):
            commit(store, [move(offset, offset + 1)], counted("a") | counted("b"))
    assert [line["log_level"] for line in logs] == ["warning"]
    assert roles.database.run("SELECT sum(total) FROM orders__b1") == [(4,)]
    store.close()


def test_an_operator_that_may_not_create_the_registry(database: Database) -> None:
    role = database.role("operator")
    registry = PostgresRegistry(database.uri(role), INSTALLATION)
    with pytest.raises(NotPermitted) as refused:
        registry.take_leadership("me")
    assert str(refused.value) == (
        f'role {role} may not create the schema "projections" in database {database.name}: '
        f'GRANT CREATE ON DATABASE "{database.name}" TO "{role}"'
    )
    database.run(f'GRANT CREATE ON DATABASE "{database.name}" TO "{role}"')
    assert registry.take_leadership("me") == 1
    registry.close()


def test_an_operator_that_may_not_create_tables(roles: Roles) -> None:
    roles.database.run(f'REVOKE CREATE ON SCHEMA public FROM "{roles.operator}"')
    with pytest.raises(NotPermitted) as refused:
        roles.begin("orders", roles.worker)
    assert str(refused.value) == (
        f"role {roles.operator} may not create tables in schema public of database {roles.database.name}: "
        f'GRANT CREATE, USAGE ON SCHEMA "public" TO "{roles.operator}"'
    )


def test_a_schema_that_the_worker_may_not_enter(roles: Roles) -> None:
    roles.database.run("REVOKE USAGE ON SCHEMA public FROM PUBLIC")
    roles.database.run(f'GRANT USAGE, CREATE ON SCHEMA public TO "{roles.operator}"')
    with pytest.raises(NotPermitted) as refused:
        roles.begin("orders", roles.worker)
    assert str(refused.value) == (
        f"role {roles.operator} may not let the workers' role {roles.worker} into schema public: "
        f'GRANT USAGE ON SCHEMA "public" TO "{roles.worker}"'
    )


def test_a_registry_that_the_role_may_not_read(roles: Roles) -> None:
    roles.begin("orders", roles.worker)
    stranger = PostgresRegistry(roles.database.uri(roles.other), INSTALLATION)
    with pytest.raises(NotPermitted, match="lacks a right: permission denied for schema projections"):
        stranger.observe(Identity(INSTALLATION, "shop", "orders"))
    stranger.close()


def test_readers_need_no_right_on_the_table_behind_the_view(roles: Roles) -> None:
    build = roles.begin("orders", roles.worker)
    epoch = roles.registry.take_leadership("me")
    roles.registry.open_catch_up(epoch, build)
    roles.registry.publish(epoch, build)
    roles.database.run(f'GRANT SELECT ON orders TO "{roles.other}"')
    assert roles.database.run("SELECT * FROM orders", role=roles.other) == []
