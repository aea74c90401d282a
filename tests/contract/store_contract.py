"""What every store must hold to; a test class per store inherits it and says how to begin a build."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import pytest

from projector.fold.delta import Delta, Key, Kind, Row, Update, Writes
from projector.ports import BadRow, Batch, Fenced, Move, Park, Partition, Place, Store, Stuck, TooManyParked
from projector.spec.definition import Definition
from tests.support.deltas import U, upsert, writes
from tests.support.records import event
from tests.support.specs import definition
from tests.support.wait import until

FIRST, SECOND = Partition("orders", "id-1", 0), Partition("orders", "id-1", 1)

COUNTED = definition(
    {"events": ["A"], "key": {"id": "event.id"}, "increment": {"total": "1"}, "set": {"name": "event.name"}},
    columns=[
        {"name": "id", "type": "text"},
        {"name": "name", "type": "text"},
        {"name": "total", "type": "bigint", "default": "0"},
    ],
)


class Build(Protocol):
    """A build that was just begun with checkpoints at 0 for FIRST and SECOND."""

    def open(self) -> Store:
        """A store as one of the build's workers has it; several may be open."""
        ...

    def rows(self) -> dict[Key, Row]:
        """All rows."""
        ...

    def give_up(self) -> None:
        """Abandon the build."""
        ...

    def discard(self, partition: Partition, offset: int) -> None:
        """Decide that an event is to be passed over."""
        ...

    def stuck(self) -> Mapping[Partition, tuple[int, str]]:
        """Partitions that stand still, with offset and message."""
        ...

    def parked(self) -> Mapping[tuple[Partition, Key], list[tuple[int, str]]]:
        """Parked events: offset and reason by partition and key."""
        ...

    def unpark(self, partition: Partition, key: Key) -> None:
        """Pass over all parked events of a key, as a person may."""
        ...


MOST_PARKED = 3
"""Parked keys that a build of these tests may have."""

StoreFactory = Callable[[Definition], Build]


def counted(key: str, times: int = 1, name: str = "x") -> Writes:
    """What `times` events of a key come to."""
    return writes(upsert(key, name, times))


def commit(store: Store, moves: Sequence[Move], deltas: Writes, parked: Sequence[Park] = ()) -> None:
    """Submit and wait for the outcome."""
    store.submit(Batch(moves, deltas, parked))
    store.settle()


def park(key: str, offset: int, reason: str = "", partition: Partition = FIRST) -> Park:
    """An event of a key to keep aside."""
    return Park(partition, (key,), event("A", {"id": key}, offset), reason)


def places(**offsets: int) -> dict[Partition, Place]:
    """Checkpoints with nothing parked."""
    return {{"first": FIRST, "second": SECOND}[name]: Place(offset) for name, offset in offsets.items()}


def move(previous: int, following: int, partition: Partition = FIRST) -> Move:
    """A move without an event time."""
    return Move(partition, previous, following, None)


