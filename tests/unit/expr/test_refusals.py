"""What a user reads when an expression cannot be served, and where it points."""

import pytest

from projector.expr.check import CONDITION, check
from projector.expr.errors import ExprError
from projector.expr.parse import parse

SYNTAX = [
    ("", "the expression is empty", 1),
    ("event.a +", "the expression ends too early", 10),
    ("size(event.a", "the expression ends too early", 13),
    ("event.a @ 1", "`@` is not expected here", 9),
    ("event.a event.b", "`event` is not expected here", 9),
    ("1 >\n  )", "`)` is not expected here", 7),
    ('"abc', "the text literal has no end", 1),
    ("event.lines.map(x, x)", "macro `map` is not served", 13),
    ("event.lines.exists(x, true)", "macro `exists` is not served", 13),
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
TYPES = [
    ("order_id", "`order_id` is not known; a field of the event is written `event.order_id`", 1),
    ("evnt.a", "`evnt` is not known; did you mean `event`?", 1),
    ("meta", "`meta` is no value by itself: use a field of it, such as meta.offset", 1),
    ("1 + meta.ofset", "meta has no field `ofset`; did you mean `offset`?", 10),
    ("has(meta.offset)", "has() asks for a field of event or of meta.headers", 1),
    ("startswith(event.a)", "function `startswith` is not served; did you mean `startsWith`?", 1),
    ("event.a.matches('x')", "function `matches` is not served", 1),
    ("startsWith(event.a, 'x')", "`startsWith` is written x.startsWith(…)", 1),
    ("event.a.int()", "`int` is written int(x)", 1),
    ("size(event.a, 1)", "size() takes 1 argument, not 2", 1),
    ("size(1)", "`1` is int; size() takes text, list or object", 6),
    ("1 + 1.0", "`1 + 1.0` mixes int and double: convert with int() or double()", 1),
    ("1 + 'a'", "`1 + 'a'` mixes int and text", 1),
    ("true + event.a", "`true` is bool; `+` takes int, double or text", 1),
    ("event.a % 2.0", "`2.0` is double; `%` takes int", 11),
    ("-'a'", "`'a'` is text; `-` takes int or double", 2),
    ("1 && true", "`1` is int; `&&` takes bool", 1),
    ("!meta.topic", "`meta.topic` is text; `!` takes bool", 2),
    ("1 ? 2 : 3", "`1` is int; a condition takes bool", 1),
    ("1 == 'a'", "`1 == 'a'` compares int with text", 1),
    ("meta.timestamp < 5", "`meta.timestamp < 5` compares timestamp with int", 1),
    ("[1] < [2]", "`[1]` is list; `<` takes int, double, text, bool or timestamp", 1),
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
