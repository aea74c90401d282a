"""What a user reads when an event cannot be applied, and that nothing of it is applied."""

from typing import Any

import pytest

from projector.fold.compile import Program, compile_definition
from projector.fold.folded import BadEvent, Folded
from tests.support.records import FakeRecord, event, raw
from tests.support.specs import definition

KEY = {"id": "event.id"}


def program(*rules: dict[str, Any], **parts: Any) -> Program:
    return compile_definition(definition(*rules, **parts))


def message(compiled: Program, record: FakeRecord) -> str:
    into = Folded()
    with pytest.raises(BadEvent) as caught:
        compiled.fold([record], into)
    assert (into.deltas, into.events) == ({}, 0)
    return caught.value.message


SET_NAME = {"events": ["E"], "key": KEY, "set": {"name": "event.name"}}
VALUES = [
    (b"", "the value is not JSON: Input data was truncated"),
    (b"hello", "the value is not JSON: JSON is malformed: invalid character (byte 0)"),
    (b'{"id": "k", "name": "\xff"}', "the value is not JSON: 'utf-8' codec can't decode byte 0xff in position 0"),
    (b'["k"]', "the value is JSON, but not an object"),
    (b" 1", "the value is JSON, but not an object"),
    (b'{"id": "k", "name": 1e999}', "the value cannot be read: Number out of range"),
    (b'{"id": "k", "name": ' + b"[" * 100_000, "the value is nested too deeply"),
    (b"{}", "event.id is missing (rule 0, key id)"),
    (b'{"id": null, "name": "n"}', "event.id is null; a key has a value (rule 0, key id)"),
    (b'{"id": 5, "name": "n"}', "event.id is int, not text: use string(event.id) (rule 0, key id)"),
    (b'{"id": "k"}', "event.name is missing (rule 0, set name)"),
    (b'{"id": "k", "name": "a\\u0000"}', "event.name holds a NUL character, which text cannot (rule 0, set name)"),
]


@pytest.mark.parametrize(("value", "text"), VALUES, ids=[text[:40] for _, text in VALUES])
def test_bad_value(value: bytes | None, text: str) -> None:
    assert message(program(SET_NAME), raw("E", value)).startswith(text)


FITS = [
    ("set", "small", 40_000, "event.v is out of range for smallint (-32768 to 32767)"),
    ("set", "small", "4", "event.v is text, not smallint"),
    ("set", "total", 2**63, "event.v is out of range for bigint (-9223372036854775808 to 9223372036854775807)"),
    ("set", "total", 1.0, "event.v is double, not bigint"),
    ("set", "total", True, "event.v is bool, not bigint"),
    ("increment", "total", None, "event.v is null; an increment needs a number"),
    ("min", "total", None, "event.v is null; min needs a value"),
    ("max", "at", None, "event.v is null; max needs a value"),
    ("increment", "amount", "1.5", "event.v is text, not numeric"),
    ("set", "amount", 10**400, "event.v is out of range for numeric (below 10^400)"),
    ("set", "ratio", "1.5", "event.v is text, not double precision"),
    ("set", "ratio", 10**400, "event.v is out of range for double precision"),
    ("set", "flag", 1, "event.v is int, not boolean"),
    ("set", "at", "soon", "event.v is not an RFC 3339 timestamp with an offset, such as 2026-01-31T12:00:00Z"),
    ("set", "at", "2026-01-31T12:00:00", "event.v is not an RFC 3339 timestamp with an offset, such as 2026-01"),
    ("set", "at", "0001-01-01T00:00:00+14:00", "event.v is "),
    ("set", "at", 5, "event.v is int, not timestamptz"),
    ("set", "day", "31.1.2026", "event.v is not a date such as 2026-01-31"),
    ("set", "day", 5, "event.v is int, not date"),
    ("set", "ref", "x", "event.v is not a UUID"),
    ("set", "ref", 5, "event.v is int, not uuid"),
    ("set", "data", ["a", {"b\0": 1}], "event.v holds a NUL character, which jsonb cannot"),
]


@pytest.mark.parametrize(("operation", "column", "value", "text"), FITS, ids=[f"{c}-{v!r:.12}" for _, c, v, _ in FITS])
def test_value_that_does_not_fit_its_column(operation: str, column: str, value: Any, text: str) -> None:
    compiled = program({"events": ["E"], "key": KEY, operation: {column: "event.v"}})
    found = message(compiled, event("E", {"id": "k", "v": value}))
    assert found.startswith(text)
    assert found.endswith(f"(rule 0, {operation} {column})")


