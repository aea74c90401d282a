"""Law 1 without a database: whatever the log, its split into batches and the crashes, the table is the same fold.

The expected rows come from the reference interpreter in tests/support/oracle.py.
"""

from decimal import Decimal
from fractions import Fraction
from typing import Any

from hypothesis import given

from projector.spec.definition import Definition
from tests.support.oracle import Reference
from tests.support.records import FakeRecord
from tests.support.worlds import BATCHES, DEFINITIONS, LOGS, Batch, MemoryTable, work


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


@given(DEFINITIONS, LOGS, BATCHES)
def test_any_split_and_any_crash_give_the_reference_table(
    definition: Definition, log: list[FakeRecord], batches: list[Batch]
) -> None:
    reference = Reference(definition)
    reference.fold(log)
    table = MemoryTable(definition)
    ignored = work(table, log, batches)
    assert comparable(dict(table.rows)) == comparable(reference.rows)
    assert sorted(set(table.discarded)) == reference.refused
    assert ignored == reference.ignored
