"""The table holds what the algebra says, whatever the deltas, the batches and the way of writing."""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any
from uuid import UUID

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from projector.fold.algebra import apply, general, merged
from projector.fold.columns import Columns
from projector.fold.delta import ColumnOp, Delta, Key, Kind, Row, Update, Upsert, Writes
from projector.ports import Move, Partition
from projector.spec.values import default_value
from tests.contract.store_contract import commit
from tests.support.deltas import U, upsert
from tests.support.postgres import Database, PostgresBuild, begin
from tests.support.specs import definition

COLUMNS: tuple[dict[str, Any], ...] = (
    {"name": "id", "type": "text"},
    {"name": "part", "type": "integer"},
    {"name": "set", "type": "text", "default": "it's"},
    {"name": "sum", "type": "bigint", "default": "10"},
    {"name": "count", "type": "smallint"},
    {"name": "amount", "type": "numeric", "default": "0.50"},
    {"name": "low", "type": "integer"},
    {"name": "high", "type": "double precision", "default": "3.5"},
    {"name": "first", "type": "timestamptz"},
    {"name": "flag", "type": "boolean", "default": "true"},
    {"name": "day", "type": "date"},
    {"name": "ref", "type": "uuid"},
    {"name": "data", "type": "jsonb", "default": '{"a": [1, null]}'},
    {"name": "log", "type": "jsonb"},
    {"name": "seen", "type": "timestamptz"},
    {"name": "latest", "type": "timestamptz"},
)
ACCUMULATES = {"sum": Kind.ADD, "count": Kind.ADD, "amount": Kind.ADD, "low": Kind.MIN, "high": Kind.MAX}
ACCUMULATES |= {"first": Kind.MIN, "log": Kind.APPEND, "latest": Kind.MAX}
DEFINITION = definition(
    {
        "events": ["A"],
        "key": {"id": "event.id", "part": "event.part"},
        "increment": {"sum": "1", "count": "1", "amount": "1"},
        "set": {"seen": "meta.timestamp"},
        "min": {"low": "1", "first": "event.first"},
        "max": {"high": "1.0", "latest": "meta.timestamp"},
        "append": {"log": "event.entry"},
    },
    columns=COLUMNS,
    key=["id", "part"],
)
DEFAULTS: Row = {column.name: default_value(column) for column in DEFINITION.columns[2:]}
SHAPE = Columns.of(DEFINITION)
PARTITION = Partition("orders", "id-1", 0)

INTEGERS = st.integers(-1000, 1000)
# PostgreSQL's own range ends where years have more digits than Python's.
MOMENTS = st.datetimes(timezones=st.just(UTC))
INSTANTS = MOMENTS.map(lambda moment: moment.replace(microsecond=moment.microsecond // 1000 * 1000))
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
AWKWARD = st.sampled_from(["", "NULL", "\\N", '"', "\\", "'", "{a,b}", "a\tb\nc\r", "%s", "$1", "ß😀", "\\.", " x "])
LEAVES = st.none() | st.booleans() | st.integers(-(2**60), 2**60) | TEXT | AWKWARD
JSON = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3))
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "set": TEXT | AWKWARD,
    "sum": st.integers(-(2**40), 2**40),
    "count": INTEGERS,
    "amount": st.decimals(-1000, 1000, places=3),
    "low": st.integers(-(2**31), 2**31 - 1),
    "high": st.floats(allow_nan=False, allow_infinity=False).map(lambda value: value + 0.0),
    "first": MOMENTS,
    "flag": st.booleans(),
    "day": st.dates(),
    "ref": st.uuids(),
    "data": JSON.filter(lambda value: value is not None),
    "log": st.lists(JSON, max_size=2),
    "seen": INSTANTS,
    "latest": INSTANTS,
}
NAMED = {name for name in ACCUMULATES if DEFAULTS[name] is not None}


def _op(column: str) -> st.SearchStrategy[ColumnOp]:
    sets = st.tuples(st.just(Kind.SET), st.none() | VALUES[column])
    if column not in ACCUMULATES:
        return sets
    return sets | st.tuples(st.just(ACCUMULATES[column]), VALUES[column])


def _required(names: set[str]) -> dict[str, st.SearchStrategy[Any]]:
    return {name: st.none() | VALUES[name] for name in names}


ROWS = st.fixed_dictionaries(_required(NAMED), optional=_required(set(DEFAULTS) - NAMED))
OPS: st.SearchStrategy[dict[str, ColumnOp]] = st.fixed_dictionaries({}, optional={name: _op(name) for name in DEFAULTS})
REPLACING = ROWS.map(lambda row: Update({name: (Kind.SET, value) for name, value in row.items()}, replace=True))
ANY_DELTA = st.builds(Delta, st.none() | ROWS, st.none() | OPS.map(Update) | REPLACING)
KEYS: st.SearchStrategy[Key] = st.tuples(st.sampled_from(["", "a", 'b"\\', "ß\t"]), st.sampled_from([-1, 2]))


EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def listed(key: Key, ops: dict[str, ColumnOp]) -> Upsert:
    """The same as a list, as a rule with `onMissing: Create` makes it."""
    values: list[Any] = []
    absolute = []
    for index, (name, instant) in enumerate(zip(SHAPE.names, SHAPE.instants, strict=True)):
        kind, value = ops.get(name, (Kind.SET, U))
        values.append(
            (value - EPOCH) // timedelta(milliseconds=1) if instant and isinstance(value, datetime) else value
        )
        if kind is Kind.SET and SHAPE.kinds[index] is not None:
            absolute.append(index)
    return upsert(key, *values, absolute=absolute)


