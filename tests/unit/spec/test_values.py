from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import UUID

import pytest

from projector.spec.models import Column, ColumnType
from projector.spec.values import Value, default_value

CASES: list[tuple[ColumnType, str | None, Value]] = [
    ("text", "a b", "a b"),
    ("text", None, None),
    ("bigint", "-5", -5),
    ("numeric", "1.50", Decimal("1.50")),
    ("double precision", "1e3", 1000.0),
    ("boolean", "false", False),
    ("timestamptz", "2026-01-31T12:00:00+02:00", datetime(2026, 1, 31, 10, tzinfo=UTC)),
    ("date", "2026-01-31", date(2026, 1, 31)),
    ("uuid", "12345678-1234-5678-1234-567812345678", UUID("12345678123456781234567812345678")),
    ("jsonb", '{"a": [1]}', {"a": [1]}),
]


@pytest.mark.parametrize(("kind", "text", "value"), CASES)
def test_defaults_are_literals_of_the_type(kind: ColumnType, text: str | None, value: Value) -> None:
    assert default_value(Column(name="c", type=kind, default=text)) == value
