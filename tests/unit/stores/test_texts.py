"""Values as array literals and COPY write them: many by one call the same as one by one."""

import csv
from datetime import UTC, datetime
from decimal import Decimal
from io import StringIO
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from projector.spec.models import ColumnType
from projector.stores.postgres.lines import Lines
from projector.stores.postgres.texts import Form

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")) | st.sampled_from("\\\n\t\r\"'{},")


def texts(kind: ColumnType, values: list[Any]) -> list[str]:
    return list(Form(kind).texts(values))


def one_in_array(value: Any) -> str:
    if value is None:
        return "NULL"
    return '"' + "".join("\\" + character if character in '\\"' else character for character in value) + '"'


def read_back(types: list[ColumnType], rows: list[list[Any]]) -> list[list[str]]:
    """Lines as another reader of CSV takes them, one that does not tell NULL from the text `null`."""
    text = Lines(types).of([list(row) for row in rows]).decode()
    return list(csv.reader(StringIO(text, newline=""), doublequote=False, escapechar="\\", strict=True))


@given(st.lists(TEXTS | st.none(), min_size=1))
def test_texts_are_escaped(values: list[Any]) -> None:
    assert texts("text", values) == list(map(one_in_array, values))


@given(st.lists(st.tuples(TEXTS, TEXTS | st.none(), st.integers(-(2**70), 2**70)), min_size=1))
def test_lines_are_csv(rows: list[tuple[str, str | None, int]]) -> None:
    expected = [[one, "null" if other is None else other, str(number)] for one, other, number in rows]
    assert read_back(["text", "text", "bigint"], [list(row) for row in rows]) == expected


@given(st.lists(st.integers() | st.none(), min_size=1))
def test_whole_numbers_of_any_size(values: list[Any]) -> None:
    assert texts("bigint", values) == ["NULL" if value is None else str(value) for value in values]


@given(st.lists(st.floats() | st.none(), min_size=1))
def test_doubles_read_back(values: list[Any]) -> None:
    copied = [text for (text,) in read_back(["double precision"], [[value] for value in values])]
    for text, copy, value in zip(texts("double precision", values), copied, values, strict=True):
        if value is None:
            assert (text, copy) == ("NULL", "null")
        else:
            assert repr(float(text)) == repr(float(copy)) == repr(value)


@pytest.mark.parametrize(
    ("kind", "values", "expected"),
    [
        ("numeric", [Decimal("1E+399"), Decimal("0.00"), None], ["1E+399", "0.00", "NULL"]),
        ("boolean", [True, False], ["true", "false"]),
        ("uuid", [UUID(int=0)], ["00000000-0000-0000-0000-000000000000"]),
        ("timestamptz", [datetime(1, 1, 1, tzinfo=UTC)], ["0001-01-01T00:00:00Z"]),
        ("jsonb", [{"a": ['"', 2**70]}, None], ['"{\\"a\\":[\\"\\\\\\"\\",1180591620717411303424]}"', "NULL"]),
    ],
)
def test_other_types(kind: ColumnType, values: list[Any], expected: list[str]) -> None:
    assert texts(kind, values) == expected


@pytest.mark.parametrize("values", [["a\0b"], ["a", "\0"], ["a", 7]])
def test_what_is_no_text_is_refused(values: list[Any]) -> None:
    with pytest.raises((ValueError, TypeError)):
        texts("text", values)


@pytest.mark.parametrize("value", ["a\0b", "\0", '\\u0000\0"', "\ud800"])
def test_lines_hold_no_nul_and_no_surrogate(value: str) -> None:
    with pytest.raises(ValueError, match=r"NUL|surrogate"):
        Lines(["text"]).of([["\\u0000"], [value]])
    assert read_back(["text"], [["\\u0000"]]) == [["\\u0000"]]
