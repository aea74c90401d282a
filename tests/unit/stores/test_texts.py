"""Columns as COPY and array literals write them: by whole columns the same as value by value."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from projector.fold.delta import UNTOUCHED
from projector.spec.models import ColumnType
from projector.stores.postgres.texts import ARRAY, COPY, Form, Style

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")) | st.sampled_from("\\\n\t\r\"'{},")
HOLES = st.sampled_from([None, UNTOUCHED])


def texts(kind: ColumnType, values: list[Any], style: Style) -> list[str]:
    return list(Form(kind).texts(values, set(map(type, values)), style))


def one_copied(value: Any) -> str:
    if value is None or value is UNTOUCHED:
        return "\\N"
    escapes = {"\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}
    return "".join(escapes.get(character, character) for character in value)


def one_in_array(value: Any) -> str:
    if value is None or value is UNTOUCHED:
        return "NULL"
    return '"' + "".join("\\" + character if character in '\\"' else character for character in value) + '"'


@given(st.lists(TEXTS | HOLES, min_size=1))
def test_texts_are_escaped(values: list[Any]) -> None:
    assert texts("text", values, COPY) == list(map(one_copied, values))
    assert texts("text", values, ARRAY) == list(map(one_in_array, values))


@given(st.lists(st.integers() | HOLES, min_size=1))
def test_whole_numbers_of_any_size(values: list[Any]) -> None:
    expected = ["\\N" if value in (None, UNTOUCHED) else str(value) for value in values]
    assert texts("bigint", values, COPY) == expected


@given(st.lists(st.floats() | HOLES, min_size=1))
def test_doubles_read_back(values: list[Any]) -> None:
    for text, value in zip(texts("double precision", values, ARRAY), values, strict=True):
        if value in (None, UNTOUCHED):
            assert text == "NULL"
        else:
            assert repr(float(text)) == repr(value)


@pytest.mark.parametrize(
    ("kind", "values", "expected"),
    [
        ("numeric", [Decimal("1E+399"), Decimal("0.00"), None], ["1E+399", "0.00", "NULL"]),
        ("boolean", [True, False], ["true", "false"]),
        ("uuid", [UUID(int=0)], ["00000000-0000-0000-0000-000000000000"]),
        ("timestamptz", [datetime(1, 1, 1, tzinfo=UTC)], ["0001-01-01T00:00:00Z"]),
        ("jsonb", [{"a": ['"', 2**70]}, UNTOUCHED], ['"{\\"a\\":[\\"\\\\\\"\\",1180591620717411303424]}"', "NULL"]),
    ],
)
def test_other_types(kind: ColumnType, values: list[Any], expected: list[str]) -> None:
    assert texts(kind, values, ARRAY) == expected


@pytest.mark.parametrize("style", [COPY, ARRAY])
@pytest.mark.parametrize("values", [["a\0b"], ["a", "\0"], ["a", 7]])
def test_what_is_no_text_is_refused(style: Style, values: list[Any]) -> None:
    with pytest.raises((ValueError, TypeError)):
        texts("text", values, style)
