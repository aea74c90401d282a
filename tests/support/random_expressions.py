"""Random expressions of the subset, and events that they meet: right ones for the most part."""

import json
from collections.abc import Callable
from random import Random
from typing import Any

from hypothesis import strategies as st

INTS = st.one_of(st.integers(-3, 7), st.sampled_from([2**63 - 1, -(2**63), 2**62, 2**53 + 1, 1_700_000_000]))
DOUBLES = st.one_of(
    st.sampled_from([0.0, -0.0, 0.5, -1.5, 2.0, 1e15, 1e16, 1e-5, 1.7976931348623157e308, 9.3e18, 1e6]),
    st.floats(-1e4, 1e4).map(lambda value: round(value, 3)),
)
TEXTS = st.one_of(
    st.text("abAé😀 ,", max_size=5),
    st.sampled_from(["12", "-7", "1.5", "true", "a,b,c", " \u00a0x\t", "\u2028", "İ", "1e5"]),
)
TIMES = st.sampled_from(
    [
        "2026-01-31T12:00:00.5+01:00",
        "2024-02-29T23:59:59.999999Z",
        "1969-12-31T23:59:59.25Z",
        "0001-06-01T00:00:00Z",
        "9999-06-01T23:59:59Z",
        "2026-07-04T00:30:00-05:30",
        "2026-13-01T00:00:00Z",
        "2026-01-31",
    ]
)
DURATIONS = st.sampled_from(
    [
        "1h30m",
        "-1.5s",
        "100ms",
        "1us",
        "0",
        "24h",
        "2500000h",
        "-2500000h",
        "1.5h",
        "+3m",
        "1m0.000001s",
        ".5s",
        "1",
        "h",
    ]
)
BAD_TIMES = ("2026-13-01T00:00:00Z", "2026-01-31")
BAD_DURATIONS = ("1", "h")
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "+02:00", "-09:30", "05:45")
PATTERNS = (
    "a",
    "^a.*b$",
    "[^a]",
    "é|😀",
    "(ab)*$",
    "^$",
    r"\\d+",
    "(?i)AB",
    r"^\\pL+$",
    "a{2,3}",
    r"\\s",
    "a.b",
    r"\\bA",
)

LINES = st.lists(
    st.fixed_dictionaries(
        {"sku": TEXTS, "qty": INTS},
        optional={"price": DOUBLES, "tags": st.lists(TEXTS, max_size=2), "gift": st.booleans()},
    ),
    max_size=3,
)
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "n": INTS,
    "m": INTS,
    "d": DOUBLES,
    "e": DOUBLES,
    "s": TEXTS,
    "u": TEXTS,
    "b": st.booleans(),
    "c": st.booleans(),
    "at": TIMES,
    "until": TIMES,
    "wait": DURATIONS,
    "nums": st.lists(INTS, max_size=3),
    "words": st.lists(TEXTS, max_size=3),
    "mixed": st.lists(st.one_of(INTS, DOUBLES, TEXTS, st.booleans(), st.none()), max_size=3),
    "lines": LINES,
    "o": st.fixed_dictionaries(
        {}, optional={"n": INTS, "s": TEXTS, "o": st.fixed_dictionaries({"n": INTS}), "z": st.none()}
    ),
}
_KINDS = {
    "int": ("n", "m"),
    "double": ("d", "e"),
    "text": ("s", "u"),
    "bool": ("b", "c"),
    "list": ("nums", "words", "mixed", "lines"),
    "any": (*FIELDS, "none"),
}
# At most one field in an object: the reference goes over them in random order.
JUNK = st.one_of(st.none(), st.booleans(), INTS, DOUBLES, TEXTS, st.sampled_from([[], {}, [1], {"k": 1}]))
ODD = st.dictionaries(st.sampled_from(sorted(FIELDS)), st.one_of(st.just(...), JUNK), max_size=3)


@st.composite
def events(draw: Any) -> dict[str, Any]:
    """An event with up to three fields that are missing or of another type."""
    event: dict[str, Any] = {**draw(st.fixed_dictionaries(FIELDS)), **draw(ODD)}
    return {name: value for name, value in event.items() if value is not ...}


METAS: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {
        "topic": st.sampled_from(["orders", "a/b"]),
        "partition": st.integers(0, 3),
        "offset": st.integers(0, 2**40),
        "timestamp": st.sampled_from(["2023-11-14T22:13:20.123Z", "2026-03-29T01:30:00Z", "1970-01-01T00:00:00Z"]),
        "key": st.one_of(st.none(), TEXTS),
        "headers": st.dictionaries(st.sampled_from(["trace", "ce_type"]), st.one_of(st.none(), TEXTS), max_size=1),
        "type": st.just("E"),
    }
)