class StoreContract:
    """Inherit, and give the fixture `store_factory`."""

    @pytest.fixture
    def build(self, store_factory: StoreFactory) -> Build:
        return store_factory(COUNTED)

    @pytest.fixture
    def store(self, build: Build) -> Store:
        return build.open()

    def test_positions_begin_where_the_build_began(self, store: Store) -> None:
        assert store.positions([FIRST, SECOND]) == places(first=0, second=0)

    def test_a_commit_moves_rows_and_checkpoints(self, build: Build, store: Store) -> None:
        commit(store, [move(0, 3), move(0, 7, SECOND)], counted("a", 2) | counted("b"))
        commit(store, [move(3, 4)], counted("a", 5, "y"))
        assert store.positions([FIRST, SECOND]) == places(first=4, second=7)
        assert build.rows() == {("a",): {"total": 7, "name": "y"}, ("b",): {"total": 1, "name": "x"}}

    def test_a_commit_may_only_move(self, build: Build, store: Store) -> None:
        commit(store, [move(0, 9)], {})
        assert store.positions([FIRST]) == places(first=9)
        assert build.rows() == {}

    def test_a_commit_from_another_offset_is_fenced_and_changes_nothing(self, build: Build, store: Store) -> None:
        commit(store, [move(0, 3)], counted("a"))
        with pytest.raises(Fenced):
            commit(store, [move(2, 4)], counted("a"))
        assert build.rows() == {("a",): {"total": 1, "name": "x"}}
        assert store.positions([FIRST]) == places(first=3)

    def test_a_fenced_first_commit_does_not_spoil_the_next(self, build: Build, store: Store) -> None:
        with pytest.raises(Fenced):
            commit(store, [move(5, 6)], counted("a"))
        commit(store, [move(0, 1)], counted("a"))
        assert build.rows() == {("a",): {"total": 1, "name": "x"}}

    def test_one_wrong_move_of_several_fences_all(self, build: Build, store: Store) -> None:
        with pytest.raises(Fenced):
            commit(store, [move(0, 3), move(1, 2, SECOND)], counted("a"))
        assert store.positions([FIRST, SECOND]) == places(first=0, second=0)
        assert build.rows() == {}

    def test_of_two_workers_with_one_partition_the_second_is_fenced(self, build: Build) -> None:
        zombie, owner = build.open(), build.open()
        assert zombie.positions([FIRST]) == owner.positions([FIRST]) == places(first=0)
        commit(owner, [move(0, 2)], counted("a", 2))
        with pytest.raises(Fenced):
            commit(zombie, [move(0, 1)], counted("a"))
        assert build.rows() == {("a",): {"total": 2, "name": "x"}}

    def test_workers_with_different_partitions_do_not_disturb_each_other(self, build: Build) -> None:
        one, other = build.open(), build.open()
        commit(one, [move(0, 1)], counted("a"))
        commit(other, [move(0, 1, SECOND)], counted("b"))
        commit(one, [move(1, 2)], counted("a"))
        assert build.open().positions([FIRST, SECOND]) == places(first=2, second=1)

    def test_workers_of_a_build_that_was_given_up_are_fenced(self, build: Build, store: Store) -> None:
        commit(store, [move(0, 1)], counted("a"))
        build.give_up()
        with pytest.raises(Fenced):
            commit(store, [move(1, 2)], counted("a"))
        with pytest.raises(Fenced):
            store.positions([FIRST])
        with pytest.raises(Fenced):
            store.report_stuck(Stuck(FIRST, 1, "why"))
        assert build.rows() == {("a",): {"total": 1, "name": "x"}}

    def test_a_partition_without_checkpoint_is_fenced(self, store: Store) -> None:
        unknown = [Partition("orders", "id-1", 99), Partition("orders", "id-2", 0)]
        for partition in unknown:
            with pytest.raises(Fenced):
                store.positions([FIRST, partition])
            with pytest.raises(Fenced):
                commit(store, [move(0, 1), move(0, 1, partition)], {})

    def test_a_row_that_does_not_fit_moves_nothing(self, build: Build, store: Store) -> None:
        commit(store, [move(0, 1)], counted("a", 2**63 - 1))
        with pytest.raises(BadRow):
            commit(store, [move(1, 2)], counted("b") | counted("a"))
        assert store.positions([FIRST]) == places(first=1)
        assert build.rows() == {("a",): {"total": 2**63 - 1, "name": "x"}}

    def test_each_branch_of_a_delta(self, build: Build, store: Store) -> None:
        present: Writes = {(key,): Delta({"name": "old", "total": 1}, None) for key in "abcde"}
        commit(store, [move(0, 1)], present)
        changes: Writes = {}
        for key in ("a", "A"):
            changes[key,] = Delta(None, None)
        for key in ("b", "B"):
            changes[key,] = Delta(None, Update({"total": (Kind.ADD, 1)}))
        for key in ("c", "C"):
            changes[key,] = Delta({"name": "created", "total": 7}, Update({"total": (Kind.ADD, 1)}))
        for key in ("d", "D"):
            changes[key,] = Delta({"name": "created", "total": 0}, None)
        for key in ("e", "E"):
            changes[key,] = Delta({"name": "created", "total": 0}, Update({"name": (Kind.SET, "only")}, replace=True))
        commit(store, [move(1, 2)], changes)
        assert build.rows() == {
            ("b",): {"name": "old", "total": 2},
            ("c",): {"name": "old", "total": 2},
            ("C",): {"name": "created", "total": 7},
            ("D",): {"name": "created", "total": 0},
            ("e",): {"name": "only", "total": 0},
            ("E",): {"name": "created", "total": 0},
        }

    def test_only_what_was_discarded_is_discarded(self, build: Build, store: Store) -> None:
        build.discard(FIRST, 5)
        build.discard(FIRST, 5)
        assert store.discarded(FIRST, 5)
        assert not store.discarded(FIRST, 4)
        assert not store.discarded(SECOND, 5)
        assert not store.discarded(Partition("orders", "id-2", 0), 5)

    def test_why_a_partition_stands_still_is_kept_until_it_goes_on(self, build: Build, store: Store) -> None:
        for _ in range(2):
            store.report_stuck(Stuck(FIRST, 0, "event.id is missing"))
        assert build.stuck() == {FIRST: (0, "event.id is missing")}
        store.clear_stuck(FIRST)
        store.clear_stuck(FIRST)
        assert build.stuck() == {}

    def test_a_batch_is_on_its_way_until_it_is_settled(self, build: Build, store: Store) -> None:
        store.submit(Batch([move(0, 3)], counted("a", 3)))
        with pytest.raises(RuntimeError):
            store.submit(Batch([move(3, 4)], counted("a")))
        until("the outcome is known", store.ready, bool, 5, 0.005)
        store.settle()
        assert store.ready()
        assert build.rows() == {("a",): {"total": 3, "name": "x"}}

    def test_other_calls_wait_for_the_outcome_which_is_kept(self, build: Build, store: Store) -> None:
        store.submit(Batch([move(0, 3)], counted("a", 3)))
        assert store.positions([FIRST]) == places(first=3)
        assert store.existing([("a",), ("b",)]) == {("a",)}
        store.settle()
        store.submit(Batch([move(1, 2)], counted("a")))
        store.report_stuck(Stuck(FIRST, 3, "why"))
        assert not store.discarded(FIRST, 3)
        with pytest.raises(Fenced):
            store.settle()
        store.settle()
        assert build.rows() == {("a",): {"total": 3, "name": "x"}}

    def test_a_batch_that_is_left_on_its_way_happens_wholly_or_not_at_all(self, build: Build) -> None:
        for position in range(5):
            leaving = build.open()
            before = leaving.positions([FIRST])[FIRST].offset
            leaving.submit(Batch([move(before, before + 1)], counted("a") | counted(f"{position}")))
            leaving.close()
        # Whatever is still on its way is over when a commit of somebody else went through.
        closer = build.open()
        until("nobody moves the checkpoint", lambda: _moved(closer), bool, 10, 0.01)
        total = closer.positions([FIRST])[FIRST].offset
        assert sum(int(str(row["total"])) for key, row in build.rows().items() if key == ("a",)) == total

    def test_existing_keys(self, store: Store) -> None:
        commit(store, [move(0, 1)], counted("a") | counted("b"))
        assert store.existing([]) == frozenset()
        assert store.existing([("b",), ("c",), ("a",)]) == {("a",), ("b",)}

    def test_untouched_columns_keep_what_they_have_or_get_their_default(self, build: Build, store: Store) -> None:
        commit(store, [move(0, 1)], writes(upsert("a", "x", U), upsert("b", U, 2)))
        assert build.rows() == {("a",): {"name": "x", "total": 0}, ("b",): {"name": None, "total": 2}}
        commit(store, [move(1, 2)], writes(upsert("a", U, 5), upsert("b", None, U)))
        assert build.rows() == {("a",): {"name": "x", "total": 5}, ("b",): {"name": None, "total": 2}}
        commit(
            store,
            [move(2, 3)],
            writes(
                upsert("a", "y", 1, absolute=[1]), upsert("b", U, None, absolute=[1]), upsert("c", U, 9, absolute=[1])
            ),
        )
        expected = {("a",): {"name": "y", "total": 1}, ("b",): {"name": None, "total": None}}
        assert build.rows() == expected | {("c",): {"name": None, "total": 9}}

    def test_parked_events_are_kept_and_told_with_the_position(self, build: Build, store: Store) -> None:
        events = [park("a", 0, "it is broken"), park("a", 1), park("b", 0, "so is this", SECOND)]
        commit(store, [move(0, 2), move(0, 1, SECOND)], counted("c"), events)
        told = build.open().positions([FIRST, SECOND])
        assert told == {FIRST: Place(2, 0, frozenset({("a",)})), SECOND: Place(1, 0, frozenset({("b",)}))}
        assert build.rows() == {("c",): {"total": 1, "name": "x"}}
        commit(store, [move(2, 3)], {}, [park("a", 2)])
        assert build.parked() == {
            (FIRST, ("a",)): [(0, "it is broken"), (1, ""), (2, "")],
            (SECOND, ("b",)): [(0, "so is this")],
        }

    def test_parked_events_of_a_commit_that_failed_are_not_kept(self, build: Build, store: Store) -> None:
        with pytest.raises(Fenced):
            commit(store, [move(1, 2)], {}, [park("a", 1, "why")])
        with pytest.raises(BadRow):
            commit(store, [move(0, 1)], writes(upsert("b", "x", 2**63)), [park("a", 0, "why")])
        assert build.parked() == {}
        assert store.positions([FIRST]) == places(first=0)

    def test_no_more_keys_are_parked_than_allowed(self, build: Build, store: Store) -> None:
        for number in range(MOST_PARKED):
            commit(store, [move(number, number + 1)], {}, [park(f"{number}", number, "why")])
        with pytest.raises(TooManyParked, match=rf"would have {MOST_PARKED + 1} parked keys.* allows {MOST_PARKED}"):
            commit(store, [move(MOST_PARKED, MOST_PARKED + 1)], counted("a"), [park("one more", MOST_PARKED, "why")])
        assert build.rows() == {}
        commit(store, [move(MOST_PARKED, MOST_PARKED + 1)], counted("a"), [park("0", MOST_PARKED)])
        assert len(store.positions([FIRST])[FIRST].parked) == MOST_PARKED

    def test_a_worker_that_knows_of_another_generation_is_fenced(self, build: Build, store: Store) -> None:
        commit(store, [move(0, 1)], {}, [park("a", 0, "why")])
        build.unpark(FIRST, ("a",))
        with pytest.raises(Fenced):
            commit(store, [move(1, 2)], {}, [park("a", 1)])
        assert store.positions([FIRST]) == {FIRST: Place(1, 1)}
        commit(store, [Move(FIRST, 1, 2, None, generation=1)], counted("a"))
        assert build.parked() == {}


def _moved(store: Store) -> bool:
    offset = store.positions([FIRST])[FIRST].offset
    try:
        commit(store, [move(offset, offset + 1)], counted("a"))
    except Fenced:
        return False
    return True
