"""Rows that several workers write: sums that commute, and guards that decide."""

import threading
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import psycopg
import pytest

from projector.fold.delta import Key, Upsert, Writes
from projector.ports import BadRow, Batch, Move
from projector.spec.definition import Definition
from tests.contract.store_contract import FIRST, SECOND, commit, move
from tests.support.deltas import U, upsert, writes
from tests.support.postgres import Database, PostgresBuild, begin, table_rows
from tests.support.specs import definition

Begin = Callable[[Definition], PostgresBuild]

COLUMNS: list[dict[str, Any]] = [
    {"name": "id", "type": "text"},
    {"name": "total", "type": "bigint", "default": "10"},
    {"name": "count", "type": "smallint"},
    {"name": "amount", "type": "numeric", "default": "0.5"},
    {"name": "low", "type": "integer", "default": "5"},
    {"name": "high", "type": "integer"},
]
RULE = {
    "events": ["A"],
    "key": {"id": "event.id"},
    "increment": {"total": "1", "count": "1", "amount": "1"},
    "min": {"low": "1"},
    "max": {"high": "1"},
}
FREE = definition(RULE, columns=COLUMNS)
COMMUTATIVE = Definition.model_validate(FREE.model_dump(by_alias=True) | {"ordering": {"mode": "Commutative"}})
GUARDED = Definition.model_validate(
    definition(
        {"events": ["A"], "key": {"id": "event.id"}, "set": {"name": "event.name"}},
        columns=[
            {"name": "id", "type": "text"},
            {"name": "name", "type": "text"},
            {"name": "rest", "type": "integer", "default": "7"},
        ],
    ).model_dump(by_alias=True)
    | {"ordering": {"mode": "Guarded", "by": "event.version"}}
)


@pytest.fixture(params=[1, 1000], ids=["copy", "arrays"])
def make(database: Database, request: pytest.FixtureRequest) -> Iterator[Begin]:
    made: list[PostgresBuild] = []

    def make_one(what: Definition) -> PostgresBuild:
        made.append(begin(database, what, [FIRST, SECOND], database.role("worker"), copy_from=request.param))
        return made[-1]

    yield make_one
    for build in made:
        build.close()


