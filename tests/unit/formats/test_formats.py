"""The format that a definition names, JSON, and the head of a value that names its schema."""

import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from projector.formats import open_format
from projector.formats.avro import Avro
from projector.formats.errors import MissingExtra, Undecodable
from projector.formats.json_text import Json
from projector.formats.protobuf import Protobuf
from projector.formats.registry import SchemaRegistry
from projector.formats.wire import message_indexes, schema_id
from tests.support.schema_registry import zigzag


def test_each_name_has_its_format(registry: SchemaRegistry) -> None:
    assert type(open_format("JSON")) is Json
    assert type(open_format("Avro", registry)) is Avro
    assert type(open_format("Protobuf", registry)) is Protobuf


@pytest.mark.parametrize(
    ("name", "extra", "library"), [("Avro", "avro", "fastavro"), ("Protobuf", "protobuf", "google")]
)
def test_a_missing_library_is_named_by_its_extra(
    registry: SchemaRegistry, monkeypatch: pytest.MonkeyPatch, name: str, extra: str, library: str
) -> None:
    for module in [loaded for loaded in sys.modules if loaded.startswith(f"projector.formats.{extra}")]:
        monkeypatch.delitem(sys.modules, module)
    for module in [loaded for loaded in sys.modules if loaded.partition(".")[0] == library]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(MissingExtra) as missing:
        open_format(name, registry)
    assert str(missing.value) == f"format {name} needs a library: pip install 'projection-operator[{extra}]'"


@pytest.mark.parametrize(
    ("value", "event"),
    [(b"{}", {}), (b' {"a": [1, 1.5, null, true, "x", {"b": 18446744073709551616}]}', None)],
)
def test_json(value: bytes, event: Any) -> None:
    assert Json().decode(value) == (event if event is not None else {"a": [1, 1.5, None, True, "x", {"b": 2**64}]})


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        (b"", "the value is not JSON: "),
        (b"{", "the value is not JSON: "),
        (b'{"a": "\xff"}', "the value is not JSON: "),
        (b"\0\0\0\0\1{}", "the value is not JSON: "),
        (b"[]", "the value is JSON, but not an object"),
        (b"null", "the value is JSON, but not an object"),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "the value is nested too deeply"),
    ],
)
def test_what_is_no_json_object(value: bytes, complaint: str) -> None:
    with pytest.raises(Undecodable) as refused:
        Json().decode(value)
    assert str(refused.value).startswith(complaint)


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        (b"", "the value has 0 bytes, too few to name the schema it was written with"),
        (b"\0\0\0\1", "the value has 4 bytes, too few to name the schema it was written with"),
        (b'{"a": 1}', "the value begins with byte 123, not 0: no producer that uses a schema registry wrote it"),
    ],
)
def test_a_value_without_a_schema(registry: SchemaRegistry, value: bytes, complaint: str) -> None:
    for name in ("Avro", "Protobuf"):
        with pytest.raises(Undecodable) as refused:
            open_format(name, registry).decode(value)
        assert str(refused.value) == complaint


@given(st.integers(0, 2**32 - 1), st.binary())
def test_the_id_of_a_schema(number: int, payload: bytes) -> None:
    assert schema_id(b"\0" + number.to_bytes(4, "big") + payload) == number


@given(st.lists(st.integers(0, 2**31 - 1), min_size=1, max_size=9), st.binary())
def test_the_path_of_a_message(path: list[int], payload: bytes) -> None:
    value = bytes(5) + b"".join(zigzag(number) for number in (len(path), *path)) + payload
    assert message_indexes(value) == (tuple(path), len(value) - len(payload))


def test_the_first_message_has_a_short_path() -> None:
    assert message_indexes(bytes(5) + b"\0payload") == ((0,), 6)
