"""PostgreSQL as a store: the contract, by either way of writing."""

from collections.abc import Iterator

import pytest

from projector.spec.definition import Definition
from tests.contract.store_contract import FIRST, SECOND, Build, StoreContract, StoreFactory
from tests.support.postgres import Database, PostgresBuild, begin


def _factory(database: Database, copy_from: int) -> Iterator[StoreFactory]:
    made: list[PostgresBuild] = []

    def make(definition: Definition) -> Build:
        made.append(begin(database, definition, (FIRST, SECOND), database.role("worker"), copy_from=copy_from))
        return made[-1]

    yield make
    for build in made:
        build.close()


class TestByArrays(StoreContract):
    @pytest.fixture
    def store_factory(self, database: Database) -> Iterator[StoreFactory]:
        yield from _factory(database, copy_from=1000)


class TestByCopy(StoreContract):
    @pytest.fixture
    def store_factory(self, database: Database) -> Iterator[StoreFactory]:
        yield from _factory(database, copy_from=1)
