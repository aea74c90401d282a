"""Hypothesis strategies for whole worlds: a definition, a log, and how a worker goes through it."""

import json
from dataclasses import dataclass, field
from itertools import accumulate
from random import Random
from typing import Any

from hypothesis import strategies as st

from projector.fold.compile import Program, compile_definition
from projector.fold.folded import BadEvent, Folded
from projector.fold.table import Table
from projector.spec.definition import Definition
from tests.support.records import FakeRecord
from tests.support.specs import definition

COLUMNS: tuple[dict[str, Any], ...] = (
    {"name": "id", "type": "text"},
    {"name": "part", "type": "integer"},
    {"name": "name", "type": "text", "default": "none"},
    {"name": "label", "type": "text"},
    {"name": "total", "type": "bigint", "default": "10"},
    {"name": "count", "type": "integer"},
    {"name": "amount", "type": "numeric", "default": "0.5"},
    {"name": "low", "type": "bigint"},
    {"name": "high", "type": "smallint", "default": "3"},
    {"name": "peak", "type": "double precision"},
    {"name": "ratio", "type": "double precision"},
    {"name": "flag", "type": "boolean", "default": "false"},
    {"name": "at", "type": "timestamptz"},
    {"name": "seen", "type": "timestamptz"},
    {"name": "day", "type": "date"},
    {"name": "ref", "type": "uuid"},
    {"name": "data", "type": "jsonb"},
    {"name": "list", "type": "jsonb"},
)
TYPES = {column["name"]: column["type"] for column in COLUMNS}
ACCUMULATED = {"total": "increment", "count": "increment", "amount": "increment", "low": "min", "high": "max"}
ACCUMULATED |= {"peak": "max", "seen": "max", "list": "append"}
EVENT_TYPES = ("A", "B", "C")
SELECTORS = ("A", "B", "C", "A@>=2", "B@1", "B@<=2", "C@<3", "C@>1")

Text = st.SearchStrategy[str]
INT_LEAVES = ["event.n", "event.m", "event['m']", "event.o.n", "event.l[0]", "1", "-3", "meta.offset", "size(event.s)"]
DOUBLE_LEAVES = ["event.d", "1.5", "event.o.d", "double(event.n)"]
TEXT_LEAVES = [
    "event.s",
    "event.t",
    "event.kind",
    '"x"',
    "meta.topic",
    "event.o.s",
    "meta.type",
    "meta.key",
    "meta.headers.ce_type",
]
BOOL_LEAVES = ["event.b", "true", "has(event.n)", "has(event.o.n)", "has(event.x)", "event.z == null", "'n' in event.o"]


def _binary(operators: list[str], left: Text, right: Text) -> Text:
    return st.tuples(left, st.sampled_from(operators), right).map(lambda parts: f"({' '.join(parts)})")


def _ternary(condition: Text, then: Text) -> Text:
    return st.tuples(condition, then, then).map(lambda parts: f"({parts[0]} ? {parts[1]} : {parts[2]})")


def _wrapped(templates: list[str], inner: Text) -> Text:
    return st.tuples(st.sampled_from(templates), inner).map(lambda pair: pair[0].replace("@", pair[1]))


_ints_1 = st.sampled_from(INT_LEAVES)
_doubles_1 = st.sampled_from(DOUBLE_LEAVES)
_texts_1 = st.sampled_from(TEXT_LEAVES)
_ints_2 = (
    _ints_1
    | _binary(["+", "-", "*", "/", "%"], _ints_1, _ints_1)
    | _wrapped(["(-@)", "int(@)", "int(string(@))"], _ints_1)
    | _wrapped(["int(@)"], _doubles_1)
    | _wrapped(["size(@)"], _texts_1)
    | st.just("int(timestamp(event.t))")
)
_doubles_2 = (
    _doubles_1
    | _binary(["+", "-", "*", "/"], _doubles_1, _doubles_1)
    | _wrapped(["(-@)", "double(string(@))"], _doubles_1)
)
_texts_2 = _texts_1 | _binary(["+"], _texts_1, _texts_1) | _wrapped(["string(@)"], _ints_2 | _doubles_2)
_bools_1 = (
    st.sampled_from(BOOL_LEAVES)
    | _binary(["<", "<=", ">", ">=", "==", "!="], _ints_2, _ints_2 | _doubles_1)
    | _binary(["<", ">=", "==", "!="], _texts_1, _texts_1)
    | _binary(["in"], _ints_1, st.sampled_from(["[1, 2, event.m]", "event.l", "[]"]))
    | _binary(["in"], _texts_1, st.sampled_from(["['x', 'a']", "event.o", "event", "event.l"]))
    | _wrapped(["event.s.startsWith(@)", "@.endsWith('x')", "event.s.contains(@)"], _texts_1)
)
_bools_2 = _bools_1 | _binary(["&&", "||"], _bools_1, _bools_1) | _wrapped(["!(@)"], _bools_1)
BOOLS = _bools_2 | _binary(["&&", "||"], _bools_2, _bools_2) | _ternary(_bools_1, _bools_1)
INTS = _ints_2 | _binary(["+", "-", "*", "/", "%"], _ints_2, _ints_2) | _ternary(_bools_1, _ints_2)
DOUBLES = _doubles_2 | _ternary(_bools_1, _doubles_2)
TEXTS = _texts_2 | _ternary(_bools_1, _texts_1)
MOMENTS = st.sampled_from(["event.t", "meta.timestamp", "timestamp(event.t)", "timestamp(event.n)"])

