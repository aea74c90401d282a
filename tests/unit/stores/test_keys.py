"""Row keys as text: one text for equal keys, and the same key back."""

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from projector.spec.models import ColumnType
from projector.stores.postgres.keys import key_digest, key_of, key_text

VALUES: dict[ColumnType, st.SearchStrategy[Any]] = {
    "text": st.text(),
    "bigint": st.integers(-(2**63), 2**63 - 1),
    "numeric": st.decimals(allow_nan=False, allow_infinity=False),
    "double precision": st.floats(allow_nan=False, allow_infinity=False),
    "boolean": st.booleans(),
    "timestamptz": st.datetimes(min_value=datetime(2, 1, 1), max_value=datetime(9998, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    "date": st.dates(),
    "uuid": st.uuids(),
}


@given(st.fixed_dictionaries(dict(VALUES.items())))
def test_a_key_comes_back(values: dict[ColumnType, Any]) -> None:
    key = tuple(values.values())
    text = key_text(key)
    assert key_of(text, list(values)) == key
    assert key_text(key_of(text, list(values))) == text
    assert len(key_digest(text)) == 32


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Decimal("1.0"), Decimal("1.00")),
        (Decimal("1E+2"), Decimal(100)),
        (Decimal("-0.0"), Decimal(0)),
        (-0.0, 0.0),
        (
            datetime(2026, 1, 1, 12, tzinfo=UTC),
            datetime(2026, 1, 1, 14, tzinfo=timezone(timedelta(hours=2))),
        ),
    ],
)
def test_equal_keys_have_one_text(one: Any, other: Any) -> None:
    assert one == other
    assert key_text((one,)) == key_text((other,))


def test_keys_that_differ_have_texts_that_differ() -> None:
    keys: list[tuple[Any, ...]] = [
        (None,),
        ("null",),
        ("",),
        ("a", "b"),
        ('a","b',),
        (1,),
        ("1",),
        (True,),
        ("\\u0000",),
    ]
    assert len({key_text(key) for key in keys}) == len(keys)
    assert key_of(key_text((date(2026, 1, 31), UUID(int=7))), ["date", "uuid"]) == (date(2026, 1, 31), UUID(int=7))
