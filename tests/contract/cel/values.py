"""Operators and functions, each with the values that it meets: all combinations are tried."""

INTS = (0, 1, -1, 2, -7, 3, 2**53 + 1, 2**62, 2**63 - 1, -(2**63))
DOUBLES = (0.0, -0.0, 0.5, -1.5, 2.0, 1e-5, 1e16, 1.7976931348623157e308, -9.223372036854775808e18)
TEXTS = ("", "a", "aba", "é😀", " \u00a0a\x1c", "aB,Éc", "12", "-0007", "+1.5", "1e400", "TRUE", "f", "NaN", "1_0")
TIMES = (
    "2026-01-31T12:00:00.5+01:00",
    "2024-02-29T23:59:59.999999Z",
    "1969-12-31T23:59:59.25Z",
    "2026-03-29T00:59:59Z",
    "2026-03-29T01:00:00Z",
    "0001-01-02T00:00:00Z",
    "9999-12-30T23:59:59.9Z",
    "2026-02-29T00:00:00Z",
)
LONGEST = "2562047h47m16.854775s"
DURATIONS = (
    "0", "1h30m", "-1.5s", "100ms", "1us", "-1us", "24h", LONGEST, "-2562047h", "2562048h", "+3m0.5s",
    ".5s", "5.s", "1.5", "h", "-", "", "1 s", "1h-1m", "1d", "1µs", "0.000001s",
)  # fmt: skip
TRUTHS = ("true", "True", "t", "T", "1", "false", "False", "FALSE", "F", "0", "tRUE", "yes")
OTHERS: tuple[object, ...] = (None, True, False, [], [1, 2.0, "a", None], {}, {"a": 1})
VALUES = (*INTS, *DOUBLES, *TEXTS, *OTHERS)
FEW = (0, -1, 2**63 - 1, 0.5, 1e16, "", "a", "12", *OTHERS)
COUNTS = (-(2**63), -1, 0, 1, 2, 3, 9, 2**63 - 1, 1.0, "a")

Pools = dict[str, tuple[object, ...]]
"""Fields of the event, and the values that each takes in turn."""

ANY: Pools = {"a": VALUES, "b": VALUES}
TEXT_PAIRS: Pools = {"a": (*TEXTS, "a,b,,c", 1, None), "b": ("", "a", "b", ",", "é", "😀", None)}
TEXT_AND_COUNT: Pools = {**TEXT_PAIRS, "c": COUNTS}
TWO_TIMES: Pools = {"a": TIMES, "b": TIMES}
TIME_AND_SPAN: Pools = {"a": TIMES, "b": DURATIONS}
TWO_SPANS: Pools = {"a": DURATIONS, "b": DURATIONS}
ZONES: Pools = {
    "a": TIMES,
    "b": (
        "UTC",
        "Europe/Berlin",
        "America/New_York",
        "Asia/Kolkata",
        "+02:00",
        "-09:30",
        "05:45",
        "+24:00",
        "+1",
        "Mars",
    ),
}
LISTS: Pools = {
    "a": (
        [],
        [1],
        [1, 1],
        [1, 2, 3],
        [1, "a"],
        ["a", 0],
        ["a", 2],
        ["a", "b"],
        [True],
        [None],
        {},
        {"a": 1},
        1,
        "a",
        None,
    )
}
BINARY = ("+", "-", "*", "/", "%", "==", "!=", "<", "<=", ">", ">=", "&&", "||", "in")
ACCESSORS = (
    "getFullYear", "getMonth", "getDate", "getDayOfMonth", "getDayOfWeek", "getDayOfYear", "getHours", "getMinutes",
    "getSeconds", "getMilliseconds",
)  # fmt: skip
CLOCK = ACCESSORS[-4:]
PATTERNS = ("a", "^a.*a$", "[^a]", "é|😀", "^$", "[0-9]+$", "(?i)AB", r"^\\pL+$", "a{2,3}", r"\\s", r"\\bA", "^b", ".b")

