"""What a user reads when an expression cannot be served, and where it points."""

import pytest

from projector.expr.check import CONDITION, check, element
from projector.expr.errors import ExprError
from projector.expr.parse import parse
from projector.expr.types import Type

SYNTAX = [
    ("", "the expression is empty", 1),
    ("event.a +", "the expression ends too early", 10),
    ("size(event.a", "the expression ends too early", 13),
    ("event.a @ 1", "`@` is not expected here", 9),
    ("event.a event.b", "`event` is not expected here", 9),
    ("1 >\n  )", "`)` is not expected here", 7),
    ('"abc', "the text literal has no end", 1),
    ("event.lines.map(x)", "`map` is written x.map(name, value) or x.map(name, condition, value)", 13),
    ("event.lines.map(x, true, x, 1)", "`map` is written x.map(name, value) or x.map(name, condition, value)", 13),
    ("event.lines.exists(1, true)", "`exists` is written x.exists(name, condition)", 13),
    ("event.lines.exists(x.y, true)", "`exists` is written x.exists(name, condition)", 13),
    ("event.lines.all()", "`all` is written x.all(name, condition)", 13),
    ("filter(event.lines, x)", "`filter` is written x.filter(name, condition)", 1),
    ("{'a': 1}", "a map literal (`{…}`) is not served", 1),
    ("1 + Foo{a: 1}", "an object literal (`Name{…}`) is not served", 5),
    ("1u", "an unsigned int (`u`) is not served", 1),
    ('b"x"', "a bytes literal (`b`) is not served", 1),
    (".event", "a name with a leading dot is not served", 1),
    ("9223372036854775808", "9223372036854775808 does not fit a 64-bit int", 1),
    ("1 + 1e999", "1e999 does not fit a double", 5),
    (r'"\q"', r"escape \q is not known", 1),
    (r'"\ud800"', r"escape \ud800 is not a character", 1),
    ("has(event)", "has() asks for one field, as in has(event.name)", 1),
    ("!" * 70 + "true", "the expression is nested more than 64 deep", 66),
]
LITERAL = "must be text in the expression itself, so that it can be checked beforehand"
RFC_3339 = "is not an RFC 3339 timestamp with an offset, such as 2026-01-31T12:00:00Z"
LINE = "`line` is not known; a field of the event is written `event.line`"
TYPES = [
    ("order_id", "`order_id` is not known; a field of the event is written `event.order_id`", 1),
    ("evnt.a", "`evnt` is not known; did you mean `event`?", 1),
    ("meta", "`meta` is no value by itself: use a field of it, such as meta.offset", 1),
    ("1 + meta.ofset", "meta has no field `ofset`; did you mean `offset`?", 10),
    ("has(meta.offset)", "has() asks for a field of event or of meta.headers", 1),
    ("startswith(event.a)", "function `startswith` is not served; did you mean `startsWith`?", 1),
    ("event.a.startsWidth('x')", "function `startsWidth` is not served; did you mean `startsWith`?", 1),
    ("event.a.matches(event.b)", f"the pattern `event.b` {LITERAL}", 17),
    ("event.a.matches('(a')", "`'(a'` is no RE2 pattern: missing ): (a", 17),
    (r"event.a.matches(r'(a)\1')", r"`r'(a)\1'` is no RE2 pattern: invalid escape sequence: \1", 17),
    ("matches(1, 'a')", "`1` is int; matches() takes text", 9),
    ("duration('1 h') < event.d", "`'1 h'` is not a duration, such as 1h30m or 1.5s", 10),
    ("duration('300000000m') < event.d", "`'300000000m'` is beyond the longest duration, about 292 years", 10),
    ("timestamp('2026-01-31') < event.t", f"`'2026-01-31'` {RFC_3339}", 11),
    ("event.t.getHours('Europe/Berln')", "`'Europe/Berln'` is no time zone; did you mean `Europe/Berlin`?", 18),
    ("event.t.getHours('+24:00')", "`'+24:00'` is beyond 23:59 as an offset", 18),
    ("getHours(event.t)", "`getHours` is written x.getHours(…)", 1),
    ("event.t.getHours(1, 2)", "getHours() takes 0 or 1 arguments, not 2", 1),
    ("event.s.replace('a')", "replace() takes 2 or 3 arguments, not 1", 1),
    ("meta.offset.getHours()", "`meta.offset` is int; getHours() takes timestamp or duration", 1),
    ("duration('1h').getMonth()", "`duration('1h')` is duration; getMonth() takes timestamp", 1),
    ("meta.timestamp + 1", "`meta.timestamp + 1` mixes timestamp and int", 1),
    ("meta.timestamp + meta.timestamp", "`meta.timestamp + meta.timestamp` mixes timestamp and timestamp", 1),
    ("duration('1h') - meta.timestamp", "`duration('1h') - meta.timestamp` mixes duration and timestamp", 1),
    ("item.sku", "`item` is not known; only a rule with forEach has it", 1),
    ("event.l.exists(line, lin.a)", "`lin` is not known; did you mean `line`?", 22),
    ("event.l.exists(line, line.a) && line.b", LINE, 33),
    ("event.l.exists(event, true)", "`event` is taken already: bind another name", 16),
    ("event.l.exists(x, x.all(x, true))", "`x` is taken already: bind another name", 25),
    ("event.l.exists(x, 1)", "`1` is int; a condition takes bool", 19),
    ("meta.topic.exists(x, true)", "`meta.topic` is text; `exists` goes over a list or an object", 1),
    ("[1, 2].exists(x, x == 'a')", "`x == 'a'` compares int with text", 18),
    ("event.o.a.map(x, string(x)).exists(x, x > 1)", "`x > 1` compares text with int", 39),
    ("meta.topic.split('/')[0] == 1", "`meta.topic.split('/')[0] == 1` compares text with int", 1),
    ("meta.headers.filter(h, h != '').all(h, h > 1)", "`h > 1` compares text with int", 40),
    ("'a' in [1, 2]", "`'a' in [1, 2]` compares text with int", 1),
    ("startsWith(event.a, 'x')", "`startsWith` is written x.startsWith(…)", 1),
    ("event.a.int()", "`int` is written int(x)", 1),
    ("size(event.a, 1)", "size() takes 1 argument, not 2", 1),
    ("size(1)", "`1` is int; size() takes text, list or object", 6),
    ("1 + 1.0", "`1 + 1.0` mixes int and double: convert with int() or double()", 1),
    ("1 + 'a'", "`1 + 'a'` mixes int and text", 1),
    ("true + event.a", "`true` is bool; `+` takes int, double, text, timestamp, duration or list", 1),
    ("event.a % 2.0", "`2.0` is double; `%` takes int", 11),
    ("-'a'", "`'a'` is text; `-` takes int or double", 2),
    ("1 && true", "`1` is int; `&&` takes bool", 1),
    ("!meta.topic", "`meta.topic` is text; `!` takes bool", 2),
    ("1 ? 2 : 3", "`1` is int; a condition takes bool", 1),
    ("1 == 'a'", "`1 == 'a'` compares int with text", 1),
    ("meta.timestamp < 5", "`meta.timestamp < 5` compares timestamp with int", 1),
    ("[1] < [2]", "`[1]` is list; `<` takes int, double, text, bool, timestamp or duration", 1),
    ("1 in 2", "`2` is int; `in` looks into a list or an object", 6),
    ("1 in event", "`1` is int; names in an object are text", 1),
    ("meta.topic.x", "`meta.topic` is text, which has no fields", 1),
    ("has(meta.topic.x)", "`meta.topic` is text, which has no fields", 5),
    ("(1 + 2)[0]", "`1 + 2` is int, which has no elements", 2),
    ("event[1]", "`1` is int; an index into object is text", 7),
    ("event.a", "", 0),
    ("event.qty + 1", "`event.qty + 1` is int; a condition takes bool", 1),
]