def test_results_are_checked_too() -> None:
    infinite = program({"events": ["E"], "key": KEY, "set": {"ratio": "event.v * 1e308", "amount": "event.v * 1e308"}})
    assert message(infinite, event("E", {"id": "k", "v": 1e10})) == (
        "event.v * 1e308 is not a finite number (rule 0, set ratio)"
    )
    inside = program({"events": ["E"], "key": KEY, "set": {"data": "[1e308 * 10.0]"}})
    assert message(inside, event("E", {"id": "k"})) == "[1e308 * 10.0] is not a finite number (rule 0, set data)"
    moment = program({"events": ["E"], "key": KEY, "set": {"data": "[meta.timestamp]"}})
    assert message(moment, event("E", {"id": "k"})) == (
        "[meta.timestamp] is timestamp, not jsonb: use string([meta.timestamp]) (rule 0, set data)"
    )


def test_the_rule_at_fault_is_named_and_no_other_applied() -> None:
    compiled = program(
        SET_NAME, {"events": ["E"], "key": KEY, "when": "event.n > 1", "increment": {"total": "event.n"}}
    )
    record = event("E", {"id": "k", "name": "n", "n": "many"})
    assert message(compiled, record) == "event.n > 1 compares text with int (rule 1, when)"


def test_a_field_may_be_null_for_one_rule_and_not_for_another() -> None:
    compiled = program({"events": ["E"], "key": KEY, "set": {"small": "event.v"}, "increment": {"total": "event.v"}})
    assert message(compiled, event("E", {"id": "k", "v": None})) == (
        "event.v is null; an increment needs a number (rule 0, increment total)"
    )


def test_everything_before_a_bad_event_is_kept() -> None:
    compiled = program(SET_NAME)
    log = [event("E", {"id": "a", "name": "x"}, 5, 1_000), event("F", {}, 6, 2_000), raw("E", b"{", 7, 3_000)]
    into = Folded()
    with pytest.raises(BadEvent, match="offset 7: the value is not JSON") as caught:
        compiled.fold([*log, event("E", {"id": "b", "name": "x"}, 8)], into)
    assert caught.value.offset == 7
    assert list(into.deltas) == [("a",)]
    assert (into.events, into.ignored, into.last_timestamp_ms) == (1, {"F": 1}, 2_000)


def test_types_that_no_rule_names_are_ignored_unread_and_counted() -> None:
    into = Folded()
    program(SET_NAME).fold([raw("Other", b"not json"), raw("Other", None), FakeRecord(None)], into)
    assert (into.events, into.ignored) == (0, {"Other": 1, "(tombstone)": 2})


def test_a_record_without_a_type_is_bad() -> None:
    assert message(program(SET_NAME), FakeRecord(b"{}")) == "header.ce_type is missing: the record names no event type"


def test_the_type_may_stand_in_the_event() -> None:
    compiled = program(SET_NAME, event_type="event.kind")
    into = Folded()
    compiled.fold(
        [
            FakeRecord(b'{"kind": "E", "id": "k", "name": "n"}'),
            FakeRecord(b'{"kind": "F"}'),
            FakeRecord(None),
        ],
        into,
    )
    assert (len(into.deltas), into.events, into.ignored) == (1, 1, {"F": 1, "(tombstone)": 1})
    untyped = FakeRecord(b'{"id": "k", "name": "n"}')
    assert message(compiled, untyped) == "event.kind is no event type: it is missing or not text"
    assert message(compiled, FakeRecord(b"[]")) == "the value is JSON, but not an object"


def test_metadata_that_is_not_there() -> None:
    at = program({"events": ["E"], "key": KEY, "set": {"at": "meta.timestamp"}})
    assert message(at, event("E", {"id": "k"}, at_ms=None)) == "meta.timestamp is missing (rule 0, set at)"
    key = program({"events": ["E"], "key": {"id": "meta.key"}, "delete": True})
    assert message(key, event("E", {})) == "meta.key is null; a key has a value (rule 0, key id)"
    undecodable = FakeRecord(b"{}", (("ce_type", b"E"),), key_bytes=b"\xff")
    assert message(key, undecodable) == "meta.key is not UTF-8 text (rule 0, key id)"


def test_the_last_header_of_a_name_counts() -> None:
    compiled = program({"events": ["E"], "key": KEY, "set": {"name": "meta.headers.h"}})
    into = Folded()
    headers = (("h", b"1"), ("ce_type", b"X"), ("h", b"2"), ("ce_type", b"E"))
    compiled.fold([FakeRecord(b'{"id": "k"}', headers)], into)
    delta = into.deltas["k",]
    assert isinstance(delta, list)
    assert "2" in delta