EXPRESSIONS: dict[str, Text] = {
    "text": TEXTS,
    "smallint": INTS,
    "integer": INTS,
    "bigint": INTS,
    "numeric": INTS | DOUBLES,
    "double precision": DOUBLES | st.just("event.n"),
    "boolean": BOOLS,
    "timestamptz": MOMENTS,
    "date": st.sampled_from(["event.day", "(event.b ? event.day : null)"]),
    "uuid": st.sampled_from(["event.ref", "(event.b ? event.ref : null)"]),
    "jsonb": st.sampled_from(["event", "event.l", "event.x", "[event.n, event.o]", "event.s", "event.n"]),
}
OR_NULL = {kind: made | st.just("null") for kind, made in EXPRESSIONS.items()}
SETTABLE = [name for name in TYPES if name not in ("id", "part")]


def _assignments(names: list[str], most: int, expressions: dict[str, Text]) -> st.SearchStrategy[dict[str, str]]:
    chosen = st.lists(st.sampled_from(names), unique=True, max_size=most)
    return chosen.flatmap(lambda picked: st.fixed_dictionaries({name: expressions[TYPES[name]] for name in picked}))


@st.composite
def rules(draw: st.DrawFn) -> dict[str, Any]:
    """A rule that the checks accept."""
    rule: dict[str, Any] = {
        "events": draw(st.lists(st.sampled_from(SELECTORS), min_size=1, max_size=2, unique_by=lambda name: name[0])),
        "key": {"id": "event.id", "part": draw(st.sampled_from(["event.p", "event.p + 1", "1"]))},
        "onMissing": draw(st.sampled_from(["Create", "Create", "Ignore", "Park"])),
    }
    if draw(st.integers(0, 3)) == 0:
        return draw(_of_items(rule))
    if draw(st.booleans()):
        rule["when"] = draw(BOOLS)
    if draw(st.integers(0, 6)) == 0:
        return {**rule, "delete": True}
    accumulated = draw(_assignments(list(ACCUMULATED), 4, EXPRESSIONS))
    set_columns = draw(_assignments([name for name in SETTABLE if name not in accumulated], 4, OR_NULL))
    if not accumulated and not set_columns:
        set_columns = {"name": "event.s"}
    if set_columns:
        rule["set"] = set_columns
    for name, text in accumulated.items():
        rule.setdefault(ACCUMULATED[name], {})[name] = text
    return rule


@st.composite
def _of_items(draw: st.DrawFn, rule: dict[str, Any]) -> dict[str, Any]:
    """A rule for each element of a list."""
    rule["forEach"] = draw(st.sampled_from(["event.items", "event.l", "[event.o]"]))
    rule["key"]["id"] = draw(st.sampled_from(["item.s", "item.s", "event.id"]))
    if draw(st.booleans()):
        rule["when"] = draw(st.sampled_from(["item.n > 0", "has(item.s)"]))
    if draw(st.integers(0, 4)) == 0:
        return {**rule, "delete": True}
    return {**rule, "increment": {"total": "item.n"}, "set": {"label": "item.s"}, "append": {"list": "item"}}


TOMBSTONES = {"events": ["(tombstone)"], "key": {"id": "meta.key", "part": "1"}, "delete": True}
PLACES = st.sampled_from(["header.ce_type", "header.ce_type", "event.kind"])
DEFINITIONS = st.builds(
    lambda made, place, tombstones: definition(
        *made,
        *([TOMBSTONES] if tombstones else []),
        columns=COLUMNS,
        key=["id", "part"],
        event_type=place,
        event_version="header.v" if place.startswith("header") else "event.version",
    ),
    st.lists(rules(), min_size=2, max_size=6),
    PLACES,
    st.booleans(),
)

SPOILS: list[Any] = [
    None,
    True,
    1,
    1.0,
    "x",
    "",
    [],
    {},
    [1],
    {"n": 1},
    2**63 - 1,
    -(2**63),
    2**64,
    40_000,
    "2026-13-01",
    "a\0",
]


