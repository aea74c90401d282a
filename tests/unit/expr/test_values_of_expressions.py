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
    "w": "2h",
    "long": "2000000h",
    "zone": "Kiritimati",
    "lines": [{"sku": "a", "qty": 1}, {"sku": "b", "qty": 2, "rebate": 2}, {"sku": "c", "qty": 3}],
    "o": {"p": {"q": 3}, "with space": 4},
}
T = "timestamp(event.t)"
SPLIT = ["a", "b", "c", "a", "b,c", "é", "a", "é", "ab"]
LONGEST = "is beyond the longest duration, about 292 years"
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
    ("string(meta.timestamp)", "2023-11-14T22:13:20Z"),
    ("string(meta.timestamp + duration('1h') - duration('20s'))", "2023-11-14T23:13:00Z"),
    ("string(timestamp(event.t) - timestamp('2026-01-31T10:00:00Z'))", "3600.5s"),
    ("string(duration('1m') - duration('1h') + duration('1ms'))", "-3539.999s"),
    ("duration('90m') > duration('1h') && duration('90m') == duration('1h30m')", True),
    ("string(duration('-1.5us'))", "-0.000001s"),
    ("string(duration('0'))", "0s"),
    ("string(timestamp('2026-01-01T00:00:00Z') + duration(event.w))", "2026-01-01T02:00:00Z"),
    ("duration('90m').getHours() * 100 + duration('90m').getMinutes()", 190),
    ("duration('-1500ms').getSeconds() * 10000 + duration('-1500ms').getMilliseconds()", -11500),
    (f"{T}.getFullYear() * 10000 + {T}.getMonth() * 100 + {T}.getDate()", 20260031),
    (f"{T}.getDayOfMonth() * 1000000 + {T}.getDayOfWeek() * 1000 + {T}.getDayOfYear()", 30006030),
    (f"[{T}.getHours(), {T}.getMinutes(), {T}.getSeconds(), {T}.getMilliseconds()]", [11, 0, 0, 500]),
    (f"[{T}.getHours('Asia/Kolkata'), {T}.getMinutes('Asia/Kolkata'), {T}.getHours('-02:30')]", [16, 30, 8]),
    (f"{T}.getDate('Pacific/' + event.zone)", 1),
    ("event.s.matches('^[a-z]é$') && !matches(event.s, '^é')", True),
    ("' Aé\\u00a0'.trim().lowerAscii() + 'bÉ'.upperAscii()", "aéBÉ"),
    ("'a,b,c'.split(',') + 'a,b,c'.split(',', 2) + 'éa'.split('') + 'éab'.split('', 2)", SPLIT),
    ("'a,b'.split(',', 0).join() + ['x', event.s].join('-') + 'aaa'.replace('a', 'b', 2)", "x-aébba"),
    ("'añb'.substring(1) + 'añb'.substring(0, 2)", "ñbañ"),
    ("['añb'.indexOf('b'), 'aba'.indexOf('a', 1), 'a'.indexOf('x'), 'ab'.indexOf('', 9)]", [2, 2, -1, 2]),
    ("bool('TRUE') && !bool('0') && bool(event.b)", True),
    ("event.lines.map(x, x.sku)", ["a", "b", "c"]),
    ("event.lines.map(x, x.qty > 1, x.sku + string(x.qty))", ["b2", "c3"]),
    ("event.lines.filter(x, x.qty % 2 == 1).size()", 2),
    ("event.lines.exists(x, x.qty == 3) && !event.lines.exists(x, x.qty == 4)", True),
    ("event.lines.all(x, x.qty > 0) && !event.lines.all(x, x.qty > 1)", True),
    ("event.lines.exists_one(x, x.qty > 2)", True),
    ("event.lines.exists(x, x.rebate > 1)", True),
    ("event.lines.all(x, x.rebate > 2)", False),
    ("event.lines.map(x, event.lines.filter(y, y.qty < x.qty).map(y, y.qty))", [[], [1], [1, 2]]),
    ("event.lines.filter(x, has(x.rebate)).map(x, x.rebate + event.n)[0]", 9),
    ("event.none.exists(x, true) || event.lines.map(x, x.qty)[0] == 1", True),
    ("event.o.filter(name, name.startsWith('w'))", ["with space"]),
    ("event.o.map(name, event.o[name])[1]", 4),
    ("meta.headers.exists(h, h.startsWith('ce_'))", True),
    ("(event.b ? event.lines : []).map(x, x.qty)", [1, 2, 3]),
    ("[1, 2].map(x, x * 2).exists(x, x == 4)", True),
    ("event.n in event.o", False),
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
    ("event.z + 1", "event.z is null, not int, double, text, list, timestamp or duration"),
    ("event.b + 1", "event.b is bool, not int, double, text, list, timestamp or duration"),
    ("event.n + event.d", "event.n + event.d mixes int and double: convert with int(), double() or string()"),
    ("event.n + event.s", "event.n + event.s mixes int and text: convert with int(), double() or string()"),
    ("event.max + 1", "event.max + 1 overflows a 64-bit int"),
    ("-event.max - 2", "-event.max - 2 overflows a 64-bit int"),
    ("event.n / 0", "event.n / 0 divides by zero"),
    ("event.n % 0", "event.n % 0 divides by zero"),
    ("event.d % 2", "event.d is double, not int"),
    ("event.s > 1", "event.s > 1 compares text with int"),
    ("event.l > 1", "event.l is list, not int, double, text, bool, timestamp or duration"),
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
    ("string(event.l)", "event.l is list, not text, int, double, bool, timestamp or duration"),
    ("duration(event.s) > duration('0')", "event.s is not a duration, such as 1h30m or 1.5s"),
    ("event.n > duration('1s')", "event.n > duration('1s') compares int with duration"),
    ("string(duration(event.long) + duration(event.long))", f"duration(event.long) + duration(event.long) {LONGEST}"),
    (
        "string(timestamp(event.t) - timestamp('0001-01-01T00:00:00Z'))",
        f"timestamp(event.t) - timestamp('0001-01-01T00:00:00Z') {LONGEST}",
    ),
    (
        "string(timestamp('9999-12-31T23:00:00Z') + duration('1h'))",
        "timestamp('9999-12-31T23:00:00Z') + duration('1h') is beyond the years 1 to 9999",
    ),
    ("string(meta.timestamp + event.n)", "meta.timestamp + event.n mixes timestamp and int"),
    ("timestamp(event.t).getHours(event.s)", "event.s is no time zone"),
    ("event.n.getHours()", "event.n is int, not timestamp or duration"),
    ("event.n.getMonth()", "event.n is int, not timestamp"),
    ("event.n.matches('a')", "event.n is int, not text"),
    ("event.s.split(',', event.d)", "event.d is double, not int"),
    ("event.l.join()", "an element of event.l is int, not text"),
    ("event.s.substring(3)", "event.s.substring(3) is beyond the 2 characters of event.s"),
    ("event.s.substring(1, 0)", "event.s.substring(1, 0) is beyond the 2 characters of event.s"),
    ("event.s.indexOf('a', -1)", "-1 is below 0"),
    ("bool(event.s)", "event.s is text that holds no bool"),
    ("double('1e999')", "'1e999' does not fit a double"),
    ("event.n.map(x, x)", "event.n is int, not list or object"),
    ("event.l.map(x, x + 1)", "x + 1 mixes text and int: convert with int(), double() or string()"),
    ("event.lines.map(x, x.rebate)", "x.rebate is missing"),
    ("event.lines.exists(x, x.rebate > 5)", "x.rebate is missing"),
    ("event.lines.all(x, x.rebate < 5)", "x.rebate is missing"),
    ("event.lines.exists(x, x.qty)", "x.qty is int, not bool"),
    ("event.lines.exists_one(x, x.rebate > 5)", "x.rebate is missing"),
    ("meta.headers.none", "meta.headers.none is missing"),
]


def _result(text: str, column: str) -> Any:
    program = compile_definition(definition({"events": ["E"], "key": {"id": "event.id"}, "set": {column: text}}))
    into = Folded()
    program.fold([event("E", EVENT, offset=4)], into)
    upsert = into.deltas[("k",)]
    assert isinstance(upsert, list)
    return upsert[program.columns.places[column]]


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
    assert _result("event.t", "at") == datetime(2026, 1, 31, 11, 0, 0, 500000, tzinfo=UTC)


def test_every_column_type_takes_null() -> None:
    for column in COLUMNS[1:]:
        assert _result("event.z", column["name"]) is None
        assert _result("null", column["name"]) is None