Draw = Callable[[st.SearchStrategy[Any]], Any]


def literal(value: Any) -> str:
    """A JSON scalar as CEL writes it."""
    return repr(value) if isinstance(value, float) else json.dumps(value, ensure_ascii=False)


class Writer:
    """Writes one expression: of the wanted kind as far as the event is as FIELDS says.

    Forms are chosen by one seed, evenly: where Hypothesis chooses each, it dwells on few. Values are Hypothesis's.
    """

    def __init__(self, draw: Draw) -> None:
        self.draw = draw
        self.chance: Random = draw(st.randoms(use_true_random=True))
        self.bound: list[tuple[str, str]] = []  # names of macros' variables, and what they are: a line, or a kind

    def one(self, *choices: Any) -> Any:
        return self.chance.choice(choices)

    def of(self, kind: str, depth: int) -> str:
        """An expression of a kind: int, double, text, bool, time, span, list, any."""
        if depth <= 0 or self.chance.randint(0, 5) == 0:
            return self.leaf(kind)
        return self.form(kind, depth - 1)

    def form(self, kind: str, depth: int) -> str:
        """An expression of a kind with parts."""
        shared = [self.ternary, self.element] if kind not in ("time", "span") else [self.ternary]
        choice = self.one(*getattr(self, f"{kind}_forms")(), *shared)
        return str(choice(kind, depth))

    # Leaves

    def leaf(self, kind: str) -> str:
        if kind == "time":
            good = TIMES.filter(lambda text: text not in BAD_TIMES)
            return str(
                self.one(
                    "meta.timestamp", "timestamp(event.at)", "timestamp(event.until)", f"timestamp('{self.draw(good)}')"
                )
            )
        if kind == "span":
            good = DURATIONS.filter(lambda text: text not in BAD_DURATIONS)
            return str(self.one("duration(event.wait)", f"duration('{self.draw(good)}')"))
        here = self.of_bound(kind)
        if here and self.one(True, False):
            return str(self.one(*here))
        if self.chance.randint(0, 19) == 0:
            return f"event.{self.one(*_KINDS['any'])}"
        return str(self.one(self.field, self.constant)(kind))

    def of_bound(self, kind: str) -> list[str]:
        of_line = {
            "int": ["qty"],
            "double": ["price"],
            "text": ["sku"],
            "bool": ["gift"],
            "list": ["tags"],
            "any": ["sku", "none"],
        }
        found = [name for name, what in self.bound if kind in (what, "any")]
        lines = [name for name, what in self.bound if what == "line"]
        has = [f"has({name}.price)" for name in lines if kind == "bool"]
        return found + has + [f"{name}.{part}" for name in lines for part in of_line[kind]]

    def field(self, kind: str) -> str:
        metas = {
            "int": ["meta.partition", "meta.offset"],
            "text": ["meta.topic", "meta.type", "meta.key", "meta.headers.trace"],
        }
        fields = [f"event.{name}" for name in _KINDS[kind]]
        nested = {"int": ["event.o.n", "event['o'].o.n"], "text": ["event.o['s']"], "any": ["event.o.z"]}
        return str(self.one(*fields, *fields, *metas.get(kind, []), *nested.get(kind, [])))

    def constant(self, kind: str) -> str:
        kinds: dict[str, st.SearchStrategy[Any]] = {
            "int": INTS,
            "double": DOUBLES,
            "text": TEXTS,
            "bool": st.booleans(),
        }
        if kind == "list":
            item = self.one("int", "text", "double")
            return "[" + ", ".join(self.constant(item) for _ in range(self.chance.randint(0, 3))) + "]"
        if kind == "any":
            return str(self.one("null", self.constant(self.one(*kinds))))
        return literal(self.draw(kinds[kind]))

    # What every kind has

    def ternary(self, kind: str, depth: int) -> str:
        return f"({self.of('bool', depth)} ? {self.of(kind, depth)} : {self.of(kind, depth)})"

    def element(self, kind: str, depth: int) -> str:
        lists = {
            "int": "event.nums",
            "text": "event.words",
            "bool": "event.mixed",
            "double": "event.mixed",
            "list": "[event.nums]",
        }
        if kind == "text" and self.one(True, False):
            return f"{self.of('text', depth)}.split({self.of('text', 0)})[{self.one(0, 1)}]"
        return f"{lists.get(kind, 'event.lines')}[{self.chance.randint(0, 2)}]"

    # Numbers

    def int_forms(self) -> list[Any]:
        return [
            self.int_arithmetic,
            self.int_arithmetic,
            self.negative,
            self.to_int,
            self.size,
            self.part,
            self.index_of,
        ]

    def int_arithmetic(self, _kind: str, depth: int) -> str:
        return f"({self.of('int', depth)} {self.one('+', '-', '*', '/', '%')} {self.of('int', depth)})"

    def negative(self, kind: str, depth: int) -> str:
        return f"-({self.of(kind, depth)})"

    def to_int(self, _kind: str, depth: int) -> str:
        return f"int({self.of(self.one('int', 'double', 'text', 'time'), depth)})"

    def size(self, _kind: str, depth: int) -> str:
        value = self.one(self.of("text", depth), self.of("list", depth), "event.o", "event", "meta.headers")
        return str(self.one(f"size({value})", f"({value}).size()"))

    def part(self, _kind: str, depth: int) -> str:
        part = self.one("FullYear", "Month", "Date", "DayOfMonth", "DayOfWeek", "DayOfYear", *_CLOCK)
        if part in _CLOCK and self.one(True, False):
            return f"{self.of('span', depth)}.get{part}()"
        zone = self.one("", f"'{self.one(*ZONES)}'", "'Europe/' + 'Paris'")
        return f"{self.of('time', depth)}.get{part}({zone})"

    def index_of(self, _kind: str, depth: int) -> str:
        offset = self.one("", "", f", {self.of('int', 0)}")
        return f"{self.of('text', depth)}.indexOf({self.of('text', 0)}{offset})"

    def double_forms(self) -> list[Any]:
        return [self.double_arithmetic, self.double_arithmetic, self.negative, self.to_double]

    def double_arithmetic(self, _kind: str, depth: int) -> str:
        return f"({self.of('double', depth)} {self.one('+', '-', '*', '/')} {self.of('double', depth)})"

    def to_double(self, _kind: str, depth: int) -> str:
        return f"double({self.of(self.one('int', 'double', 'text'), depth)})"

    # Text

    def text_forms(self) -> list[Any]:
        return [self.joined, self.to_string, self.to_string, self.text_call, self.text_call, self.join]

    def joined(self, _kind: str, depth: int) -> str:
        return f"({self.of('text', depth)} + {self.of('text', depth)})"

    def to_string(self, _kind: str, depth: int) -> str:
        return f"string({self.of(self.one('int', 'double', 'text', 'bool', 'time', 'span'), depth)})"

    def text_call(self, _kind: str, depth: int) -> str:
        text, some, count = self.of("text", depth), self.of("text", 0), self.of("int", 0)
        call = self.one(
            "lowerAscii()",
            "upperAscii()",
            "trim()",
            f"replace({some}, {self.of('text', 0)})",
            f"replace({some}, {self.of('text', 0)}, {count})",
            f"substring({self.chance.randint(0, 3)})",
            f"substring({self.chance.randint(0, 2)}, {count})",
        )
        return f"({text}).{call}"

    def join(self, _kind: str, depth: int) -> str:
        return f"({self.of('list', depth)}).join({self.one('', self.of('text', 0))})"

    # Times

    def time_forms(self) -> list[Any]:
        return [self.moved, self.moved, self.to_time]

    def moved(self, _kind: str, depth: int) -> str:
        time, span = self.of("time", depth), self.of("span", depth)
        return str(self.one(f"({time} + {span})", f"({span} + {time})", f"({time} - {span})"))

    def to_time(self, _kind: str, depth: int) -> str:
        return f"timestamp({self.of(self.one('int', 'time'), depth)})"

    def span_forms(self) -> list[Any]:
        return [self.between, self.between, self.to_span]

    def between(self, _kind: str, depth: int) -> str:
        kind = self.one("time", "span")
        return f"({self.of(kind, depth)} {self.one('-', '+') if kind == 'span' else '-'} {self.of(kind, depth)})"

    def to_span(self, _kind: str, depth: int) -> str:
        return f"duration({self.of('span', depth)})"

    # Truth values

    def bool_forms(self) -> list[Any]:
        tests = [self.compared, self.equal, self.contained, self.has, self.to_bool, self.text_test, self.matched]
        return [self.logic, self.logic, self.logic, self.negation, *tests, self.quantified, self.quantified]

    def logic(self, _kind: str, depth: int) -> str:
        return f"({self.of('bool', depth)} {self.one('&&', '||')} {self.of('bool', depth)})"

    def negation(self, _kind: str, depth: int) -> str:
        return f"!({self.of('bool', depth)})"

    def compared(self, _kind: str, depth: int) -> str:
        kind = self.one("int", "double", "text", "bool", "time", "span", "number")
        left, right = ("int", "double") if kind == "number" else (kind, kind)
        return f"({self.of(left, depth)} {self.one('<', '<=', '>', '>=')} {self.of(right, depth)})"

    def equal(self, _kind: str, depth: int) -> str:
        kind = self.one("int", "double", "text", "bool", "time", "span", "list", "any")
        right = "null" if self.chance.randint(0, 4) == 0 else self.of(kind, depth)
        return f"({self.of(kind, depth)} {self.one('==', '!=')} {right})"

    def contained(self, _kind: str, depth: int) -> str:
        place = self.one("event.nums", "event.words", "event.mixed", "event.o", "event", "meta.headers")
        kind = self.one("int", "text", "double", "any") if place not in ("event", "meta.headers") else "text"
        return f"({self.of(kind, depth)} in {place})"

    def has(self, _kind: str, _depth: int) -> str:
        return (
            f"has({self.one('event.n', 'event.none', 'event.o.n', 'event.o.o.n', 'meta.headers.trace', 'event.s.x')})"
        )

    def to_bool(self, _kind: str, depth: int) -> str:
        return f"bool({self.of(self.one('bool', 'text'), depth)})"

    def text_test(self, _kind: str, depth: int) -> str:
        test = self.one("startsWith", "endsWith", "contains")
        return f"({self.of('text', depth)}).{test}({self.of('text', depth)})"

    def matched(self, _kind: str, depth: int) -> str:
        text, pattern = self.of("text", depth), f"'{self.one(*PATTERNS)}'"
        return str(self.one(f"({text}).matches({pattern})", f"matches({text}, {pattern})"))

    def quantified(self, _kind: str, depth: int) -> str:
        macro = self.one("exists", "all", "exists_one")
        place, what = self.one(*_PLACES, ("event.o", "text"), ("meta.headers", "text"))
        return f"{place}.{macro}({self.inside(what, 'bool', depth)})"

    def inside(self, what: str, kind: str, depth: int) -> str:
        """A macro's name, and what it says of it."""
        name = f"x{len(self.bound)}"
        self.bound.append((name, what))
        body = self.of(kind, depth)
        self.bound.pop()
        return f"{name}, {body}"

    # Lists

    def list_forms(self) -> list[Any]:
        return [self.items, self.filtered, self.mapped, self.mapped_where, self.split, self.chained]

    def items(self, _kind: str, depth: int) -> str:
        kind = self.one("int", "text", "any", "double")
        return "[" + ", ".join(self.of(kind, depth) for _ in range(self.chance.randint(0, 2))) + "]"

    def filtered(self, _kind: str, depth: int) -> str:
        place, what = self.one(*_PLACES)
        return f"{place}.filter({self.inside(what, 'bool', depth)})"

    def mapped(self, _kind: str, depth: int) -> str:
        place, what = self.one(*_PLACES)
        return f"{place}.map({self.inside(what, self.one('int', 'text', 'double', 'bool', 'any', 'list'), depth)})"

    def mapped_where(self, _kind: str, depth: int) -> str:
        place, what = self.one(*_PLACES)
        name = f"x{len(self.bound)}"
        self.bound.append((name, what))
        condition, value = self.of("bool", depth), self.of(self.one("int", "text"), depth)
        self.bound.pop()
        return f"{place}.map({name}, {condition}, {value})"

    def split(self, _kind: str, depth: int) -> str:
        limit = self.one("", f", {self.of('int', 0)}")
        return f"({self.of('text', depth)}).split({self.of('text', 0)}{limit})"

    def chained(self, _kind: str, depth: int) -> str:
        return f"({self.of('list', depth)} + {self.of('list', depth)})"

    def any_forms(self) -> list[Any]:
        return [self.anything]

    def anything(self, _kind: str, depth: int) -> str:
        return self.of(self.one("int", "double", "text", "bool", "time", "span", "list"), depth)


_CLOCK = ("Hours", "Minutes", "Seconds", "Milliseconds")
_PLACES = (
    ("event.lines", "line"),
    ("event.lines", "line"),
    ("event.nums", "int"),
    ("event.words", "text"),
    ("event.mixed", "any"),
    ("[1, 2, 3]", "int"),
    ("'a,b'.split(',')", "text"),
)


@st.composite
def expressions(draw: Any) -> str:
    """An expression of some depth, of any kind."""
    writer = Writer(draw)
    kind = writer.one("int", "double", "text", "bool", "bool", "time", "span", "list", "list")
    return str(writer.form(kind, writer.one(1, 2, 2, 3)))
