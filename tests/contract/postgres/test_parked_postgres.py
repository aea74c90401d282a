"""What people do with parked events, and that a worker notices."""

import json

import psycopg
import pytest
from psycopg import errors

from projector.fold.compile import compile_definition
from projector.fold.delta import Delta
from projector.fold.program import Program
from projector.parked import replayed
from projector.ports import BadRow, Fenced, Park, Place, StoreUnavailable
from projector.registry import ParkedChanged, RegistryError, Waiting
from projector.stores.postgres import grants, migrate
from tests.contract.store_contract import COUNTED, FIRST, commit, counted, move, park
from tests.support.deltas import upsert
from tests.support.postgres import Database, PostgresBuild, begin
from tests.support.projector import projector
from tests.support.records import FakeRecord, event

KEY = ("a",)


@pytest.fixture
def program() -> Program:
    return compile_definition(COUNTED)


def park_records(build: PostgresBuild, *records: FakeRecord) -> Waiting:
    """Park the records under one key, the first as the bad one."""
    parked = [Park(FIRST, KEY, record, "it is broken" if index == 0 else "") for index, record in enumerate(records)]
    store = build.open()
    position = store.positions([FIRST])[FIRST].offset
    commit(store, [move(position, records[-1].offset() + 1)], {}, parked)
    return build.waiting(FIRST, KEY)


def named(name: object, offset: int) -> FakeRecord:
    return event("A", {"id": "a", "name": name}, offset)


def test_records_come_back_as_they_were(build: PostgresBuild) -> None:
    records = [
        FakeRecord(b"\x00\xff", (("n\0", b"\x00"), ("n", None), ("ce_type", "ß".encode())), b"", 5, 0),
        FakeRecord(None, (), None, None, 1),
    ]
    read = park_records(build, *records).records
    for given, got in zip(records, read, strict=True):
        for what in ("topic", "partition", "offset", "timestamp", "key", "value"):
            assert getattr(got, what)() == getattr(given, what)()
        assert got.headers() == (given.headers() or [])
    assert [one.reason for one in read] == ["it is broken", ""]


def test_a_mended_key_is_replayed_in_order_and_the_worker_goes_on(build: PostgresBuild, program: Program) -> None:
    store = build.open()
    waiting = park_records(build, named("x", 0), named("y", 1))
    delta, staying = replayed(program, waiting)
    assert staying == []
    build.parking.replay(waiting, delta, staying)
    assert build.rows() == {KEY: {"name": "y", "total": 2}}
    assert build.parked() == {}
    with pytest.raises(Fenced):
        commit(store, [move(2, 3)], {}, [park("a", 2)])
    assert store.positions([FIRST]) == {FIRST: Place(2, 1)}


def test_what_still_cannot_be_applied_stays_with_all_behind_it(build: PostgresBuild, program: Program) -> None:
    commit(build.open(), [move(0, 1)], counted("a"))
    waiting = park_records(build, named("x", 1), named(7, 2), named("y", 3))
    delta, staying = replayed(program, waiting)
    build.parking.replay(waiting, delta, staying)
    assert build.rows() == {KEY: {"name": "x", "total": 2}}
    ((second, reason), third) = build.parked()[FIRST, KEY]
    assert (second, third) == (2, (3, ""))
    assert "event.name" in reason
    (listed,) = build.parking.keys(build.identity)
    assert (listed.events, listed.first_offset, listed.reason) == (2, 2, reason)
    assert build.open().positions([FIRST])[FIRST].parked == {KEY}


def test_an_event_that_is_discarded_lets_the_rest_go_on(build: PostgresBuild, program: Program) -> None:
    waiting = park_records(build, named(7, 0), named("x", 1))
    build.parking.discard(waiting, [0], "it was a test")
    assert build.open().discarded(FIRST, 0)
    assert build.parked() == {(FIRST, KEY): [(1, "")]}
    waiting = build.waiting(FIRST, KEY)
    build.parking.replay(waiting, *replayed(program, waiting))
    assert build.rows() == {KEY: {"name": "x", "total": 1}}
    assert build.database.run("SELECT reason, who <> '' FROM projections.discarded") == [("it was a test", True)]


def test_an_event_discarded_by_position_is_passed_over_in_a_replay(build: PostgresBuild, program: Program) -> None:
    park_records(build, named(7, 0), named("x", 1))
    build.discard(FIRST, 0)
    delta, staying = replayed(program, build.waiting(FIRST, KEY))
    assert (delta, staying) == (upsert(KEY, "x", 1), [])


