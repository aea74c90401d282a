"""Law 1 by the real loop: whatever the log, the batches, crashes, rebalances and outages, the table is the fold."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from projector.fold.delta import Row
from projector.ports import Partition
from projector.worker.replay import Limit
from tests.support import people
from tests.support.crew import ORDERS, Crew
from tests.support.memory import Topic
from tests.support.oracle import Change, Key, Reference
from tests.support.records import FakeRecord

PARTITIONS = 3
HUGE = 1000
"""A number that no row takes. Only keys that are never deleted meet it, so that no later event of a batch hides it."""

KINDS = st.sampled_from(["Placed", "Added", "Added", "Added", "Changed", "Gone", "Found", "Found", "Moved", "Tagged"])
NAMES = st.sampled_from(["a", "b", None])
VALUES = st.fixed_dictionaries({"id": st.integers(0, 2), "n": st.integers(-4, 4), "name": NAMES, "to": st.just(0)})
SPOILED = st.sampled_from([b"{", b"[]", b'{"n": 1}', b'{"id": 7, "n": 1}'])


@dataclass(frozen=True)
class Entry:
    """A record to come on a partition; `kind` None is a hole in the offsets."""

    partition: int
    kind: str | None
    value: bytes | None

    @property
    def record(self) -> FakeRecord | None:
        if self.kind is None:
            return None
        return FakeRecord(self.value, (("ce_type", self.kind.encode()),), b"%d-1" % self.partition)


def _entry(partition: int, kind: str, value: dict[str, Any]) -> Entry:
    # A key lives in one partition, as with `ordering: PerKey`.
    kept = "Changed" if kind == "Gone" and value["id"] == 2 else kind
    keys = {"id": f"{partition}-{value['id']}", "to": f"{partition}-{value['to']}"}
    return Entry(partition, kept, json.dumps({**value, **keys}).encode())


def _with(**changes: Any) -> Any:
    return VALUES.map(lambda value: {**value, **changes})


NUMBERS = st.integers(0, PARTITIONS - 1)
GOOD = st.builds(_entry, NUMBERS, KINDS, VALUES)
HOLES = st.builds(Entry, NUMBERS, st.none(), st.none())
SPOILT = st.builds(Entry, NUMBERS, KINDS, SPOILED)
TOMBSTONES = st.builds(Entry, NUMBERS, KINDS, st.none())
BAD = st.builds(_entry, NUMBERS, st.sampled_from(["Added", "Moved"]), _with(n="x"))
REFUSED = st.builds(_entry, NUMBERS, st.just("Added"), _with(id=2, n=HUGE))
LOGS = st.lists(st.one_of(GOOD, GOOD, GOOD, GOOD, GOOD, HOLES, BAD, TOMBSTONES, SPOILT, REFUSED), max_size=40)

WORKERS = 3
WHO = st.integers(0, WORKERS - 1)
FAULTS = st.sampled_from(["away", "killed", "killed-sent", "lost", "killed-after"])
STEPS = st.one_of(
    st.tuples(st.just("turn"), WHO),
    st.tuples(st.just("turn"), WHO),
    st.tuples(st.just("turns"), st.integers(1, 5)),
    st.tuples(st.just("append"), st.integers(1, 12)),
    st.tuples(st.just("kill"), WHO),
    st.tuples(st.just("leave"), WHO),
    st.tuples(st.just("stopped"), st.tuples(WHO, st.integers(0, 4))),
    st.tuples(st.just("commit fails"), st.tuples(WHO, FAULTS)),
    st.tuples(st.just("flush"), st.none()),
    st.tuples(st.just("target away"), st.tuples(WHO, st.integers(1, 4))),
    st.tuples(st.just("source away"), st.tuples(WHO, st.integers(1, 4))),
    st.tuples(st.just("discard"), st.none()),
    st.tuples(st.just("replay parked"), st.integers(0, 5)),
    st.tuples(st.just("discard parked"), st.tuples(st.integers(0, 5), st.integers(1, 3))),
)


@dataclass(frozen=True)
class Act:
    """What a person did with a parked key when its partition's checkpoint was `at`: discards, or replays (no offsets).

    `passed_over` are the offsets that were discarded by then.
    """

    partition: Partition
    at: int
    key: Key
    offsets: frozenset[int]
    passed_over: frozenset[int]


class Expected(Reference):
    """The fold, where offsets of `passed_over` are passed over as far as they cannot be applied.

    But for keys that they were `kept` for: the decision came when the worker had parked them in its hand.
    """

    passed_over: frozenset[int] = frozenset()
    kept: frozenset[tuple[int, Key]] = frozenset()

    def act(self, act: Act, log: list[FakeRecord | None]) -> None:
        """Do what a person did."""
        waiting = self.parked.pop(act.key)
        if act.offsets:
            staying = [offset for offset in waiting if offset not in act.offsets]
            self.parked |= {act.key: staying} if staying else {}
            return
        before = self.passed_over, self.kept
        self.passed_over, self.kept = act.passed_over, frozenset()
        for offset in waiting:
            record = log[offset]
            assert record is not None
            changes = [change for change in self._changes(record) if change.key == act.key]
            for change in changes:
                self._do(change, offset, any(one.bad for one in changes))
        self.passed_over, self.kept = before

    def _changes(self, record: FakeRecord) -> list[Change]:
        huge = f'"n": {HUGE}'.encode() in (record.value_bytes or b"")
        return [replace(change, bad=change.bad or huge) for change in super()._changes(record)]

    def _do(self, change: Change, offset: int, bad: bool) -> None:
        missing = change.key not in self.rows and change.key not in self.parked and change.rule.on_missing == "Park"
        decided = offset in self.passed_over and (offset, change.key) not in self.kept
        if not decided or not (bad or missing):
            super()._do(change, offset, bad)


class Story:
    """A crew that goes through the steps, and people who decide about what it stands in front of or parks."""

    def __init__(self, log: list[Entry], crew: Crew, most_parked: int = 100) -> None:
        self.rest = list(log)
        self.crew, self.topic, self.target = crew, crew.topic, crew.target
        self.target.refuses = _refuses
        self.target.most_parked = most_parked
        self.acts: list[Act] = []

    def do(self, step: tuple[str, Any]) -> None:
        what, value = step
        ways: dict[str, Callable[[Any], Any]] = {
            "turn": self.crew.turn,
            "turns": self.crew.turns,
            "append": self.append,
            "kill": self.crew.kill,
            "leave": self.crew.leave,
            "stopped": lambda value: self.crew.declare_dead(*value),
            "commit fails": lambda value: setattr(self.crew.hands[value[0]].store, "fault", value[1]),
            "flush": lambda _: self.target.flush(),
            "target away": lambda value: setattr(self.crew.hands[value[0]].store, "unavailable", value[1]),
            "source away": lambda value: setattr(self.crew.hands[value[0]].source, "unavailable", value[1]),
            "discard": lambda _: self.discard(),
            "replay parked": self.replay_parked,
            "discard parked": lambda value: self.discard_parked(*value),
        }
        ways[what](value)

    def append(self, count: int) -> None:
        for entry in self.rest[:count]:
            self.topic.append(entry.partition, entry.record)
        del self.rest[:count]

    def discard(self) -> None:
        for partition, stuck in self.target.stuck.items():
            self.target.discarded[partition, stuck.offset] = "seen in the test"

    def replay_parked(self, index: int) -> None:
        for place in list(people.parked(self.target))[index : index + 1]:
            act = self._act(place, [])
            if people.replay(self.target, self.crew.program, place):
                self.acts.append(act)

    def discard_parked(self, index: int, count: int) -> None:
        for place, offsets in list(people.parked(self.target).items())[index : index + 1]:
            self.acts.append(self._act(place, offsets[:count]))
            people.discard(self.target, place, offsets[:count])

    def _act(self, place: people.Place, offsets: list[int]) -> Act:
        passed_over = frozenset(offset for partition, offset in self.target.discarded if partition == place[0])
        return Act(place[0], self.target.checkpoints[place[0]], place[1], frozenset(offsets), passed_over)

    def end(self) -> None:
        self.append(len(self.rest))
        for _ in range(600):
            self.crew.turns(1)
            self.discard()
            if self.crew.done():
                return
        raise AssertionError(f"not done: {self.target.checkpoints}, {self.target.stuck}")

    def check(self) -> None:
        """Rows, and parked offsets by key, are those of the fold up to the checkpoints."""
        rows: dict[Key, Any] = {}
        waiting: dict[people.Place, list[int]] = {}
        for partition in self.crew.partitions:
            expected = self._expected(partition)
            rows |= expected.rows
            waiting |= {(partition, key): offsets for key, offsets in expected.parked.items()}
            assert {(partition, offset) for offset in expected.refused} <= set(self.target.discarded)
        assert self.target.rows == rows
        assert people.parked(self.target) == waiting

    def _expected(self, partition: Partition) -> Expected:
        log, done = self.topic.partitions[partition.number], 0
        expected = Expected(ORDERS, parks=True)  # a worker that parks no bad events stands before them
        expected.passed_over = frozenset(offset for where, offset in self.target.discarded if where == partition)
        expected.kept = frozenset(
            (park.record.offset(), park.key) for park in self.target.ever_parked if park.partition == partition
        )
        for act in self.acts:
            if act.partition == partition:
                expected.fold([record for record in log[done : act.at] if record is not None])
                done = act.at
                expected.act(act, log)
        rest = log[done : self.target.checkpoints[partition]]
        expected.fold([record for record in rest if record is not None])
        return expected


def _refuses(row: Row) -> bool:
    top = row.get("top")
    return isinstance(top, int) and top >= HUGE


@given(
    LOGS,
    st.lists(STEPS, max_size=40),
    st.sampled_from([1, 2, 5, 1000]),
    st.sampled_from([1, 3, 1000]),
    st.booleans(),
    st.sampled_from([1, 2, 100]),
    st.sampled_from([None, None, Limit(2, lambda: True), Limit(9, lambda: True)]),
)
def test_whatever_happens_the_table_is_the_reference_fold(
    log: list[Entry],
    steps: list[tuple[str, Any]],
    most: int,
    many: int,
    parks: bool,
    most_parked: int,
    limit: Limit | None,
) -> None:
    story = Story(log, Crew(Topic.of(PARTITIONS), WORKERS, most, many, parks, limit=limit), most_parked)
    for step in steps:
        story.do(step)
        story.check()
    story.end()
    story.check()


VISITS = st.lists(st.tuples(st.integers(1, 8), st.integers(0, 3), st.integers(0, 2)), max_size=10)
"""Records that come, and what a person does then: with which of the parked keys, discards (how many) or replays (0)."""


@given(LOGS, VISITS, st.sampled_from([1, 2, 1000]))
def test_workers_learn_what_people_did_with_parked_keys(
    log: list[Entry], visits: list[tuple[int, int, int]], most: int
) -> None:
    story = Story(log, Crew(Topic.of(PARTITIONS), 1, most, 1, parks=True))
    for count, index, discards in visits:
        story.append(count)
        story.crew.turns(4)
        story.check()
        story.discard_parked(index, discards) if discards else story.replay_parked(index)
        story.discard()
    story.end()
    story.check()


@given(st.lists(st.one_of(GOOD, HOLES), max_size=40), st.integers(1, 7))
def test_a_quiet_life_discards_nothing_and_leaves_no_fault(log: list[Entry], most: int) -> None:
    story = Story(log, Crew(Topic.of(PARTITIONS), WORKERS, most, 1000))
    story.end()
    assert story.target.stuck == {}
    assert story.target.discarded == {}
    story.check()
