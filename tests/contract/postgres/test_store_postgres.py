"""PostgreSQL as a store: the contract, by either way of writing."""

from collections.abc import Iterator

import pytest

from projector.ports import Fenced, Partition, Place
from projector.spec.definition import Definition
from tests.contract.store_contract import (
    COUNTED,
    FIRST,
    SECOND,
    Build,
    StoreContract,
    StoreFactory,
    commit,
    counted,
    move,
)
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


def test_a_checkpoint_is_of_one_topic_under_one_id(database: Database) -> None:
    other = Partition("payments", "id-2", FIRST.number)
    build = begin(database, COUNTED, (FIRST, other), database.role("worker"))
    commit(build.open(), [move(0, 5)], counted("a"))
    assert build.open().positions([FIRST, other]) == {FIRST: Place(5), other: Place(0)}
    with pytest.raises(Fenced):
        commit(build.open(), [move(5, 6, Partition(FIRST.topic, "id-of-another", FIRST.number))], counted("a"))
    assert build.rows() == {("a",): {"name": "x", "total": 1}}
    build.close()
