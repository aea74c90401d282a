"""Law 1 with a Python handler: whatever the split and the crashes, the table is that of rules that do the same."""

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from projector.expr.errors import EvalError
from projector.fold.decode import careful
from projector.spec.definition import Definition
from tests.support.handled import program_like, with_handler
from tests.support.oracle import Reference
from tests.support.records import FakeRecord, event
from tests.support.specs import definition
from tests.support.worlds import BATCHES, DEFINITIONS, LOGS, Batch, Life
from tests.unit.fold.test_fold_properties import comparable

read = careful(dict)


def readable(records: Iterable[FakeRecord]) -> list[FakeRecord]:
    """Without values that are no objects: rules look at them only where one is for the type, a handler always."""
    return [record for record in records if record.value_bytes is None or reads(record.value_bytes)]


def reads(value: bytes) -> bool:
    try:
        read(value)
    except EvalError:
        return False
    return True


@given(DEFINITIONS, LOGS.map(readable), BATCHES, st.booleans())
def test_a_handler_gives_the_table_of_rules(
    definition: Definition, log: list[FakeRecord], batches: list[Batch], parks: bool
) -> None:
    reference = Reference(definition, parks)
    reference.fold(log)
    life = Life(with_handler(definition), parks, program_like(definition))
    life.work(log, batches)
    assert comparable(life.table.rows) == comparable(reference.rows)
    parked = {key: [event.record.offset() for event in events] for key, events in life.table.parked.items()}
    assert parked == reference.parked
    assert sorted(life.refused) == reference.refused


GUARDED = definition(
    {"events": ["Set"], "key": {"id": "event.id"}, "set": {"name": "event.name", "total": "event.version"}},
    {"events": ["Gone"], "key": {"id": "event.id"}, "delete": True},
    ordering={"mode": "Guarded", "by": "event.version"},
    columns=[{"name": "id", "type": "text"}, {"name": "name", "type": "text"}, {"name": "total", "type": "bigint"}],
)


@given(
    st.permutations([(kind, number, key) for number, kind in enumerate(("Set", "Gone", "Set")) for key in "ab"]),
    BATCHES,
)
def test_a_guarded_handler_gives_the_same_rows_in_any_order(
    order: list[tuple[str, int, str]], batches: list[Batch]
) -> None:
    log = [
        event(kind, {"id": key, "version": number, "name": f"n{number}"}, at)
        for at, (kind, number, key) in enumerate(order)
    ]
    life = Life(with_handler(GUARDED), False, program_like(GUARDED))
    life.work(log, batches)
    reference = Reference(GUARDED)
    reference.fold(log)
    assert comparable(life.table.rows) == comparable(reference.rows)
    assert life.table.rows == {(key,): {"name": "n2", "total": 2} for key in "ab"}