STEP = KEYS.flatmap(lambda key: st.tuples(st.just(key), OPS.map(partial(listed, key)) | ANY_DELTA))
STEPS = st.lists(STEP, max_size=12)
BATCHES = st.lists(STEPS, min_size=1, max_size=4)


def composed(steps: list[tuple[Key, Upsert | Delta]]) -> Writes:
    deltas: Writes = {}
    for key, change in steps:
        merged(SHAPE, deltas, {key: list(change) if isinstance(change, list) else change})
    return deltas


SIMPLY: dict[Kind, Callable[[Any, Any], Any]] = {Kind.ADD: lambda a, b: a + b, Kind.MIN: min, Kind.MAX: max}
SIMPLY[Kind.APPEND] = SIMPLY[Kind.ADD]


def simple(before: Row | None, change: Upsert | Delta) -> Row | None:
    """What a delta does, written down a second time without the algebra."""
    if isinstance(change, list):
        return simple_upsert(dict(DEFAULTS if before is None else before), change)
    delta = change
    if before is None:
        return None if delta.absent is None else DEFAULTS | delta.absent
    if delta.row is None:
        return None
    after = dict(DEFAULTS if delta.row.replace else before)
    for name, (kind, value) in delta.row.ops.items():
        old: Any = after[name]
        if kind is Kind.SET or old is None:
            after[name] = value
        else:
            after[name] = SIMPLY[kind](old, value)
    return after


def simple_upsert(after: Row, change: Upsert) -> Row:
    for index, name in enumerate(DEFAULTS):
        value, old = change[index + 3], after[name]
        if not change[2] & SHAPE.touched(index):
            continue
        if SHAPE.instants[index] and value is not None:
            value = EPOCH + timedelta(milliseconds=value)
        accumulates = ACCUMULATES.get(name)
        if accumulates is None or change[2] & SHAPE.absolute(index) or old is None:
            after[name] = value
        else:
            after[name] = SIMPLY[accumulates](old, value)
    return after


@pytest.fixture(scope="module")
def build(postgres: str) -> Iterator[PostgresBuild]:
    database = Database(postgres)
    database.create()
    begun = begin(database, DEFINITION, [PARTITION])
    yield begun
    begun.close()
    database.drop()


@pytest.mark.parametrize("copy_from", [1, 1000])
def test_any_deltas_in_any_batches(build: PostgresBuild, copy_from: int) -> None:
    build.copy_from = copy_from
    store = build.open()
    position = store.positions([PARTITION])[PARTITION].offset
    session = psycopg.connect(build.database.uri(), autocommit=True)

    @given(BATCHES)
    @settings(max_examples=1000)
    def table_equals_states(batches: list[list[tuple[Key, Upsert | Delta]]]) -> None:
        nonlocal position
        session.execute("DELETE FROM orders__b1")
        states: dict[Key, Row | None] = {}
        modelled: dict[Key, Row | None] = {}
        for steps in batches:
            deltas = composed(steps)
            commit(store, [Move(PARTITION, position, position + 1, None)], deltas)
            position += 1
            for key, delta in steps:
                modelled[key] = simple(modelled.get(key), delta)
            for key, delta in deltas.items():
                states[key] = apply(
                    general(SHAPE, delta) if isinstance(delta, list) else delta, states.get(key), DEFAULTS
                )
        written = {row[:2]: dict(zip(DEFAULTS, row[2:], strict=True)) for row in session.execute("TABLE orders__b1")}
        assert written == {key: state for key, state in states.items() if state is not None}
        assert written == {key: state for key, state in modelled.items() if state is not None}

    with session:
        table_equals_states()


def test_a_row_that_creation_and_update_agree_on_is_sent_once(build: PostgresBuild) -> None:
    ops: dict[str, ColumnOp] = {"sum": (Kind.ADD, 5), "set": (Kind.SET, "x"), "amount": (Kind.ADD, Decimal("1.25"))}
    agreed = Delta({"sum": 15, "set": "x", "amount": Decimal("1.75")}, Update(ops))
    apart = Delta({"sum": 5, "set": "x", "amount": Decimal("1.75")}, Update(ops))
    assert _lines(build, agreed) == 1
    assert _lines(build, apart) == 2
    assert _lines(build, Delta(None, Update({}))) == 0


def test_both_rows_of_a_delta_go_by_one_statement(build: PostgresBuild) -> None:
    """Else the second would change what the first created."""
    apart = Delta({"sum": 5}, Update({"sum": (Kind.ADD, 7)}))
    deltas: Writes = {("a", number): apart for number in range(3)}
    encoder = build.open()._encoder
    blocks = list(encoder.arrays(encoder.rows(deltas), 1))
    assert [part for _, part, *_ in blocks] == [b"{0,0}", b"{1,1}", b"{2,2}"]


def test_true_in_json_is_not_one(build: PostgresBuild) -> None:
    delta = Delta(
        {"data": [True], "day": date(1, 1, 1), "ref": UUID(int=0), "first": datetime.max.replace(tzinfo=UTC)},
        Update({"data": (Kind.SET, [1])}),
    )
    assert _lines(build, delta) == 2


def _lines(build: PostgresBuild, delta: Delta) -> int:
    encoder = build.open()._encoder
    return b"".join(encoder.lines(encoder.rows({("a", 1): delta}))).count(b"\n")
