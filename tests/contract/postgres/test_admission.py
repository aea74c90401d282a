"""What a build takes in after its begin: partitions that were added, and another role of its workers."""

from collections.abc import Iterator

import pytest

from projector.ports import Fenced, Partition, Place
from projector.registry import Deposed, WrongState
from projector.stores.postgres import PostgresStore, load_build
from tests.contract.store_contract import COUNTED, commit, counted, move, park
from tests.support.postgres import ORDERS, Database, PostgresBuild, begin

ADDED = Partition("orders", "id-1", 4)


@pytest.fixture
def build(database: Database) -> Iterator[PostgresBuild]:
    """A build of a worker with a role of its own."""
    made = begin(database, COUNTED, worker=database.role("worker"))
    yield made
    made.close()


def told(build: PostgresBuild) -> list[tuple[str, str]]:
    return [
        (what, detail)
        for what, detail in build.database.run("SELECT what, detail FROM projections.history ORDER BY id")
        if what.endswith("Admitted")
    ]


def test_added_partitions_are_read_from_their_first_offset_and_leave_the_replays_end(build: PostgresBuild) -> None:
    commit(build.open(), [move(0, 1)], counted("a"))
    for _ in range(2):
        build.registry.admit_partitions(build.epoch, build.spec.build, [ADDED, ORDERS[0]])
    view = build.registry.observe(build.identity)
    assert view is not None
    points = {point.partition: point for point in view.builds[0].checkpoints}
    assert set(points) == {*ORDERS, ADDED}
    assert (points[ADDED].next_offset, points[ADDED].start, points[ADDED].replay_end) == (0, 0, 0)
    assert (points[ORDERS[0]].next_offset, points[ORDERS[0]].replay_end) == (1, 1000)
    assert told(build) == [("PartitionAdmitted", "orders/4")]


def test_a_worker_that_starts_then_moves_an_added_partition(build: PostgresBuild) -> None:
    build.registry.admit_partitions(build.epoch, build.spec.build, [ADDED])
    build.spec = load_build(build.database.uri(build.worker), build.spec.build)
    assert build.spec.partitions == {*ORDERS, ADDED}
    store = build.open()
    assert store.positions([ADDED]) == {ADDED: Place(0)}
    commit(store, [move(0, 5, partition=ADDED)], counted("b"))
    assert store.positions([ADDED]) == {ADDED: Place(5)}


def test_nothing_is_taken_in_by_a_build_that_was_given_up_nor_from_a_deposed_operator(build: PostgresBuild) -> None:
    with pytest.raises(Deposed):
        build.registry.admit_partitions(build.epoch - 1, build.spec.build, [ADDED])
    with pytest.raises(Deposed):
        build.registry.admit_worker(build.epoch - 1, build.spec.build, "x")
    build.give_up()
    with pytest.raises(WrongState, match="is Abandoned"):
        build.registry.admit_partitions(build.epoch, build.spec.build, [ADDED])
    with pytest.raises(WrongState, match="is Abandoned"):
        build.registry.admit_worker(build.epoch, build.spec.build, "x")


def test_a_build_is_handed_over_to_another_role_with_all_that_it_has(build: PostgresBuild, database: Database) -> None:
    former = build.open()
    commit(former, [move(0, 1)], counted("a"), [park("p", 0, "broken")])
    successor = database.role("successor")
    for _ in range(2):
        build.registry.admit_worker(build.epoch, build.spec.build, successor)
    uri = database.uri(successor)
    spec = load_build(uri, build.spec.build)
    assert spec.partitions == frozenset(ORDERS)
    with pytest.raises(Fenced):
        commit(former, [move(1, 2)], counted("a"))
    store = PostgresStore(lambda: uri, spec, spec.epoch)
    assert store.positions(ORDERS[:1]) == {ORDERS[0]: Place(1, 0, frozenset({("p",)}))}
    commit(store, [move(1, 2)], counted("a"), [park("p", 1), park("q", 1, "broken")])
    store.close()
    assert told(build) == [("WorkerAdmitted", successor)]
    view = build.registry.observe(build.identity)
    assert view is not None
    assert (view.builds[0].worker_role, view.builds[0].parked_keys) == (successor, 2)
