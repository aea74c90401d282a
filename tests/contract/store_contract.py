"""What every store must hold to; a test class per store inherits it and says how to begin a build."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import pytest

from projector.fold.delta import Delta, Key, Kind, Row, Update, Writes
from projector.ports import BadRow, Batch, Fenced, Move, Park, Partition, Place, Store, Stuck
from projector.spec.definition import Definition
from tests.support.specs import definition

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


StoreFactory = Callable[[Definition], Build]


def counted(key: str, times: int = 1, name: str = "x") -> Writes:
    """What `times` events of a key come to."""
    return {(key,): [0, name, times]}


def commit(store: Store, moves: Sequence[Move], deltas: Writes, parked: Sequence[Park] = ()) -> None:
    """Submit and wait for the outcome."""
    store.submit(Batch(moves, deltas, parked))
    store.settle()


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
