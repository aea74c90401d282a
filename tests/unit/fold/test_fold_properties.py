"""Law 1 without a database: whatever the log, its split into batches and the crashes, the table is the same fold.

The expected rows come from the reference interpreter in tests/support/oracle.py.
"""

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from projector.fold.algebra import merged
from projector.fold.folded import Folded
from projector.fold.table import Table
from projector.spec.definition import Definition
from tests.support.oracle import Reference
from tests.support.records import FakeRecord, event
from tests.support.specs import definition
from tests.support.worlds import BATCHES, DEFINITIONS, LOGS, Batch, Life


def comparable(value: Any) -> Any:
    """The value with its type, so that 1, 1.0 and true differ; numeric by value."""
    if isinstance(value, Decimal):
        return "numeric", Fraction(value)
    if isinstance(value, Fraction):
        return "numeric", value
    if isinstance(value, list):
        return [comparable(item) for item in value]
    if isinstance(value, dict):
        return {name: comparable(item) for name, item in value.items()}
    return type(value).__name__, value


@given(DEFINITIONS, LOGS, BATCHES, st.booleans())
def test_any_split_and_any_crash_give_the_reference_table(
    definition: Definition, log: list[FakeRecord], batches: list[Batch], parks: bool
) -> None:
    reference = Reference(definition, parks)
    reference.fold(log)
    life = Life(definition, parks)
    life.work(log, batches)
    assert comparable(life.table.rows) == comparable(reference.rows)
    assert {key: [event.record.offset() for event in events] for key, events in life.table.parked.items()} == (
        reference.parked
    )
    assert sorted(life.refused) == reference.refused
    assert life.ignored == reference.ignored


@pytest.mark.parametrize("size", [1, 2, 4])
def test_what_is_accumulated_after_null_begins_with_the_first_value(size: int) -> None:
    accumulated = {"increment": {"total": "event.n"}, "min": {"small": "event.n"}, "append": {"data": "event.n"}}
    emptied = definition(
        {"events": ["Adds"], "key": {"id": "event.id"}, **accumulated},
        {"events": ["Empties"], "key": {"id": "event.id"}, "set": dict.fromkeys(["total", "small", "data"], "null")},
    )
    log = [event("Adds", {"id": "a", "n": 5}, 0), event("Empties", {"id": "a"}, 1)]
    log += [event("Adds", {"id": "a", "n": n}, offset) for offset, n in ((2, 7), (3, 8))]
    life = Life(emptied, parks=False)
    life.work(log, [Batch(size, dies=False)] * 4)
    row = life.table.rows[("a",)]
    assert (row["total"], row["small"], row["data"]) == (15, 7, [7, 8])


@given(st.permutations([(number, key) for number in range(4) for key in "ab"]), BATCHES, st.data())
def test_guarded_rows_are_the_same_in_any_order(
    order: list[tuple[int, str]], batches: list[Batch], data: st.DataObject
) -> None:
    guarded = definition(
        {"events": ["Set"], "key": {"id": "event.id"}, "set": {"name": "event.name", "data": "event.data"}},
        {"events": ["Gone"], "key": {"id": "event.id"}, "delete": True},
        ordering={"mode": "Guarded", "by": "event.version"},
    )
    kinds = {place: data.draw(st.sampled_from(["Set", "Set", "Gone"])) for place in sorted(order)}
    events = {
        (version, key): (kinds[version, key], {"id": key, "version": version, "name": f"n{version}", "data": [version]})
        for version, key in order
    }
    twice = [*order, *data.draw(st.lists(st.sampled_from(order)))]
    life = Life(guarded, parks=False)
    life.work([event(*events[place], offset) for offset, place in enumerate(twice)], batches)
    in_order = Reference(guarded)
    in_order.fold(event(*events[place], offset) for offset, place in enumerate(sorted(order)))
    assert comparable(life.table.rows) == comparable(in_order.rows)
    late = Reference(guarded)
    late.fold(event(*events[place], offset) for offset, place in enumerate(twice))
    assert comparable(late.rows) == comparable(in_order.rows)


COMMUTATIVE = definition(
    {"events": ["E"], "key": {"id": "event.id"}, "increment": {"total": "event.n"}, "max": {"small": "event.n"}},
    {"events": ["F"], "forEach": "event.ids", "key": {"id": "item"}, "increment": {"total": "1"}},
    ordering={"mode": "Commutative"},
)
SUMS = st.lists(st.tuples(st.sampled_from("EF"), st.sampled_from("ab"), st.integers(-5, 5)), max_size=12)


@given(SUMS, st.randoms(use_true_random=False), BATCHES)
def test_commutative_rows_are_the_same_in_any_order_and_by_any_partition(
    sums: list[tuple[str, str, int]], random: Random, batches: list[Batch]
) -> None:
    log = [event(kind, {"id": key, "n": n, "ids": [key, "c"]}, at) for at, (kind, key, n) in enumerate(sums)]
    reference = Reference(COMMUTATIVE)
    reference.fold(log)
    shuffled = random.sample(log, len(log))
    life = Life(COMMUTATIVE, parks=False)
    life.work([replace(record, at_offset=at) for at, record in enumerate(shuffled)], batches)
    assert comparable(life.table.rows) == comparable(reference.rows)
    halves = Folded(), Folded()
    for half, records in zip(halves, (shuffled[::2], shuffled[1::2]), strict=True):
        life.program.fold(records, half)
    merged(life.program.columns, halves[0].deltas, halves[1].deltas)  # type: ignore[arg-type]  # nothing is parked
    table = Table(life.program.columns)
    table.commit(halves[0])
    assert comparable(table.rows) == comparable(reference.rows)
