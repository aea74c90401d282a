"""The benchmark's comparison of tables finds every difference: rows that differ must fail a run."""

from collections.abc import Callable, Iterator

import pytest

from tests.bench.data import Orders, Rows, expected
from tests.bench.hand import Job, copy
from tests.bench.merge import merge
from tests.bench.tables import RowsDiffer, Tables
from tests.support.postgres import Database

DATA, SIZE = Orders(spread=True), 3_000


@pytest.fixture
def tables(database: Database) -> Iterator[Tables]:
    made = Tables(database.uri())
    made.fill("wanted", DATA, expected(DATA, SIZE))
    yield made
    made.close()


def test_equal_tables_are_equal(tables: Tables) -> None:
    rows = expected(DATA, SIZE)
    tables.fill("found", DATA, rows)
    assert tables.compare("found", "wanted", DATA) == len(rows)


def drop_one(rows: Rows) -> None:
    del rows[min(rows)]


def add_one(rows: Rows) -> None:
    rows[max(rows) + 1] = rows[min(rows)]


def forget_a_value(rows: Rows) -> None:
    next(row for row in rows.values() if row[0] is not None)[0] = None


def make_up_a_value(rows: Rows) -> None:
    next(row for row in rows.values() if row[0] is None)[0] = ""


def be_a_millisecond_late(rows: Rows) -> None:
    rows[min(rows)][6] += 1


@pytest.mark.parametrize("damage", [drop_one, add_one, forget_a_value, make_up_a_value, be_a_millisecond_late])
def test_one_difference_is_found(tables: Tables, damage: Callable[[Rows], None]) -> None:
    rows = expected(DATA, SIZE)
    damage(rows)
    tables.fill("found", DATA, rows)
    with pytest.raises(RowsDiffer, match=r"1 of .* rows differ"):
        tables.compare("found", "wanted", DATA)


def test_the_merge_alone_makes_the_rows(tables: Tables) -> None:
    tables.create("found", DATA)
    merge(tables.uri, "found", DATA, SIZE, 100)
    tables.compare("found", "wanted", DATA)


def test_the_binary_copy_writes_rows_as_they_are(tables: Tables) -> None:
    tables.create("found", DATA)
    rows = {f"o-{key:09d}": row for key, row in expected(DATA, SIZE).items()}
    copy(Job("", "", [], 0, tables.uri, "found"), rows)
    tables.compare("found", "wanted", DATA)
