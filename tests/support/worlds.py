"""Hypothesis strategies for whole worlds: a definition, a log, and how a worker goes through it."""

import json
from dataclasses import dataclass, field
from itertools import accumulate
from random import Random
from typing import Any

from hypothesis import strategies as st

from projector.fold.algebra import apply
from projector.fold.compile import Program, compile_definition
from projector.fold.delta import Deltas, Row
from projector.fold.folded import BadEvent, Folded
from projector.spec.definition import Definition
from projector.spec.values import default_value
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
)
TYPES = {column["name"]: column["type"] for column in COLUMNS}
ACCUMULATED = {"total": "increment", "count": "increment", "amount": "increment", "low": "min", "high": "max"}
ACCUMULATED |= {"peak": "max", "seen": "max"}
EVENT_TYPES = ("A", "B", "C")

Text = st.SearchStrategy[str]
INT_LEAVES = ["event.n", "event.m", "event['m']", "event.o.n", "event.l[0]", "1", "-3", "meta.offset", "size(event.s)"]
DOUBLE_LEAVES = ["event.d", "1.5", "event.o.d", "double(event.n)"]
TEXT_LEAVES = ["event.s", "event.t", '"x"', "meta.topic", "event.o.s", "meta.type", "meta.key", "meta.headers.ce_type"]
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
SETTABLE = [name for name in TYPES if name not in ("id", "part")]


def _assignments(names: list[str], most: int) -> st.SearchStrategy[dict[str, str]]:
    chosen = st.lists(st.sampled_from(names), unique=True, max_size=most)
    return chosen.flatmap(
        lambda picked: st.fixed_dictionaries(
            {
                name: (EXPRESSIONS[TYPES[name]] | st.just("null"))
                if name not in ACCUMULATED
                else EXPRESSIONS[TYPES[name]]
                for name in picked
            }
        )
    )


@st.composite
def rules(draw: st.DrawFn) -> dict[str, Any]:
    """A rule that the checks accept."""
    rule: dict[str, Any] = {
        "events": draw(st.lists(st.sampled_from(EVENT_TYPES), min_size=1, max_size=2, unique=True)),
        "key": {"id": "event.id", "part": draw(st.sampled_from(["event.p", "event.p + 1", "1"]))},
        "onMissing": draw(st.sampled_from(["Create", "Create", "Ignore"])),
    }
    if draw(st.booleans()):
        rule["when"] = draw(BOOLS)
    if draw(st.integers(0, 6)) == 0:
        return {**rule, "delete": True}
    accumulated = draw(_assignments(list(ACCUMULATED), 4))
    set_columns = draw(_assignments([name for name in SETTABLE if name not in accumulated], 4))
    if not accumulated and not set_columns:
        set_columns = {"name": "event.s"}
    if set_columns:
        rule["set"] = set_columns
    for name, text in accumulated.items():
        rule.setdefault(ACCUMULATED[name], {})[name] = text
    return rule


DEFINITIONS = st.lists(rules(), min_size=2, max_size=6).map(
    lambda made: definition(*made, columns=COLUMNS, key=["id", "part"])
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
    }
    if random.random() < 0.1:
        event[random.choice(sorted(event))] = random.choice(SPOILS)
    if random.random() < 0.05:
        del event[random.choice(sorted(event))]
    return event


def _record(seed: int, offset: int) -> FakeRecord:
    random = Random(seed)  # noqa: S311 - a test's data, to be the same again
    value = json.dumps(_event(random)).encode()
    if random.random() < 0.04:
        value = random.choice([b"{", b"[]", b""])
    kind = random.choice(EVENT_TYPES) if random.random() < 0.93 else random.choice(["D", ""])
    return FakeRecord(
        value if random.random() < 0.97 else None,
        (("ce_type", kind.encode()),) if kind else (),
        random.choice([b"k", b"key"]) if random.random() < 0.95 else None,
        random.choice([1_700_000_000_000 + offset * 1001, 1_600_000_000_123]) if random.random() < 0.97 else None,
        offset,
    )


def _log(steps: list[tuple[int, int]]) -> list[FakeRecord]:
    offsets = accumulate(gap for _, gap in steps)
    return [_record(seed, offset) for (seed, _), offset in zip(steps, offsets, strict=True)]


LOGS = st.lists(st.tuples(st.integers(0, 2**20), st.integers(1, 2)), min_size=15, max_size=40).map(_log)
"""Logs of one partition, with holes between offsets; each event grows from a seed of its own."""


@dataclass
class MemoryTable:
    """A target in memory: rows and checkpoint move together or not at all."""

    definition: Definition
    rows: dict[tuple[Any, ...], Row] = field(default_factory=dict)
    position: int = 0
    discarded: list[int] = field(default_factory=list)

    def commit(self, position: int, deltas: Deltas) -> None:
        """Apply a batch's deltas and move the checkpoint."""
        defaults = {
            column.name: default_value(column)
            for column in self.definition.columns
            if column.name not in self.definition.key
        }
        for key, delta in deltas.items():
            row = apply(delta, self.rows.get(key), defaults)
            if row is None:
                self.rows.pop(key, None)
            else:
                self.rows[key] = row
        self.position = position


@dataclass(frozen=True)
class Batch:
    """One turn of a worker: how much it reads, and whether it dies before its commit.

    To die after the commit is to live: a worker keeps nothing from batch to batch.
    """

    size: int
    dies: bool


BATCHES = st.lists(st.builds(Batch, st.integers(1, 12), st.sampled_from([False, False, True])), max_size=15)


def work(table: MemoryTable, log: list[FakeRecord], batches: list[Batch]) -> dict[str, int]:
    """Drain the log into the table through the given turns, then without faults. Returns what was ignored.

    A worker that dies loses all that it folded and did not commit: the next one reads from the checkpoint.
    """
    program = compile_definition(table.definition)
    ignored: dict[str, int] = {}
    turns = iter(batches)
    while unread := [record for record in log if record.offset() >= table.position]:
        batch = next(turns, Batch(len(log), False))
        folded, position = _turn(program, unread[: batch.size], table)
        if not batch.dies:
            table.commit(position, folded.deltas)
            for name, count in folded.ignored.items():
                ignored[name] = ignored.get(name, 0) + count
    return ignored


def _turn(program: Program, records: list[FakeRecord], table: MemoryTable) -> tuple[Folded, int]:
    """Fold a batch; an event that cannot be applied is discarded by its offset, and the rest gone on with."""
    folded = Folded()
    rest = records
    while rest:
        try:
            program.fold([record for record in rest if record.offset() not in table.discarded], folded)
            break
        except BadEvent as bad:
            table.discarded.append(bad.offset)
            rest = [record for record in rest if record.offset() > bad.offset]
    return folded, records[-1].offset() + 1
