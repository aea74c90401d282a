"""Databases of their own for tests, and builds in them."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import psycopg
from psycopg import conninfo, sql

from projector.fold.delta import Key, Row
from projector.ports import Ends, Partition
from projector.registry import Ending, Identity, PublicName, Waiting
from projector.spec.definition import Definition
from projector.stores.postgres import BuildSpec, PostgresParking, PostgresRegistry, PostgresStore, load_build
from projector.stores.postgres.keys import key_text

INSTALLATION = "5e9c4a52-7d5c-4b9e-8f3a-000000000001"
PASSWORD = "only-for-tests"  # noqa: S105 - roles of databases that live for a test
ORDERS = tuple(Partition("orders", "id-1", number) for number in range(4))


@dataclass
class Database:
    """A database that is dropped at the end, with its roles. `admin` is a superuser's URI to another one."""

    admin: str
    name: str = field(default_factory=lambda: f"t_{secrets.token_hex(6)}")
    roles: list[str] = field(default_factory=list)

    def create(self) -> None:
        """Make it."""
        self._outside(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(self.name)))

    def drop(self) -> None:
        """Remove it and its roles, whoever is connected."""
        self._outside(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(self.name)))
        for role in self.roles:
            self._outside(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(role)))

    def role(self, name: str) -> str:
        """Make a role that may log in and no more; its name is made unique."""
        role = f"{name}_{self.name}"
        create = sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(sql.Identifier(role), sql.Literal(PASSWORD))
        self._outside(create)
        self.roles.append(role)
        return role

    def uri(self, role: str | None = None, **changes: Any) -> str:
        """URI of the superuser, or of a role made here."""
        login = {} if role is None else {"user": role, "password": PASSWORD}
        parts = conninfo.conninfo_to_dict(self.admin) | {"dbname": self.name} | login | changes
        return "postgresql://{user}:{password}@{host}:{port}/{dbname}".format(**parts)

    def run(self, statement: str, *values: Any, role: str | None = None) -> list[tuple[Any, ...]]:
        """Execute a statement and return its rows, if it has any."""
        with psycopg.connect(self.uri(role), autocommit=True) as connection:
            cursor = connection.execute(statement.encode(), values or None)
            return cursor.fetchall() if cursor.description else []

    def _outside(self, statement: sql.Composed) -> None:
        with psycopg.connect(self.admin, autocommit=True) as connection:
            connection.execute(statement)


@dataclass
class PostgresBuild:
    """A build that was just begun, as an operator sees it."""

    database: Database
    registry: PostgresRegistry
    identity: Identity
    epoch: int
    spec: BuildSpec
    worker: str | None = None
    copy_from: int = 500
    max_parked_keys: int = 3
    opened: list[PostgresStore] = field(default_factory=list)

    def open(self) -> PostgresStore:
        """A worker's store."""
        uri = self.database.uri(self.worker)
        options = {"copy_from": self.copy_from, "max_parked_keys": self.max_parked_keys}
        self.opened.append(PostgresStore(lambda: uri, self.spec, self.spec.epoch, **options))
        return self.opened[-1]

    def rows(self) -> dict[Key, Row]:
        """The table."""
        return table_rows(self.database, self.spec.definition, f"{self.spec.schema}.{self.spec.table}")

    def give_up(self, ending: Ending = Ending.ABORTED) -> None:
        """Abandon the build."""
        self.registry.abandon(self.epoch, self.spec.build, ending, "a test said so")

    def discard(self, partition: Partition, offset: int) -> None:
        """Decide that an event is to be passed over."""
        self.registry.discard(partition, offset, self.identity, "it is broken")

    def parked(self) -> Mapping[tuple[Partition, Key], list[tuple[int, str]]]:
        """Parked events: offset and reason by partition and key."""
        return {
            (waiting.parked.partition, waiting.key): [(one.at_offset, one.reason) for one in waiting.records]
            for waiting in map(self.parking.read, self.parking.keys(self.identity))
        }

    def unpark(self, partition: Partition, key: Key) -> None:
        """Pass over all parked events of a key."""
        waiting = self.waiting(partition, key)
        self.parking.discard(waiting, [record.at_offset for record in waiting.records], "a test said so")

    def waiting(self, partition: Partition, key: Key) -> Waiting:
        """The parked events of a key."""
        found = [
            one for one in self.parking.keys(self.identity) if (one.partition, one.text) == (partition, key_text(key))
        ]
        return self.parking.read(found[0])

    @cached_property
    def parking(self) -> PostgresParking:
        """What people do with parked events."""
        return PostgresParking(self.database.uri())

    def stuck(self) -> Mapping[Partition, tuple[int, str]]:
        """Partitions that stand still."""
        view = self.registry.observe(self.identity)
        assert view is not None
        found = [point.stuck for point in view.builds[-1].checkpoints if point.stuck is not None]
        return {stuck.partition: (stuck.offset, stuck.message) for stuck in found}

    def close(self) -> None:
        """Release connections."""
        for store in self.opened:
            store.close()
        self.parking.close()
        self.registry.close()


def table_rows(database: Database, definition: Definition, table: str) -> dict[Key, Row]:
    """A table of a definition as keys and rows."""
    names = [column.name for column in definition.columns]
    columns = ", ".join(f'"{name}"' for name in names)
    found: dict[Key, Row] = {}
    for values in database.run(f"SELECT {columns} FROM {table}"):  # noqa: S608 - names of the test's own
        row: Row = dict(zip(names, values, strict=True))
        found[tuple(row.pop(name) for name in definition.key)] = row
    return found


def begin(
    database: Database,
    definition: Definition,
    partitions: Sequence[Partition] = ORDERS,
    worker: str | None = None,
    name: str = "orders",
    copy_from: int = 500,
    operator: str | None = None,
) -> PostgresBuild:
    """A registry with one projection and its first build. `worker` and `operator` are roles made by the database."""
    registry = PostgresRegistry(database.uri(operator), INSTALLATION)
    identity = Identity(INSTALLATION, "shop", name)
    epoch = registry.take_leadership("a test")
    registry.claim(epoch, identity, "uid-1", PublicName("public", name))
    role = worker or conninfo.conninfo_to_dict(database.admin)["user"]
    ends = {partition: Ends(0, 1000) for partition in partitions}
    number = registry.begin(epoch, identity, "1", "", definition, ends, str(role))
    spec = load_build(database.uri(worker), number)
    return PostgresBuild(database, registry, identity, epoch, spec, worker, copy_from)