CASES: dict[str, Pools] = {
    **{f"event.a {operator} event.b": ANY for operator in BINARY},
    "-event.a": {"a": VALUES},
    "!event.a": {"a": VALUES},
    "event.a ? event.b : 'no'": {"a": FEW, "b": FEW},
    "(event.a && event.b) || event.c": {"a": FEW, "b": (True, False, None), "c": (True, False, 1)},
    "event.a == null || null != event.b": ANY,
    "event.a[event.b]": {"a": FEW, "b": (0, 3, 4, -1, "a", "b", None, True)},
    "has(event.a.a)": {"a": (*OTHERS, {"a": None})},
    "has(event.a.a.a)": {"a": (*OTHERS, {"a": {"a": None}})},
    "event.a in [1, 'a', null, 2.0]": {"a": VALUES},
    "event.a in ['a', 'b']": {"a": VALUES},
    **{f"{name}(event.a)": {"a": VALUES} for name in ("int", "string", "timestamp", "size")},
    "bool(event.a)": {"a": (*VALUES, *TRUTHS)},
    # The reference reads Go's notation besides.
    "double(event.a)": {"a": tuple(value for value in VALUES if value not in ("NaN", "1_0"))},
    "size(event.a + 'x')": {"a": TEXTS},
    "string(timestamp(event.a))": {"a": (*TIMES, *INTS, "2026-01-31", "2026-01-31T00:00:00", 1.0)},
    "int(timestamp(event.a))": {"a": TIMES},
    # The reference writes seconds as a double, which has too few digits for the longest ones.
    "string(duration(event.a))": {"a": (*(text for text in DURATIONS if text != LONGEST), 1, None)},
    "timestamp(event.a) - timestamp(event.b)": TWO_TIMES,
    **{f"timestamp(event.a) {operator} timestamp(event.b)": TWO_TIMES for operator in ("==", "<", ">=")},
    **{f"duration(event.a) {operator} duration(event.b)": TWO_SPANS for operator in ("+", "-", "==", "<=", ">")},
    "timestamp(event.a) + duration(event.b)": TIME_AND_SPAN,
    "duration(event.b) + timestamp(event.a)": TIME_AND_SPAN,
    "timestamp(event.a) - duration(event.b)": TIME_AND_SPAN,
    **{f"timestamp(event.a).{part}()": {"a": TIMES} for part in ACCESSORS},
    **{f"timestamp(event.a).{part}(event.b)": ZONES for part in ACCESSORS},
    **{f"duration(event.a).{part}()": {"a": DURATIONS} for part in CLOCK},
    **{f"event.a.{test}(event.b)": TEXT_PAIRS for test in ("startsWith", "endsWith", "contains", "split", "indexOf")},
    **{f"event.a.{name}()": {"a": FEW + TEXTS} for name in ("lowerAscii", "upperAscii", "trim", "size", "join")},
    "event.a.split(event.b, event.c)": TEXT_AND_COUNT,
    "event.a.indexOf(event.b, event.c)": TEXT_AND_COUNT,
    "event.a.replace(event.b, 'x')": TEXT_PAIRS,
    "event.a.replace(event.b, '<>', event.c)": TEXT_AND_COUNT,
    "event.a.substring(event.b)": {"a": (*TEXTS, 1), "b": COUNTS},
    "event.a.substring(event.b, event.c)": {"a": (*TEXTS, 1), "b": COUNTS, "c": COUNTS},
    "event.a.join(event.b)": {"a": (*LISTS["a"], ["é", "", "😀"]), "b": ("", ", ", 1)},
    **{f"event.a.matches('{pattern}')": {"a": (*TEXTS, "ab", "aaa", 1)} for pattern in PATTERNS},
    **{f"event.a.{macro}(x, x == 1)": LISTS for macro in ("exists", "all", "exists_one", "filter", "map")},
    **{f"event.a.{macro}(x, x > 1)": LISTS for macro in ("exists", "all", "exists_one", "filter", "map")},
    **{f"event.a.{macro}(x, x)": LISTS for macro in ("exists", "all", "exists_one", "filter", "map")},
    "event.a.map(x, x > 1, x + 1)": LISTS,
    "event.a.exists(x, event.a.all(y, y <= x))": LISTS,
    "event.a.map(x, [x].map(y, [x, y]))": LISTS,
    "event.a.filter(x, x != 2).map(x, string(x)).join(',')": LISTS,
}