def test_what_changed_since_it_was_read_is_refused(build: PostgresBuild) -> None:
    waiting = park_records(build, named("x", 0))
    commit(build.open(), [move(1, 2)], {}, [park("a", 1)])
    with pytest.raises(ParkedChanged, match="has changed meanwhile"):
        build.parking.replay(waiting, upsert(KEY, "x", 1), [])
    with pytest.raises(ParkedChanged, match="has changed meanwhile"):
        build.parking.discard(waiting, [0], "why")
    assert build.rows() == {}
    assert build.parked() == {(FIRST, KEY): [(0, "it is broken"), (1, "")]}
    listed = build.parking.keys(build.identity)[0]
    build.unpark(FIRST, KEY)
    with pytest.raises(ParkedChanged, match="is not parked any more"):
        build.parking.read(listed)


def test_of_two_people_one_replays(build: PostgresBuild) -> None:
    waiting = park_records(build, named("x", 0))
    build.parking.replay(waiting, upsert(KEY, "x", 1), [])
    with pytest.raises(ParkedChanged):
        build.parking.replay(waiting, upsert(KEY, "x", 1), [])
    assert build.rows() == {KEY: {"name": "x", "total": 1}}


def test_a_row_that_does_not_fit_changes_nothing(build: PostgresBuild) -> None:
    waiting = park_records(build, named("x", 0))
    with pytest.raises(BadRow, match="out of range for bigint"):
        build.parking.replay(waiting, Delta({"total": 2**63}, None), [])
    assert build.parked() == {(FIRST, KEY): [(0, "it is broken")]}
    assert build.open().positions([FIRST])[FIRST].generation == 0


def test_a_replay_waits_for_the_lane_in_bounds(build: PostgresBuild) -> None:
    waiting = park_records(build, named("x", 0))
    with psycopg.connect(build.database.uri()) as holder:
        holder.execute("SELECT FROM projections.checkpoint FOR UPDATE")
        with pytest.raises(StoreUnavailable, match="lock timeout"):
            build.parking.replay(waiting, upsert(KEY, "x", 1), [])
    build.parking.replay(waiting, upsert(KEY, "x", 1), [])


def test_the_registry_counts_parked_keys_and_forgets_them_with_the_build(build: PostgresBuild) -> None:
    park_records(build, named("x", 0))
    view = build.registry.observe(build.identity)
    assert view is not None
    assert view.builds[-1].parked_keys == 1
    build.give_up()
    assert build.parking.keys(build.identity) == []
    build.registry.retire(build.epoch, build.spec.build)
    assert build.database.run("SELECT count(*) FROM projections.parked_event") == [(0,)]


def test_keys_of_any_length_are_parked(build: PostgresBuild) -> None:
    text = "".join(chr(0x4E00 + number * 7919 % 20000) for number in range(5000))
    store = build.open()
    commit(store, [move(0, 1)], {}, [park(text, 0, "too long"), park("a\0b\ud800", 0, "not text \0")])
    assert store.positions([FIRST])[FIRST].parked == {(text,), ("a\0b\ud800",)}


def test_workers_of_the_release_before_stop_at_parked_keys(build: PostgresBuild) -> None:
    """Their `projections.move` knows nothing of generations, and they nothing of what is parked."""
    old = "SELECT projections.move(%s, 1, %s, %s::int[], %s::bigint[], %s::bigint[], %s::timestamptz[])"

    def moved(previous: int) -> None:
        values = (build.spec.build, [FIRST.topic_id], [0], [previous], [previous + 1], [None])
        build.database.run(old, *values, role=build.worker)

    moved(0)
    commit(build.open(), [move(1, 2)], {}, [park("a", 1, "why")])
    with pytest.raises(psycopg.Error, match="not where this worker left them"):
        moved(2)
    build.unpark(FIRST, KEY)
    moved(2)


def test_builds_that_the_release_before_began_park_too(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    first, *later = migrate._migrations()
    with monkeypatch.context() as before:
        before.setattr(migrate, "_migrations", lambda: iter([first]))
        before.setattr(grants, "_RIGHTS", tuple(r for r in grants._RIGHTS if "parked" not in r.as_string()))
        build = begin(database, COUNTED, [FIRST], database.role("worker"))
        with pytest.raises(RegistryError, match="older release"):
            build.registry.observe(build.identity)
    build.registry.take_leadership("the next release")
    done = database.run("SELECT number FROM projections.migration ORDER BY number")
    assert done == [(number,) for number, _ in [first, *later]]
    assert [one.reason for one in park_records(build, named(7, 0), named("x", 1)).records] == ["it is broken", ""]
    build.close()


def test_a_lane_has_one_checkpoint(build: PostgresBuild) -> None:
    with pytest.raises(errors.UniqueViolation, match="has a checkpoint for partition 0 of topic orders"):
        build.database.run("INSERT INTO projections.checkpoint SELECT * FROM projections.checkpoint")


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM projections.parked_key",
        "DELETE FROM projections.parked_event",
        "UPDATE projections.parked_event SET reason = ''",
        "UPDATE projections.checkpoint SET parked_generation = 9",
    ],
)
def test_a_worker_cannot_let_go_of_what_is_parked(build: PostgresBuild, statement: str) -> None:
    with pytest.raises(errors.InsufficientPrivilege):
        build.database.run(statement, role=build.worker)