def together(build: PostgresBuild, batches: Callable[[int], Iterator[Writes]]) -> None:
    """Two workers, each with a partition of its own, commit their batches at the same time."""
    failures: list[BaseException] = []

    def work(number: int) -> None:
        lane = (FIRST, SECOND)[number]
        try:
            store = build.open()
            for position, deltas in enumerate(batches(number)):
                commit(store, [Move(lane, position, position + 1, None)], deltas)
        except BaseException as failure:
            failures.append(failure)
            raise

    threads = [threading.Thread(target=work, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_what_commutes_adds_up_from_several_workers(make: Begin) -> None:
    build = make(COMMUTATIVE)

    def batches(number: int) -> Iterator[Writes]:
        random = Random(number)  # noqa: S311 - the same ones again
        for _ in range(30):
            keys = random.sample(range(200), 100)
            changes = [(1, U, U, number, 1), (U, 2, 1, U, U)]
            yield writes(*(upsert(f"{key}", *changes[key % 2 == 0]) for key in keys))

    together(build, batches)
    written = build.rows()
    sent: dict[Key, int] = {}
    for number in range(2):
        for batch in batches(number):
            for key in batch:
                sent[key] = sent.get(key, 0) + 1
    odd = {key: times for key, times in sent.items() if int(str(key[0])) % 2}
    assert {key: row["total"] for key, row in written.items() if key in odd} == {k: 10 + n for k, n in odd.items()}
    assert all(row["count"] is None and row["low"] in {0, 1} for key, row in written.items() if key in odd)
    even = {key: row for key, row in written.items() if key not in odd}
    assert {key: row["count"] for key, row in even.items()} == {k: 2 * n for k, n in sent.items() if k not in odd}
    assert all((row["total"], row["low"], row["high"]) == (10, 5, None) for row in even.values())


def test_a_part_of_a_commuting_sum_may_exceed_the_column(make: Begin) -> None:
    build = make(COMMUTATIVE)
    store = build.open()
    commit(store, [move(0, 1)], writes(upsert("a", U, -(2**15), U, U, U)))
    commit(store, [move(1, 2)], writes(upsert("a", U, 2**16 - 1, U, U, U)))
    assert build.rows()["a",]["count"] == 2**15 - 1
    with pytest.raises(BadRow, match="out of range"):
        commit(store, [move(2, 3)], writes(upsert("a", U, 1, U, U, U)))


def test_the_greatest_guard_wins_in_any_order(make: Begin) -> None:
    build = make(GUARDED)
    store = build.open()
    commit(store, [move(0, 1)], writes(upsert("a", "third", U, more=[3, False]), upsert("b", "x", U, more=[1, False])))
    commit(store, [move(1, 2)], writes(upsert("a", "second", U, more=[2, False]), upsert("b", U, U, more=[2, True])))
    commit(
        store, [move(2, 3)], writes(upsert("a", "again", U, more=[3, False]), upsert("b", "late", U, more=[2, False]))
    )
    assert visible(build) == {("a",): {"name": "third", "rest": 7}}
    assert store.existing([("a",), ("b",)]) == {("a",)}
    commit(store, [move(3, 4)], writes(upsert("b", None, U, more=[5, False]), upsert("c", U, U, more=[1, True])))
    assert visible(build) == {("a",): {"name": "third", "rest": 7}, ("b",): {"name": None, "rest": 7}}


def visible(build: PostgresBuild) -> dict[Key, dict[str, Any]]:
    """What readers see: the declared columns of rows that are not deleted."""
    if build.registry.observe(build.identity).live_build is None:  # type: ignore[union-attr]
        build.registry.open_catch_up(build.epoch, build.spec.build)
        build.registry.publish(build.epoch, build.spec.build)
    shown = build.database.run("SELECT column_name::text FROM information_schema.columns WHERE table_name = 'orders'")
    assert sorted(name for (name,) in shown) == ["id", "name", "rest"]
    return table_rows(build.database, build.spec.definition, "public.orders")


def test_guarded_rows_of_several_workers_end_at_the_greatest_guard(make: Begin) -> None:
    build = make(GUARDED)

    def change(key: int, guard: int) -> Upsert:
        return upsert(f"{key}", f"{guard}", U, more=[guard, guard % 5 == 0])

    def batches(number: int) -> Iterator[Writes]:
        random = Random(number)  # noqa: S311 - the same ones again
        for _ in range(30):
            yield writes(*(change(key, random.randrange(10**6)) for key in random.sample(range(200), 100)))

    together(build, batches)
    greatest: dict[Key, int] = {}
    for number in range(2):
        for batch in batches(number):
            for key, value in batch.items():
                assert isinstance(value, list)
                greatest[key] = max(greatest.get(key, 0), value[-2])
    assert visible(build) == {k: {"name": f"{g}", "rest": 7} for k, g in greatest.items() if g % 5}


def test_a_deadlock_is_no_bad_data(make: Begin) -> None:
    """Somebody else's transaction holds what we need and needs what we hold: ours is ended, and is sent again."""
    build = make(COMMUTATIVE)
    store = build.open()
    each: Writes = writes(upsert("a", 1, U, U, U, U), upsert("b", 1, U, U, U, U))
    commit(store, [move(0, 1)], each)
    with psycopg.connect(build.database.uri()) as other:
        other.execute("SET deadlock_timeout = '10s'")
        other.execute("SELECT FROM orders__b1 WHERE id = 'b' FOR UPDATE")
        store.submit(Batch([move(1, 2)], each))
        other.execute("SELECT FROM orders__b1 WHERE id = 'a' FOR UPDATE")
        other.rollback()
        store.settle()
    assert {row["total"] for row in build.rows().values()} == {12}
