"""Names of indexes, and how far the making of one is."""

import re

import pytest

from projector.spec.models import Index
from projector.stores.postgres.indexes import index_name, percent

BY_NAME = Index(columns=("name",))


def test_a_name_follows_from_build_columns_and_method() -> None:
    others = [
        index_name(table, index)
        for table in ("orders__b7", "orders__b8", "lines__b7")
        for index in (BY_NAME, Index(columns=("name",), method="hash"), Index(columns=("name", "id")))
    ]
    assert len({*others, index_name("orders__b7", Index(columns=("id", "name")))}) == 10
    # Of releases to come, too: a name that changed would make all indexes anew.
    assert index_name("orders__b7", BY_NAME) == "orders__b7_i_d0662567"


@pytest.mark.parametrize("table", ["t" * 50 + "__b1234567890", "ß" * 25 + "__b1", "a" + "ß" * 24 + "__b1234567890"])
def test_a_long_name_is_cut_before_its_build(table: str) -> None:
    name = index_name(table, BY_NAME)
    assert 61 <= len(name.encode()) <= 63
    assert re.search(rf"__b{table.rpartition('__b')[2]}_i_[0-9a-f]{{8}}$", name)
    assert table.startswith(name.partition("__b")[0])


BUILDING = "building index: "
PHASES = (
    ("initializing", 0, 0),
    ("waiting for writers before build", 0, 0),
    (f"{BUILDING}scanning table", 1, 1),
    (f"{BUILDING}sorting live tuples", 4, 4),
    (f"{BUILDING}loading tuples in tree", 4, 1),
    (f"{BUILDING}loading tuples in tree", 4, 4),
)
VALIDATING = (
    ("waiting for writers before validation", 0, 0),
    ("index validation: scanning index", 2, 0),
    ("index validation: sorting tuples", 0, 0),
    ("index validation: scanning table", 3, 0),
    ("waiting for old snapshots", 0, 0),
    ("a phase of a release to come", 0, 0),
)


def test_the_share_that_is_done_grows_through_all_phases() -> None:
    plain = [percent("CREATE INDEX", phase, (blocks, 4), (tuples, 4)) for phase, blocks, tuples in PHASES]
    assert plain == [0, 0, 15, 60, 70, 100]
    command = "CREATE INDEX CONCURRENTLY"
    shares = [percent(command, phase, (blocks, 4), (tuples, 4)) for phase, blocks, tuples in (*PHASES, *VALIDATING)]
    assert shares == [0, 0, 7, 30, 35, 50, 50, 55, 60, 86, 95, 0]


def test_an_empty_table_divides_by_nothing() -> None:
    assert percent("CREATE INDEX", f"{BUILDING}scanning table", (0, 0), (0, 0)) == 0
