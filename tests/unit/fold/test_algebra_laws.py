"""The laws of deltas: composition is associative, and applying a composition is applying one after the other."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from projector.fold.algebra import NOTHING, apply, compose, follow, general, merged
from projector.fold.columns import Columns
from projector.fold.delta import ColumnOp, Delta, Kind, Row, Update, Upsert
from projector.fold.folded import Folded
from tests.support.deltas import U, upsert
from tests.support.records import event

DEFAULTS: Row = {"name": "unnamed", "total": 5, "amount": Decimal(1), "low": None, "high": 3, "lines": [0]}
ACCUMULATES = {
    "total": Kind.ADD,
    "amount": Kind.ADD,
    "low": Kind.MIN,
    "high": Kind.MAX,
    "lines": Kind.APPEND,
}
COLUMNS = Columns(
    key=1,
    names=tuple(DEFAULTS),
    kinds=tuple(ACCUMULATES.get(name) for name in DEFAULTS),
    defaults=tuple(DEFAULTS.values()),
    instants=(False,) * len(DEFAULTS),
    guarded=False,
)
INTEGERS = st.integers(-100, 100)
VALUES: dict[str, st.SearchStrategy[object]] = {
    "name": st.none() | st.sampled_from(["a", "b"]),
    "total": INTEGERS,
    "amount": st.decimals(-100, 100, places=2),
    "low": INTEGERS,
    "high": INTEGERS,
    "lines": st.lists(INTEGERS, max_size=2),
}
NAMED = {name for name in ACCUMULATES if DEFAULTS[name] is not None}


def op(column: str) -> st.SearchStrategy[ColumnOp]:
    sets = st.tuples(st.just(Kind.SET), st.none() | VALUES[column])
    if column not in ACCUMULATES:
        return sets
    return sets | st.tuples(st.just(ACCUMULATES[column]), VALUES[column])


def rows() -> st.SearchStrategy[Row]:
    """Rows as rules create them: accumulated columns with a default are named."""
    required = {name: st.none() | VALUES[name] for name in NAMED}
    optional = {name: st.none() | VALUES[name] for name in DEFAULTS if name not in NAMED}
    return st.fixed_dictionaries(required, optional=optional)


OPS: st.SearchStrategy[dict[str, ColumnOp]] = st.fixed_dictionaries({}, optional={name: op(name) for name in DEFAULTS})
REPLACEMENTS = rows().map(lambda row: Update({name: (Kind.SET, value) for name, value in row.items()}, True))
DELTAS = st.builds(Delta, st.none() | rows(), st.none() | OPS.map(Update) | REPLACEMENTS)
STATES = st.none() | st.fixed_dictionaries({name: st.none() | values for name, values in VALUES.items()})


@given(DELTAS, DELTAS, STATES)
def test_apply_after_compose_is_apply_after_apply(first: Delta, second: Delta, state: Row | None) -> None:
    assert apply(compose(first, second), state, DEFAULTS) == apply(second, apply(first, state, DEFAULTS), DEFAULTS)


@given(DELTAS, DELTAS, DELTAS)
def test_composition_is_associative(first: Delta, second: Delta, third: Delta) -> None:
    assert compose(compose(first, second), third) == compose(first, compose(second, third))


@given(DELTAS)
def test_nothing_is_neutral(delta: Delta) -> None:
    assert compose(NOTHING, delta) == delta == compose(delta, NOTHING)


def upsert_of(values: Row, sets: frozenset[str]) -> Upsert:
    """A delta that changes these columns; those of `sets` are set although they accumulate."""
    absolute = [index for index, name in enumerate(DEFAULTS) if name in sets & ACCUMULATES.keys()]
    return upsert("k", *(values.get(name, U) for name in DEFAULTS), absolute=absolute)


UPSERTS = st.builds(
    upsert_of, st.fixed_dictionaries({}, optional=VALUES), st.frozensets(st.sampled_from(list(DEFAULTS)))
)


@given(UPSERTS, STATES)
def test_an_upsert_does_the_same_to_the_defaults_as_to_a_row(change: Upsert, state: Row | None) -> None:
    named = {**DEFAULTS, **(state or {})}
    assert apply(general(COLUMNS, change), None, DEFAULTS) == apply(general(COLUMNS, change), DEFAULTS, DEFAULTS)
    touched = [name for index, name in enumerate(DEFAULTS) if change[1] & COLUMNS.touched(index)]
    after = apply(general(COLUMNS, change), named, DEFAULTS)
    assert after is not None
    assert {name: after[name] for name in DEFAULTS if name not in touched} == {
        name: named[name] for name in DEFAULTS if name not in touched
    }


@given(st.lists(UPSERTS | DELTAS, min_size=1, max_size=6), st.integers(0, 6), STATES)
def test_following_in_place_and_joining_batches_is_composing(
    steps: list[Upsert | Delta], split: int, state: Row | None
) -> None:
    composed = NOTHING
    batches = Folded(), Folded()
    for number, step in enumerate(steps):
        change = general(COLUMNS, step) if isinstance(step, list) else step
        composed = compose(composed, change)
        copied = list(step) if isinstance(step, list) else step
        follow(COLUMNS, batches[number >= split], ("k",), copied, event("E", {}, number))
    first, second = (dict(one.deltas) for one in batches)
    merged(COLUMNS, first, second)  # type: ignore[arg-type]  # nothing here is parked
    found = first["k",]
    after = general(COLUMNS, found) if isinstance(found, list) else found
    assert isinstance(after, Delta)
    assert apply(after, state, DEFAULTS) == apply(composed, state, DEFAULTS)


@given(DELTAS, DELTAS)
def test_a_replacing_update_sets_all_that_it_names(first: Delta, second: Delta) -> None:
    update = compose(first, second).row
    if update is not None and update.replace:
        assert {kind for kind, _ in update.ops.values()} <= {Kind.SET}


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=2, max_size=5))
def test_sums_of_numeric_values_are_exact_in_any_order(values: list[float]) -> None:
    decimals = [Decimal(repr(value)) for value in values]

    def total(order: list[Decimal]) -> object:
        composed = NOTHING
        for value in order:
            composed = compose(composed, Delta(None, Update({"amount": (Kind.ADD, value)})))
        assert composed.row is not None
        return composed.row.ops["amount"][1]

    assert total(decimals) == total(decimals[::-1])


def test_two_accumulations_of_one_column_are_refused() -> None:
    first, second = (Delta(None, Update({"total": (kind, 1)})) for kind in (Kind.ADD, Kind.MAX))
    with pytest.raises(ValueError, match="ADD and MAX of one column do not compose"):
        compose(first, second)
