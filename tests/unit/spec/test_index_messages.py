"""What a user reads of indexes that do not fit the table."""

from typing import Any

import pytest

from projector.indexes import Indexes, IndexView, fitting
from projector.spec.definition import Definition
from projector.spec.load import load_spec
from projector.spec.models import Index
from tests.support.specs import COLUMNS, definition, problems, spec_data

AT = "spec.target.postgresql.indexes"

WRONG: list[tuple[list[dict[str, Any]], list[str]]] = [
    ([{"columns": ["nmae"]}], [f"{AT}[0].columns[0]: column `nmae` is not declared; did you mean `name`?"]),
    ([{"columns": ["name", "day", "name"]}], [f"{AT}[0].columns[2]: column `name` is named twice"]),
    ([{"columns": ["name"]}, {"columns": ["name"], "method": "btree"}], [f"{AT}[1]: is the same as indexes[0]"]),
    ([{"columns": ["id"]}], [f"{AT}[0]: the index of the primary key serves (id) already"]),
    (
        [{"columns": ["data"]}],
        [f"{AT}[0].columns[0]: column `data` is jsonb, which btree does not serve: set method: gin"],
    ),
    (
        [{"columns": ["data"], "method": "hash"}],
        [f"{AT}[0].columns[0]: column `data` is jsonb, which hash does not serve: set method: gin"],
    ),
    (
        [{"columns": ["flag"], "method": "brin"}],
        [f"{AT}[0].columns[0]: column `flag` is boolean, which brin does not serve"],
    ),
    (
        [{"columns": ["data", "name"], "method": "gin"}],
        [f"{AT}[0].columns[1]: column `name` is text; gin serves jsonb columns"],
    ),
    ([{"columns": ["name", "day"], "method": "hash"}], [f"{AT}[0].columns: an index by hash has one column"]),
    ([{"columns": []}], [f"{AT}[0].columns: needs at least 1 entry"]),
    ([{"columns": "name"}], [f"{AT}[0].columns: must be a list"]),
    ([{"columns": ["name"], "unique": True}], [f"{AT}[0].unique: there is no field `unique` here"]),
    (
        [{"column": ["name"]}],
        [f"{AT}[0].columns: is missing", f"{AT}[0].column: there is no field `column` here; did you mean `columns`?"],
    ),
    ([{"columns": ["name"], "method": "gist"}], [f"{AT}[0].method: must be one of 'btree', 'gin', 'brin', 'hash'"]),
    ([{"columns": ["name"]}] * 21, [f"{AT}: has more than 20 entries"]),
]  # fmt: skip


@pytest.mark.parametrize(("indexes", "said"), WRONG, ids=lambda value: str(value)[:60])
def test_message(indexes: list[dict[str, Any]], said: list[str]) -> None:
    assert problems(spec_data(indexes=indexes)) == said


def test_leading_columns_of_the_key_are_its_own_and_others_are_not() -> None:
    parts: dict[str, Any] = {
        "key": ["id", "name", "day"],
        "rules": [{"events": ["E"], "key": {"id": "event.a", "name": "event.b", "day": "event.c"}, "delete": True}],
    }
    right = [["name"], ["name", "id"], ["id", "day"], ["id", "name", "day", "total"]]
    assert problems(spec_data(**parts, indexes=[{"columns": one} for one in right])) == []
    assert problems(spec_data(**parts, indexes=[{"columns": ["id"], "method": "hash"}])) == []
    wrong = problems(spec_data(**parts, indexes=[{"columns": ["id", "name"]}]))
    assert wrong == [f"{AT}[0]: the index of the primary key serves (id, name) already"]


def test_indexes_are_no_part_of_a_version() -> None:
    plain, indexed = (load_spec(spec_data(indexes=one)) for one in ([], [{"columns": ["name"]}]))
    assert Definition.of(plain).fingerprint == Definition.of(indexed).fingerprint


def test_in_words() -> None:
    words = [str(Index(columns=("a", "b"))), str(Index(columns=("a",), method="gin"))]
    assert words == ["(a, b)", "gin (a)"]


def test_a_table_of_another_version_may_lack_columns_or_have_them_of_another_type() -> None:
    by_name, by_data = Index(columns=("name",)), Index(columns=("data",), method="gin")
    both = Index(columns=("name", "day"))
    assert fitting([by_name, by_data, both], definition()) == (by_name, by_data, both)
    assert fitting([by_name, by_data, both], definition(columns=COLUMNS[:2])) == (by_name,)
    changed: list[dict[str, Any]] = [{"name": "id", "type": "text"}, {"name": "name", "type": "jsonb"}]
    rule = {"events": ["E"], "key": {"id": "event.id"}, "set": {"name": "event.name"}}
    assert fitting([by_name, by_data], definition(rule, columns=changed)) == ()


def test_what_is_missing_and_what_is_needless() -> None:
    one, two, three = (Index(columns=(name,)) for name in ("a", "b", "c"))
    # As read from a catalog: not by way of the checks of a spec.
    seen = Index.model_construct(columns=("a",), method="btree")
    there = Indexes(made=(IndexView(seen, valid=True), IndexView(two, valid=False)))
    assert there.missing([three, two, one]) == (three, two)
    assert there.needless([one]) == (two,)
    assert there.needless([one, two]) == ()


@pytest.mark.parametrize("method", ["btree", "hash", "brin", "gin"])
@pytest.mark.parametrize("column", COLUMNS[1:], ids=lambda column: str(column["type"]))
def test_each_type_has_a_method_and_each_method_an_answer(method: str, column: dict[str, Any]) -> None:
    said = problems(spec_data(indexes=[{"columns": [column["name"]], "method": method}]))
    served = {"gin": column["type"] == "jsonb", "brin": column["type"] not in {"jsonb", "boolean"}}
    assert (said == []) == served.get(method, column["type"] != "jsonb")