def _event(random: Random) -> dict[str, Any]:
    """An event that has all fields as they should be, but for one in ten or so."""
    event: dict[str, Any] = {
        "id": random.choice("ab"),
        "p": 1,
        "n": random.randint(-5, 5),
        "m": random.randint(1, 3),
        "d": random.choice([0.5, -1.25, 3.0, 0.1, 1e16]),
        "s": random.choice(["x", "ab", "é😀", "12"]),
        "t": random.choice(["2026-01-31T12:00:00Z", "2026-01-31T12:00:00.25+02:00", "2025-06-01T00:00:00-05:00"]),
        "day": random.choice(["2026-01-31", "2024-02-29"]),
        "ref": random.choice(["12345678-1234-5678-1234-567812345678", "0" * 32]),
        "b": random.random() < 0.7,
        "z": None,
        "x": random.choice(SPOILS),
        "l": [random.randint(-5, 5)],
        "o": {"n": random.randint(-5, 5), "d": 2.5, "s": "x"},
        "items": [_item(random) for _ in range(random.randint(0, 3))],
        "kind": random.choice(EVENT_TYPES) if random.random() < 0.95 else random.choice(["D", 1, None]),
        "version": random.choice([1, 2, 3]),
    }
    if random.random() < 0.3:
        del event["version"]
    if random.random() < 0.1:
        event[random.choice(sorted(event))] = random.choice(SPOILS)
    if random.random() < 0.05:
        del event[random.choice(sorted(event))]
    return event


def _item(random: Random) -> Any:
    if random.random() < 0.05:
        return random.choice(SPOILS)
    return {"s": random.choice("ab"), "n": random.randint(-3, 5)}


def _record(seed: int, offset: int) -> FakeRecord:
    random = Random(seed)  # noqa: S311 - a test's data, to be the same again
    value = json.dumps(_event(random)).encode()
    if random.random() < 0.04:
        value = random.choice([b"{", b"[]", b""])
    kind = random.choice(EVENT_TYPES) if random.random() < 0.93 else random.choice(["D", ""])
    headers = [("ce_type", kind.encode())] if kind else []
    if random.random() < 0.8:
        headers.append(("v", random.choice([b"1", b"2", b"2", b"3", b"3", b"x"] if random.random() < 0.2 else [b"2"])))
    return FakeRecord(
        value if random.random() < 0.95 else None,
        tuple(headers),
        random.choice([b"a", b"b"]) if random.random() < 0.95 else None,
        random.choice([1_700_000_000_000 + offset * 1001, 1_600_000_000_123]) if random.random() < 0.97 else None,
        offset,
    )


def _log(steps: list[tuple[int, int]]) -> list[FakeRecord]:
    offsets = accumulate(gap for _, gap in steps)
    return [_record(seed, offset) for (seed, _), offset in zip(steps, offsets, strict=True)]


LOGS = st.lists(st.tuples(st.integers(0, 2**20), st.integers(1, 2)), min_size=15, max_size=40).map(_log)
"""Logs of one partition, with holes between offsets; each event grows from a seed of its own."""


@dataclass(frozen=True)
class Batch:
    """One turn of a worker: how much it reads, and whether it dies before its commit.

    To die after the commit is to live: a worker keeps nothing from batch to batch.
    """

    size: int
    dies: bool


BATCHES = st.lists(st.builds(Batch, st.integers(1, 12), st.sampled_from([False, False, True])), max_size=15)


@dataclass
class Life:
    """Workers that drain a log into a table, one after the other. With `parks`, bad events wait with their row key."""

    definition: Definition
    parks: bool
    made: Program | None = None
    position: int = 0
    refused: set[int] = field(default_factory=set)
    ignored: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.program: Program = self.made or compile_definition(self.definition)
        self.table = Table(self.program.columns)

    def work(self, log: list[FakeRecord], batches: list[Batch]) -> None:
        """Drain the log through the given turns, then without faults.

        A worker that dies loses all that it folded and did not commit: the next one reads from the checkpoint.
        """
        turns = iter(batches)
        while unread := [record for record in log if record.offset() >= self.position]:
            batch = next(turns, Batch(len(log), False))
            folded = self._turn(unread[: batch.size])
            if not batch.dies:
                self.table.commit(folded)
                self.position = unread[: batch.size][-1].offset() + 1
                for name, count in folded.ignored.items():
                    self.ignored[name] = self.ignored.get(name, 0) + count

    def _turn(self, records: list[FakeRecord]) -> Folded:
        """Fold a batch; an event that cannot be applied or parked is passed over by its offset."""
        folded = self.table.batch()
        rest = iter(records)
        while True:
            try:
                self.program.fold(rest, folded)
            except BadEvent as bad:
                if self.parks and bad.keys is not None:
                    self.program.settle(bad, folded, park=True)
                else:
                    self.refused.add(bad.offset)
            else:
                return folded
