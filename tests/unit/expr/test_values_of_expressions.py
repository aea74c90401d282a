"""What expressions mean: values, and errors at run time in the user's words."""

from datetime import UTC, datetime
from typing import Any

import pytest

from projector.fold.compile import compile_definition
from projector.fold.folded import BadEvent, Folded
from tests.support.records import event
from tests.support.specs import COLUMNS, definition

MAX = 2**63 - 1
EVENT: dict[str, Any] = {
    "id": "k",
    "n": 7,
    "m": -2,
    "max": MAX,
    "d": 1.5,
    "s": "aé",
    "t": "2026-01-31T12:00:00.500+01:00",
    "b": True,
    "z": None,
    "l": [1, "x", {"y": 2}],
    "o": {"p": {"q": 3}, "with space": 4},
}
VALUES: list[tuple[str, Any]] = [
    ("event.n + 1", 8),
    ("event.n - event.m * 2", 11),
    ("event.n / event.m", -3),
    ("event.n % event.m", 1),
    ("event.m % 7", -2),
    ("-event.n", -7),
    ("- -event.n", 7),
    ("event.d * 2.0", 3.0),
    ("event.d / 0.0 > 1.0", True),
    ("event.s + 'b'", "aéb"),
    ("'b' + event.s + \"\\u00e9\"", "baéé"),
    ("r'\\n'", "\\n"),
    ("size(event.s) + event.l.size() + size(event.o)", 7),
    ("event.n > 6 && event.n <= 7", True),
    ("event.n == 7.0", True),
    ("event.n < 7.5", True),
    ("event.b == true", True),
    ("event.b == 1", False),
    ("event.s == 1", False),
    ("event.z == null", True),
    ("event.z != null", False),
    ("event.l == [1, 'x', event.l[2]]", True),
    ("event.n in [1, 7]", True),
    ("event.s in ['b', 'aé']", True),
    ("event.s in ['b']", False),
    ("'p' in event.o", True),
    ("'id' in event", True),
    ("1 in event.l && !('y' in event.l)", True),
    ("event.l[2].y", 2),
    ("event.o.p.q + event['o'][\"with space\"]", 7),
    ("event[event.id + ''] == 1 || true", True),
    ("has(event.n) && !has(event.none)", True),
    ("has(event.z)", True),
    ("has(event.o.p) && !has(event.o.r)", True),
    ("has(event.none) ? event.none : event.n", 7),
    ("event.none > 1 || true", True),
    ("true || event.none > 1", True),
    ("event.none > 1 && false", False),
    ("false && event.none > 1", False),
    ("event.s.startsWith('a') && event.s.endsWith('é') && event.s.contains('aé')", True),
    ("int('12') + int(1.9) + int(-1.9) + int(event.t == '' ? 1 : 2)", 14),
    ("int(timestamp(event.t))", 1769857200),
    ("double(event.n) + double('1e1')", 17.0),
    ("string(event.n) + string(event.d) + string(2.0) + string(event.b) + string(event.s)", "71.52trueaé"),
    ("string(timestamp(event.t))", "2026-01-31T11:00:00.5Z"),
    ("string(timestamp(0))", "1970-01-01T00:00:00Z"),
    ("timestamp(event.t) < meta.timestamp", False),
    ("meta.topic + '/' + string(meta.partition) + '/' + string(meta.offset)", "orders/0/4"),
    ("meta.type", "E"),
    ("meta.key == null", True),
    ("meta.headers.ce_type + meta.headers['ce_type']", "EE"),
    ("'x' in meta.headers || has(meta.headers.x)", False),
    ("size(meta.headers)", 1),
]
ERRORS: list[tuple[str, str]] = [
    ("event.none", "event.none is missing"),
    ("event.o.none.x", "event.o.none is missing"),
    ("event.n.x", "event.n is int, not object"),
    ("has(event.z.x)", "event.z is null, not object"),
    ("event.l[3]", "event.l[3] is beyond the list of 3"),
    ("event.l['a']", "'a' is text, not int"),
    ("event.o[0]", "0 is int, not text"),
    ("event.s * 2", "event.s is text, not int or double"),
    ("event.z + 1", "event.z is null, not int, double or text"),
    ("event.b + 1", "event.b is bool, not int, double or text"),
    ("event.n + event.d", "event.n + event.d mixes int and double: convert with int(), double() or string()"),
    ("event.n + event.s", "event.n + event.s mixes int and text: convert with int(), double() or string()"),
    ("event.max + 1", "event.max + 1 overflows a 64-bit int"),
    ("-event.max - 2", "-event.max - 2 overflows a 64-bit int"),
    ("event.n / 0", "event.n / 0 divides by zero"),
    ("event.n % 0", "event.n % 0 divides by zero"),
    ("event.d % 2", "event.d is double, not int"),
    ("event.s > 1", "event.s > 1 compares text with int"),
    ("event.l > 1", "event.l is list, not int, double, text, bool or timestamp"),
    ("event.n && true", "event.n is int, not bool"),
    ("!event.z", "event.z is null, not bool"),
    ("event.none || false", "event.none is missing"),
    ("event.n ? 1 : 2", "event.n is int, not bool"),
    ("1 in event.n", "event.n is int, not list or object"),
    ("size(event.n)", "event.n is int, not text, list or object"),
    ("event.n.startsWith('a')", "event.n is int, not text"),
    ("int('1.5')", "'1.5' is text that holds no int"),
    ("int(event.s)", "event.s is text that holds no int"),
    ("int(1e300)", "1e300 does not fit a 64-bit int"),
    ("double(event.s)", "event.s is text that holds no double"),
    ("string(timestamp(event.s))", "event.s is not an RFC 3339 timestamp with an offset, such as 2026-01-31T12:00:00Z"),
    ("string(timestamp(event.max))", "event.max is beyond the years 1 to 9999"),
    ("string(event.l)", "event.l is list, not text, int, double, bool or timestamp"),
    ("meta.headers.none", "meta.headers.none is missing"),
]


def _result(text: str, column: str) -> Any:
    program = compile_definition(definition({"events": ["E"], "key": {"id": "event.id"}, "set": {column: text}}))
    into = Folded()
    program.fold([event("E", EVENT, offset=4)], into)
    row = into.deltas[("k",)].absent
    assert row is not None
    return row[column]


@pytest.mark.parametrize(("text", "value"), VALUES, ids=[text for text, _ in VALUES])
def test_value(text: str, value: Any) -> None:
    found = _result(text, "data")
    assert (type(found), found) == (type(value), value)


@pytest.mark.parametrize(("text", "message"), ERRORS, ids=[text for text, _ in ERRORS])
def test_error_names_the_part_at_fault(text: str, message: str) -> None:
    with pytest.raises(BadEvent) as caught:
        _result(text, "data")
    assert caught.value.message == f"{message} (rule 0, set data)"
    assert caught.value.offset == 4


def test_timestamps_are_utc() -> None:
    assert _result("meta.timestamp", "at") == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
    assert _result("event.t", "at") == datetime(2026, 1, 31, 11, 0, 0, 500000, tzinfo=UTC)


def test_every_column_type_takes_null() -> None:
    for column in COLUMNS[1:]:
        assert _result("event.z", column["name"]) is None
        assert _result("null", column["name"]) is None
