"""Law 1 by the real loop: whatever the log, the batches, crashes, rebalances and outages, the table is the fold."""

import json
from dataclasses import dataclass
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from projector.fold.delta import Row
from tests.support.crew import ORDERS, Crew
from tests.support.memory import Topic
from tests.support.oracle import Reference
from tests.support.records import FakeRecord

PARTITIONS = 3
REFUSED_NAME = "too long for the column"

KINDS = st.sampled_from(["Placed", "Added", "Added", "Added", "Changed", "Gone", "Unknown"])
NAMES = st.sampled_from(["a", "b", None])
VALUES = st.fixed_dictionaries({"id": st.integers(0, 2), "n": st.integers(-4, 4), "name": NAMES})
SPOILED = st.sampled_from([b"{", b"[]", b'{"n": 1}', b'{"id": 7, "n": 1}', None])


@dataclass(frozen=True)
class Entry:
    """A record to come on a partition; `kind` None is a hole in the offsets."""

    partition: int
    kind: str | None
    value: bytes | None

    @property
    def record(self) -> FakeRecord | None:
        return None if self.kind is None else FakeRecord(self.value, (("ce_type", self.kind.encode()),), b"k")


def _entry(partition: int, kind: str, value: dict[str, Any]) -> Entry:
    # A key lives in one partition, as with `ordering: PerKey`.
    return Entry(partition, kind, json.dumps({**value, "id": f"{partition}-{value['id']}"}).encode())


NUMBERS = st.integers(0, PARTITIONS - 1)
GOOD = st.builds(_entry, NUMBERS, KINDS, VALUES)
HOLES = st.builds(Entry, NUMBERS, st.none(), st.none())
BAD = st.builds(Entry, NUMBERS, KINDS, SPOILED)
REFUSED = st.builds(_entry, NUMBERS, st.just("Placed"), VALUES.map(lambda value: {**value, "name": REFUSED_NAME}))
LOGS = st.lists(st.one_of(GOOD, GOOD, GOOD, GOOD, GOOD, HOLES, BAD, REFUSED), max_size=40)

WORKERS = 3
WHO = st.integers(0, WORKERS - 1)
FAULTS = st.sampled_from(["away", "killed", "lost", "killed-after"])
STEPS = st.one_of(
    st.tuples(st.just("turn"), WHO),
    st.tuples(st.just("turn"), WHO),
    st.tuples(st.just("turns"), st.integers(1, 5)),
    st.tuples(st.just("append"), st.integers(1, 12)),
    st.tuples(st.just("kill"), WHO),
    st.tuples(st.just("leave"), WHO),
    st.tuples(st.just("stopped"), st.tuples(WHO, st.integers(0, 4))),
    st.tuples(st.just("commit fails"), st.tuples(WHO, FAULTS)),
    st.tuples(st.just("target away"), st.tuples(WHO, st.integers(1, 4))),
    st.tuples(st.just("source away"), st.tuples(WHO, st.integers(1, 4))),
    st.tuples(st.just("discard"), st.none()),
)


class Story:
    """A crew that goes through the steps, and people who discard what it stands in front of."""

    def __init__(self, log: list[Entry], most: int, many: int) -> None:
        self.rest = list(log)
        self.topic = Topic.of(PARTITIONS)
        self.crew = Crew(self.topic, WORKERS, most, many)
        self.crew.target.refuses = _refuses

    def do(self, step: tuple[str, Any]) -> None:
        what, value = step
        match what:
            case "turn":
                self.crew.turn(value)
            case "turns":
                self.crew.turns(value)
            case "append":
                self.append(value)
            case "kill":
                self.crew.kill(value)
            case "leave":
                self.crew.leave(value)
            case "stopped":
                self.crew.declare_dead(*value)
            case "commit fails":
                self.crew.hands[value[0]].store.fault = value[1]
            case "target away":
                self.crew.hands[value[0]].store.unavailable = value[1]
            case "source away":
                self.crew.hands[value[0]].source.unavailable = value[1]
            case _:
                self.discard()

    def append(self, count: int) -> None:
        for entry in self.rest[:count]:
            self.topic.append(entry.partition, entry.record)
        del self.rest[:count]

    def discard(self) -> None:
        for partition, stuck in self.crew.target.stuck.items():
            self.crew.target.discarded[partition, stuck.offset] = "seen in the test"

    def end(self) -> None:
        self.append(len(self.rest))
        for _ in range(400):
            self.crew.turns(1)
            self.discard()
            if self.crew.done():
                return
        raise AssertionError(f"not done: {self.crew.target.checkpoints}, {self.crew.target.stuck}")

    def reference(self) -> Reference:
        """The fold of what the checkpoints have passed, without what was discarded."""
        reference = Reference(ORDERS)
        gone = {(partition.number, offset) for partition, offset in self.crew.target.discarded}
        for partition, end in self.crew.target.checkpoints.items():
            log = self.topic.partitions[partition.number][:end]
            offered = [r for r in log if r is not None and (partition.number, r.offset()) not in gone]
            reference.fold(offered)
        return reference


def _refuses(row: Row) -> bool:
    return row.get("name") == REFUSED_NAME


@given(LOGS, st.lists(STEPS, max_size=40), st.sampled_from([1, 2, 5, 1000]), st.sampled_from([1, 3, 1000]))
def test_whatever_happens_the_table_is_the_reference_fold(
    log: list[Entry], steps: list[tuple[str, Any]], most: int, many: int
) -> None:
    story = Story(log, most, many)
    for step in steps:
        story.do(step)
    before = story.reference()
    assert before.refused == []
    assert story.crew.target.rows == before.rows
    story.end()
    after = story.reference()
    assert after.refused == []
    assert story.crew.target.rows == after.rows


@given(st.lists(st.one_of(GOOD, HOLES), max_size=40), st.integers(1, 7))
def test_a_quiet_life_discards_nothing_and_leaves_no_fault(log: list[Entry], most: int) -> None:
    story = Story(log, most, 1000)
    story.end()
    assert story.crew.target.stuck == {}
    assert story.crew.target.discarded == {}
    assert story.crew.target.rows == story.reference().rows