@pytest.mark.parametrize(("text", "message", "position"), SYNTAX, ids=[text[:20] for text, *_ in SYNTAX])
def test_syntax_is_refused_with_its_place(text: str, message: str, position: int) -> None:
    with pytest.raises(ExprError) as caught:
        parse(text)
    assert (caught.value.message, caught.value.position) == (message, position)


@pytest.mark.parametrize(("text", "message", "position"), TYPES, ids=[text[:20] for text, *_ in TYPES])
def test_types_are_refused_with_their_place(text: str, message: str, position: int) -> None:
    tree = parse(text)
    if not message:
        check(tree, CONDITION)
        return
    with pytest.raises(ExprError) as caught:
        check(tree, CONDITION)
    assert (caught.value.message, caught.value.position) == (message, position)


def test_long_chains_are_served() -> None:
    check(parse(" || ".join(['event.s == "a"'] * 60)), CONDITION)


def test_allowed_variables_are_known_and_typed() -> None:
    tree = parse("item.qty > 0 && size(item) > 0")
    assert check(tree, CONDITION, {"item": Type.DYN}) is Type.BOOL
    with pytest.raises(ExprError, match="`item` is int, which has no fields"):
        check(tree, CONDITION, {"item": Type.INT})
    with pytest.raises(ExprError, match="`itm` is not known; did you mean `item`"):
        check(parse("itm.qty"), variables={"item": Type.DYN})


def test_elements_have_a_type_where_the_expression_tells() -> None:
    assert element(parse("meta.topic.split('/').filter(x, x != '')")) is Type.STRING
    assert element(parse("event.lines.map(x, int(x.qty))")) is Type.INT
    assert element(parse("event.lines")) is Type.DYN


def test_macros_nest_to_a_bound() -> None:
    def nested(depth: int) -> str:
        return "event.l" + "".join(f".exists(x{n}, x{n}" for n in range(depth)) + ".a" + ")" * depth

    check(parse(nested(8)), CONDITION)
    with pytest.raises(ExprError, match="macros are nested more than 8 deep"):
        check(parse(nested(9)), CONDITION)


def test_long_chains_of_macros_are_checked_in_no_time() -> None:
    assert check(parse("event.l" + ".map(x, x)" * 60)) is Type.LIST
