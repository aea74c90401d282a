"""Every column type to its ends, tables of 200 columns, and what is said of values that do not fit."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from projector.fold.delta import Delta, Kind, Row, Update, Writes
from projector.ports import BadRow
from projector.spec.definition import Definition
from tests.contract.store_contract import FIRST, commit, move
from tests.support.postgres import Database, PostgresBuild, begin
from tests.support.specs import definition

Begin = Callable[[Definition], PostgresBuild]

EXTREMES: dict[str, list[Any]] = {
    "text": ["", " ", "NULL", "\\N", "\\.", "ß😀\u200b", 'a"b\\c', "a\tb\nc\rd", "x" * 100_000, "{1,2}", "'; --"],
    "smallint": [-(2**15), 0, 2**15 - 1],
    "integer": [-(2**31), 0, 2**31 - 1],
    "bigint": [-(2**63), 0, 2**63 - 1],
    "numeric": [Decimal("-1E+399"), Decimal("1E-100"), Decimal("0.00"), Decimal("12345678901234567890.123456789")],
    "double precision": [0.1, -1.7976931348623157e308, 5e-324, 1e16],
    "boolean": [True, False],
    "timestamptz": [
        datetime.min.replace(tzinfo=UTC),
        datetime.max.replace(tzinfo=UTC),
        datetime(2026, 3, 1, 12, 0, 0, 1, tzinfo=timezone(timedelta(hours=5, minutes=45))),
    ],
    "date": [date.min, date.max],
    "uuid": [UUID(int=0), UUID(int=2**128 - 1)],
    "jsonb": [{}, [], "", 0, 1.5, True, {"a": [None, {"b\\": 'q"'}]}, "ß😀", 2**70, "\\N"],
}


def table_of(columns: Sequence[Mapping[str, Any]]) -> Definition:
    """Text key `id`, and the given columns."""
    rule = {"events": ["A"], "key": {"id": "event.id"}, "delete": True}
    return definition(rule, columns=[{"name": "id", "type": "text"}, *columns])


@pytest.fixture(params=[1, 1000], ids=["copy", "arrays"])
def make(database: Database, request: pytest.FixtureRequest) -> Iterator[Begin]:
    """Begins a build, whose workers write in either way."""
    made: list[PostgresBuild] = []

    def make_one(what: Definition) -> PostgresBuild:
        made.append(begin(database, what, [FIRST], copy_from=request.param))
        return made[-1]

    yield make_one
    for build in made:
        build.close()


def test_values_of_every_type_and_null(make: Begin) -> None:
    names = {kind: kind.replace(" ", "_") for kind in EXTREMES}
    build = make(table_of([{"name": name, "type": kind} for kind, name in names.items()]))
    most = max(map(len, EXTREMES.values()))
    rows: list[Row] = [dict.fromkeys(names.values())]
    rows += [{names[kind]: values[turn % len(values)] for kind, values in EXTREMES.items()} for turn in range(most)]
    deltas: Writes = {(f"{turn}",): Delta(row, None) for turn, row in enumerate(rows)}
    commit(build.open(), [move(0, 1)], deltas)
    assert build.rows() == {(f"{turn}",): row for turn, row in enumerate(rows)}


def test_every_type_as_key(make: Begin) -> None:
    kinds = [kind for kind in EXTREMES if kind != "jsonb"]
    columns = [{"name": f"k{index}", "type": kind} for index, kind in enumerate(kinds)]
    rule = {"events": ["A"], "key": {column["name"]: "null" for column in columns}, "delete": True}
    canonical = definition(columns=[{"name": "id", "type": "text"}, {"name": "name", "type": "text"}])
    changes = {"columns": [*columns, {"name": "n", "type": "integer"}], "key": [c["name"] for c in columns]}
    wide = Definition.model_validate(canonical.model_dump(by_alias=True) | changes | {"rules": [rule]})
    build = make(wide)
    most = max(map(len, EXTREMES.values()))
    values = [[v for v in EXTREMES[kind] if len(str(v)) < 1000] for kind in kinds]
    keys = [tuple(one[turn % len(one)] for one in values) for turn in range(most)]
    store = build.open()
    for position in range(2):
        ops = {"n": (Kind.SET, position)}
        deltas: Writes = {key: Delta({"n": position}, Update(dict(ops))) for key in keys}
        commit(store, [move(position, position + 1)], deltas)
    assert build.rows() == {key: {"n": 1} for key in keys}


def test_200_columns(make: Begin) -> None:
    names = [f"c{index}" for index in range(199)]
    columns = [{"name": name, "type": "bigint", "default": "1"} for name in names]
    rules = [
        {"events": ["A"], "key": {"id": "event.id"}, "increment": dict.fromkeys(names[first : first + 50], "1")}
        for first in range(0, 150, 50)
    ]
    build = make(definition(*rules, columns=[{"name": "id", "type": "text"}, *columns]))
    store = build.open()
    each: list[Row] = [{name: 2} for name in names]
    commit(store, [move(0, 1)], {(name,): Delta(row, None) for name, row in zip(names, each, strict=True)})
    adds: Writes = {(name,): Delta(None, Update({name: (Kind.ADD, 5)})) for name in names[:150]}
    sets: Writes = {(name,): Delta(None, Update({name: (Kind.SET, None)})) for name in names[150:]}
    commit(store, [move(1, 2)], adds | sets)
    ones: Row = dict.fromkeys(names, 1)
    expected = {(name,): ones | {name: 7 if index < 150 else None} for index, name in enumerate(names)}
    assert build.rows() == expected


def test_a_table_of_nothing_but_its_key(make: Begin) -> None:
    build = make(table_of([]))
    store = build.open()
    commit(store, [move(0, 1)], {("a",): Delta({}, Update({})), ("b",): Delta({}, Update({}))})
    commit(store, [move(1, 2)], {("a",): Delta({}, Update({})), ("b",): Delta(None, None)})
    assert build.rows() == {("a",): {}}


COLUMNS: list[dict[str, Any]] = [
    {"name": "small", "type": "smallint"},
    {"name": "whole", "type": "integer", "default": "0"},
    {"name": "big", "type": "bigint", "default": "0"},
    {"name": "name", "type": "text"},
    {"name": "data", "type": "jsonb"},
]
RULE = {"events": ["A"], "key": {"id": "event.id"}, "increment": {"whole": "1", "big": "1"}}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"small": 2**15}, "column small of key ('a',): 32768 is out of range for smallint"),
        ({"whole": -(2**31) - 1}, "column whole of key ('a',): -2147483649 is out of range for integer"),
        ({"big": 2**63}, "column big of key ('a',): 9223372036854775808 is out of range for bigint"),
        ({"name": "a\0b"}, "column name of key ('a',): PostgreSQL text cannot hold a NUL character"),
        ({"name": "\ud800"}, "column name of key ('a',): 'utf-8' codec can't encode character"),
        ({"data": {"a": "\0"}}, "unsupported Unicode escape sequence"),
    ],
)
def test_values_that_do_not_fit_are_named(make: Begin, row: Row, message: str) -> None:
    build = make(definition(RULE, columns=[{"name": "id", "type": "text"}, *COLUMNS]))
    store = build.open()
    with pytest.raises(BadRow) as bad:
        commit(store, [move(0, 1)], {("a",): Delta(row, None), ("b",): Delta({}, None)})
    assert message in str(bad.value)
    assert build.rows() == {}
    commit(store, [move(0, 1)], {("b",): Delta({}, None)})


@pytest.mark.parametrize(("column", "kind"), [("whole", "integer"), ("big", "bigint")])
def test_a_sum_that_does_not_fit(make: Begin, column: str, kind: str) -> None:
    build = make(definition(RULE, columns=[{"name": "id", "type": "text"}, *COLUMNS]))
    store = build.open()
    most = 2**31 - 1 if kind == "integer" else 2**63 - 1
    commit(store, [move(0, 1)], {("a",): Delta({column: most}, None)})
    with pytest.raises(BadRow) as bad:
        commit(store, [move(1, 2)], {("a",): Delta(None, Update({column: (Kind.ADD, 1)}))})
    assert str(bad.value) == f"{kind} out of range, in a sum: one of whole, big"


def test_a_part_of_a_sum_may_exceed_the_column(make: Begin) -> None:
    build = make(definition(RULE, columns=[{"name": "id", "type": "text"}, *COLUMNS]))
    store = build.open()
    commit(store, [move(0, 1)], {("a",): Delta({"whole": -(2**31)}, None)})
    commit(store, [move(1, 2)], {("a",): Delta(None, Update({"whole": (Kind.ADD, 2**32 - 1)}))})
    assert build.rows()["a",]["whole"] == 2**31 - 1


def test_a_key_too_long_for_its_index_is_bad_data(make: Begin) -> None:
    build = make(table_of([]))
    key = "".join(chr(0x4E00 + number * 7919 % 20000) for number in range(5000))
    with pytest.raises(BadRow, match="index row"):
        commit(build.open(), [move(0, 1)], {(key,): Delta({}, None)})


def test_a_null_key(make: Begin) -> None:
    build = make(table_of([]))
    with pytest.raises(BadRow):
        commit(build.open(), [move(0, 1)], {(None,): Delta({}, None)})