def test_a_worker_parks_for_its_own_builds_only(build: PostgresBuild) -> None:
    other = build.database.role("other")
    theirs = begin(build.database, COUNTED, [FIRST], other, name="theirs")
    park_records(theirs, named("x", 0))
    theirs.close()
    number = theirs.spec.build
    assert build.database.run("SELECT FROM projections.parked_event", role=build.worker) == []
    insert, values = "INSERT INTO projections.parked_key", "'t', 'i', 0, 'd', '[]', 0, ''"
    columns = "build, topic, topic_id, partition, key_digest, key, first_offset, reason"
    with pytest.raises(errors.InsufficientPrivilege, match="row-level security"):
        build.database.run(f"{insert} ({columns}) VALUES ({number}, {values})", role=build.worker)
    mine = f"VALUES ({build.spec.build}, {values}, '{other}')"
    with pytest.raises(errors.InsufficientPrivilege, match="row-level security"):
        build.database.run(f"{insert} ({columns}, worker_role) {mine}", role=build.worker)


def _command(build: PostgresBuild, *arguments: str) -> tuple[int, str, str]:
    place = ("--namespace", "shop", "--name", "orders", "--installation", build.identity.installation)
    command, *rest = arguments
    done = projector("parked", command, *place, "--target-uri", build.database.uri(), *rest, environment={})
    return done.returncode, done.stdout, done.stderr


def test_the_commands_for_people(build: PostgresBuild) -> None:
    assert _command(build, "list") == (0, "nothing is parked\n", "")
    park_records(build, named(7, 0), named("x", 1))
    code, out, _ = _command(build, "list")
    assert code == 0
    assert [line.split()[:5] for line in out.splitlines()] == [
        ["KEY", "BUILD", "PARTITION", "OFFSET", "EVENTS"],
        ['["a"]', str(build.spec.build), "orders/0", "0", "2"],
    ]
    code, out, _ = _command(build, "show", "--key", '["a"]')
    assert "orders/0 offset 0: it is broken\n  header ce_type: A\n" in out
    assert "orders/0 offset 1: waits behind the one before\n" in out
    assert '  value: {"id": "a", "name": "x"}\n' in out
    shown = json.loads(_command(build, "show", "--key", '["a"]', "-o", "json")[1])
    assert [record["offset"] for record in shown["records"]] == [0, 1]
    code, out, err = _command(build, "replay", "--key", '["a"]')
    assert (code, out) == (2, "")
    assert err.startswith("target: offset 0 still cannot be applied: event.name")
    code, out, _ = _command(build, "discard", "--key", '["a"]', "--offset", "0", "--reason", "a test")
    assert out == '1 of 2 events of key ["a"] discarded\n1 stay parked, the first at offset 1; replay them\n'
    assert _command(build, "replay", "--key", '["a"]') == (0, '1 of 1 events of key ["a"] applied\n', "")
    assert build.rows() == {KEY: {"name": "x", "total": 1}}
    assert _command(build, "list", "-o", "json") == (0, "[]\n", "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("show", "--key", "o-1"), "--key o-1: it must be a JSON array, in the shell such as '[\"o-1\"]'"),
        (("replay", "--key", '["b"]'), '--key ["b"]: it is not parked; see `projector parked list`'),
        (("discard", "--key", '["a"]', "--reason", "x"), "say which events: either --offset, once for each, or --all"),
        (
            ("discard", "--key", '["a"]', "--offset", "9", "--reason", "x"),
            '--offset 9: no such event is parked under key ["a"]',
        ),
        (
            ("discard", "--key", '["a"]', "--all", "--reason", " "),
            "--reason is empty; it is all that later readers will know",
        ),
    ],
)
def test_what_the_commands_refuse(build: PostgresBuild, arguments: tuple[str, ...], message: str) -> None:
    park_records(build, named(7, 0))
    assert _command(build, *arguments) == (2, "", message + "\n")
