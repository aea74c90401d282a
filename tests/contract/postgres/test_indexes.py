"""Secondary indexes on a real server: of tables that nobody reads yet, and of tables in use."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from projector.indexes import Indexes
from projector.ports import StoreUnavailable
from projector.registry import BuildState, Deposed, Ending, SwapTerms, WrongState
from projector.spec.check_indexes import serves
from projector.spec.models import Index
from projector.stores.postgres import PostgresRegistry
from projector.stores.postgres.indexes import index_name
from tests.support.indexes import (
    TOTAL,
    behind_a_snapshot,
    behind_a_writer,
    make,
    seen,
    sessions,
    state,
    until_session,
    until_under_way,
    valid,
    writing,
)
from tests.support.postgres import INSTALLATION, Database, PostgresBuild, begin
from tests.support.specs import COLUMNS, definition
from tests.support.swaps import FOLLOWED, Log, followed, publish, read_by, swapped, version
from tests.support.wait import until

BRIN = Index(columns=("total",), method="brin")
PAIR = Index(columns=("total", "id"))


@pytest.fixture
def shadow(database: Database) -> Iterator[PostgresBuild]:
    """A build that replays, with a worker of its own role."""
    made = begin(database, FOLLOWED, worker=database.role("worker"))
    yield made
    made.close()


@pytest.fixture
def live(shadow: PostgresBuild) -> PostgresBuild:
    """The same, live."""
    publish(shadow)
    return shadow


@pytest.fixture
def rival(database: Database) -> Iterator[PostgresRegistry]:
    """Another operator of the installation."""
    made = PostgresRegistry(database.uri(), INSTALLATION)
    yield made
    made.close()


def fill(build: PostgresBuild, rows: int) -> None:
    build.database.run("INSERT INTO orders__b1 SELECT n::text, n FROM generate_series(1, %s) n", rows)


def history(build: PostgresBuild) -> list[tuple[str, str]]:
    return [
        (str(what), str(detail))
        for what, detail in build.database.run("SELECT what, detail FROM projections.history ORDER BY id")
        if str(what).startswith("Index")
    ]


def test_each_method_makes_an_index_of_each_type_that_it_serves(database: Database) -> None:
    wanted = [
        Index(columns=(column["name"],), method=method)
        for method in ("btree", "hash", "brin", "gin")
        for column in COLUMNS[1:]
        if serves(method, column["type"])
    ]
    wanted += [Index(columns=("day", "name", "total")), Index(columns=("at", "day"), method="brin")]
    with closing(begin(database, definition())) as build:
        make(build, *wanted)
        assert valid(build) == set(wanted)
        methods = database.run(
            "SELECT a.amname, count(*) FROM pg_class c JOIN pg_am a ON a.oid = c.relam "
            "WHERE c.relname LIKE 'orders\\_\\_b1\\_i\\_%%' GROUP BY 1 ORDER BY 1"
        )
        assert methods == [("brin", 9), ("btree", 10), ("gin", 1), ("hash", 9)]


def test_a_shadow_gets_indexes_then_statistics_and_then_its_catch_up(shadow: PostgresBuild) -> None:
    fill(shadow, 1000)
    assert seen(shadow) == Indexes()
    make(shadow, TOTAL, BRIN)
    assert valid(shadow) == {TOTAL, BRIN}
    assert seen(shadow).analyzed_at is not None
    assert shadow.database.run("SELECT reltuples FROM pg_class WHERE relname = 'orders__b1'") == [(1000,)]
    publish(shadow)
    assert history(shadow) == [("IndexBuilt", "(total)"), ("IndexBuilt", "brin (total)")]
    ((explained,), *_) = shadow.database.run("EXPLAIN SELECT FROM orders WHERE total = 7")
    assert index_name("orders__b1", TOTAL) in explained


def test_what_is_there_is_not_made_again(live: PostgresBuild) -> None:
    make(live, TOTAL)
    oids = "SELECT oid FROM pg_class WHERE relname LIKE 'orders__b1_i_%%' ORDER BY oid"
    before = live.database.run(oids)
    make(live, TOTAL)
    assert live.database.run(oids) == before
    assert history(live) == [("IndexBuilt", "(total)")]


def test_a_live_table_gets_and_loses_indexes_in_place(live: PostgresBuild) -> None:
    make(live, TOTAL, PAIR)
    make(live, BRIN, PAIR, needless=[TOTAL])
    assert valid(live) == {BRIN, PAIR}
    make(live, needless=[TOTAL, BRIN, PAIR])
    assert seen(live).made == ()
    assert seen(live).analyzed_at is None


def test_indexes_of_others_are_not_ours(live: PostgresBuild) -> None:
    for name in ("by_total", "orders__b2_i_0123abcd", "orders__b1_i_0123abc", "orders__b1_i_0123ABCD"):
        live.database.run(f'CREATE INDEX "{name}" ON orders__b1 (total)')
    live.database.run("CREATE TABLE other (total bigint)")
    live.database.run("CREATE INDEX another__b1_i_0123abcd ON other (total)")
    assert seen(live).made == ()
    make(live, TOTAL)
    assert valid(live) == {TOTAL}
    survey = live.registry.survey(live.identity)
    assert survey is not None
    assert len(survey.unmanaged) == 4
    assert index_name("orders__b1", TOTAL) not in {one.name for one in survey.unmanaged}


def test_what_somebody_made_under_one_of_our_names_gives_way(live: PostgresBuild) -> None:
    name = index_name("orders__b1", TOTAL)
    live.database.run(f"CREATE INDEX {name} ON orders__b1 (id, total)")
    live.database.run("CREATE INDEX orders__b1_i_0123abcd ON orders__b1 USING gist (box(point(total, 1), point(1, 1)))")
    odd = {one.index.method for one in seen(live).made}
    assert odd == {"btree", "gist"}
    assert TOTAL not in valid(live)
    make(live, TOTAL, needless=seen(live).needless([TOTAL]))
    assert [one.index for one in seen(live).made] == [TOTAL]


def test_writers_and_readers_go_on_while_an_index_of_the_live_table_is_made(live: PostgresBuild) -> None:
    fill(live, 50_000)
    wanted = (TOTAL, PAIR, Index(columns=("id",), method="hash"))
    with followed(Log(), [(live, 0.0)]), read_by(live.database.uri(), 3) as readers:
        until("they are at work", lambda: min(reader.reads for reader in readers), lambda reads: reads > 1, 30)
        with behind_a_writer(live, lambda: make(live, *wanted)) as (task, _):
            until_under_way(live)
            for _ in range(3):
                position = sum(live_offsets(live))
                until("the worker moves", lambda: sum(live_offsets(live)), lambda at: at > position, 2)  # noqa: B023
        task.result()
    assert valid(live) == set(wanted)
    assert [reader.errors for reader in readers] == [[], [], []]
    assert sum(reader.back for reader in readers) == 0


def live_offsets(build: PostgresBuild) -> list[int]:
    return [at for (at,) in build.database.run("SELECT next_offset FROM projections.checkpoint WHERE build = 1")]


def test_it_is_told_what_a_concurrent_index_waits_for(live: PostgresBuild) -> None:
    make(live, TOTAL)
    with behind_a_writer(live, lambda: make(live, PAIR)) as (task, _):
        found = until("it waits", lambda: seen(live).under_way, lambda one: bool(one and one.waits_for), 15)
        assert found is not None
        assert found.percent == 0
        assert found.waits_for is not None
        assert found.waits_for.endswith("(a writer)")
        assert [(one.index, one.valid) for one in seen(live).made if one.index == PAIR] == [(PAIR, False)]
        # It waits longer than any lock may be waited for where others would queue behind it.
        time.sleep(2.5)
        assert not task.done()
        began = time.monotonic()
        live.database.run("INSERT INTO orders__b1 (id) VALUES ('another')")
        live.database.run("SELECT FROM orders")
        assert time.monotonic() - began < 1
    task.result()
    assert PAIR in valid(live)


def test_a_session_that_is_killed_leaves_an_invalid_index_that_is_made_anew(live: PostgresBuild) -> None:
    with behind_a_writer(live, lambda: make(live, TOTAL)) as (task, _):
        until_under_way(live)
        (pid,) = sessions(live)
        live.database.run("SELECT pg_terminate_backend(%s)", pid)
        with pytest.raises(StoreUnavailable):
            task.result()
    assert [(one.index, one.valid) for one in seen(live).made] == [(TOTAL, False)]
    assert seen(live).failures == ()
    make(live, TOTAL)
    assert valid(live) == {TOTAL}
    assert history(live) == [("IndexBuilt", "(total)")]


_TASK = """
import sys
from projector.spec.models import Index
from projector.stores.postgres import PostgresRegistry
uri, installation, epoch = sys.argv[1:]
PostgresRegistry(uri, installation).build_indexes(int(epoch), 1, [Index(columns=("total",))], [], analyze=False)
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_a_process_that_is_gone_or_stopped(live: PostgresBuild, how: signal.Signals) -> None:
    """One that is gone lets go in seconds; one that is stopped is at work as far as the server is concerned."""
    arguments = (live.database.uri(), INSTALLATION, str(live.epoch))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with writing(live):
        process = subprocess.Popen([sys.executable, "-c", _TASK, *arguments], env=environment)
        until_under_way(live)
        process.send_signal(how)
        if how == signal.SIGKILL:
            until("the server let go", lambda: sessions(live), lambda found: not found, 10)
            assert [one.valid for one in seen(live).made] == [False]
    if how == signal.SIGSTOP:
        until("it is made", lambda: valid(live), lambda found: found == {TOTAL}, 15)
        process.kill()
    process.wait()
    until("the server let go", lambda: sessions(live), lambda found: not found, 15)
    make(live, TOTAL)
    assert valid(live) == {TOTAL}


def test_nobody_queues_for_long_behind_a_plain_index_that_waits(shadow: PostgresBuild) -> None:
    with behind_a_writer(shadow, lambda: make(shadow, TOTAL)) as (task, _):
        slowest = 0.0
        for _ in range(20):
            began = time.monotonic()
            shadow.database.run("INSERT INTO orders__b1 (id) VALUES ('x') ON CONFLICT DO NOTHING")
            slowest = max(slowest, time.monotonic() - began)
            time.sleep(0.2)
        assert not task.done()
        assert slowest < 3
    assert valid(shadow) == {TOTAL}


def test_a_build_is_not_opened_while_an_index_is_made(shadow: PostgresBuild) -> None:
    with behind_a_writer(shadow, lambda: make(shadow, TOTAL)) as (task, _):
        until_session(shadow)
        with pytest.raises(WrongState, match="an index of build 1 is being made"):
            shadow.registry.open_catch_up(shadow.epoch, 1)
    task.result()
    shadow.registry.open_catch_up(shadow.epoch, 1)
    with behind_a_writer(shadow, lambda: make(shadow, PAIR)):
        until_under_way(shadow)
        # A step that was done is one that may be repeated.
        shadow.registry.open_catch_up(shadow.epoch, 1)


def test_two_operators_do_not_make_the_same_twice(live: PostgresBuild, rival: PostgresRegistry) -> None:
    with behind_a_writer(live, lambda: make(live, TOTAL, PAIR)) as (task, _):
        until_under_way(live)
        epoch = rival.take_leadership("another")
        began = time.monotonic()
        make(live, TOTAL, PAIR, by=rival, epoch=epoch)
        assert time.monotonic() - began < 2
        assert len(sessions(live)) == 1
        assert not task.done()
    # What was begun is finished; nothing else is begun, nor told in the registry.
    with pytest.raises(Deposed):
        task.result()
    assert valid(live) == {TOTAL}
    assert history(live) == []
    make(live, TOTAL, PAIR, by=rival, epoch=epoch)
    assert valid(live) == {TOTAL, PAIR}


def test_a_deposed_operator_begins_nothing(live: PostgresBuild, rival: PostgresRegistry) -> None:
    make(live, PAIR)
    rival.take_leadership("another")
    with pytest.raises(Deposed):
        make(live, TOTAL)
    with pytest.raises(Deposed):
        make(live, needless=[PAIR])
    assert valid(live) == {PAIR}


TEXTS = definition(
    {"events": ["A"], "key": {"id": "event.id"}, "set": {"text": "event.n"}},
    columns=[{"name": "id", "type": "text"}, {"name": "text", "type": "text"}, {"name": "total", "type": "bigint"}],
)
LONG = "INSERT INTO orders__b1 SELECT 'o', string_agg(md5(n::text), '') FROM generate_series(1, 999) n"
TEXT = Index(columns=("text",))


@pytest.mark.parametrize("in_use", [False, True])
def test_what_cannot_be_made_is_told_and_leaves_nothing(database: Database, in_use: bool) -> None:
    with closing(begin(database, TEXTS)) as build:
        if in_use:
            publish(build)
        database.run(LONG)
        make(build, TEXT, TOTAL)
        # The others are made, but statistics are for when all are there.
        assert valid(build) == {TOTAL}
        assert len(seen(build).made) == 1
        assert seen(build).analyzed_at is None
        (failure,) = seen(build).failures
        assert failure.index == TEXT
        assert failure.message.startswith("index row requires ")
        make(build, TEXT)
        assert seen(build).failures[0].at > failure.at
        database.run("TRUNCATE orders__b1")
        make(build, TEXT, TOTAL)
        assert valid(build) == {TEXT, TOTAL}
        assert seen(build).failures == ()
        assert (seen(build).analyzed_at is None) == in_use
        assert [what for what, _ in history(build)] == ["IndexFailed", "IndexBuilt", "IndexFailed", "IndexBuilt"]


def test_abort_breaks_off_what_is_being_made(shadow: PostgresBuild) -> None:
    with behind_a_writer(shadow, lambda: make(shadow, TOTAL)) as (task, writer):
        until_session(shadow)
        shadow.give_up()
        with pytest.raises(WrongState, match="build 1 was given up"):
            task.result(10)
        assert valid(shadow) == set()
        writer.rollback()
        shadow.registry.retire(shadow.epoch, 1)
    assert sessions(shadow) == []


def until_checked(build: PostgresBuild) -> None:
    """Until an index is as good as made, and waits for those who may see the table as it was."""
    until("it waits at the end", lambda: seen(build).under_way, lambda one: one is not None and one.percent == 95, 15)


def test_deletion_does_not_wait_for_an_index(live: PostgresBuild) -> None:
    with behind_a_snapshot(live, lambda: make(live, TOTAL)) as task:
        until_checked(live)
        live.registry.delete(live.epoch, live.identity)
        with pytest.raises(WrongState, match="build 1 was given up"):
            task.result(10)
    assert live.registry.observe(live.identity) is None


def test_a_build_that_is_given_up_goes_at_once(shadow: PostgresBuild) -> None:
    shadow.registry.open_catch_up(shadow.epoch, 1)
    with behind_a_snapshot(shadow, lambda: make(shadow, TOTAL)) as task:
        until_checked(shadow)
        shadow.give_up()
        shadow.registry.retire(shadow.epoch, 1)
        assert isinstance(task.exception(10), WrongState)
    assert shadow.database.run("SELECT to_regclass('orders__b1')") == [(None,)]


def test_a_swap_does_not_wait_for_an_index_of_what_it_replaces(live: PostgresBuild) -> None:
    coming = version(live, "2", FOLLOWED)
    with behind_a_writer(live, lambda: make(live, TOTAL)) as (task, _):
        until_under_way(live)
        assert swapped(coming, SwapTerms(), 5) < 50
        assert not task.done()
    assert state(live) is BuildState.WARM
    assert valid(live) == {TOTAL}


def test_a_build_that_was_given_up_gets_nothing(shadow: PostgresBuild) -> None:
    shadow.give_up(Ending.SUPERSEDED)
    with pytest.raises(WrongState, match="build 1 was given up"):
        shadow.registry.build_indexes(shadow.epoch, 1, [TOTAL], [], analyze=False)


def test_a_registry_of_an_older_release_is_read(live: PostgresBuild) -> None:
    make(live, TOTAL)
    live.database.run("ALTER TABLE projections.build DROP COLUMN analyzed_at, DROP COLUMN index_failures")
    assert valid(live) == {TOTAL}
    assert (seen(live).failures, seen(live).analyzed_at) == ((), None)


def test_names_are_cut_where_the_server_would_cut_them(database: Database) -> None:
    name = "Größen der " + "ß" * 18
    assert len(name.encode()) <= 50
    with closing(begin(database, FOLLOWED, name=name)) as build:
        make(build, TOTAL, PAIR)
        assert valid(build) == {TOTAL, PAIR}
        names = database.run(
            "SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid "
            "JOIN pg_class t ON t.oid = i.indrelid WHERE NOT i.indisprimary AND t.relname = %s ORDER BY 1",
            build.spec.table,
        )
        assert {one for (one,) in names} == {index_name(build.spec.table, index) for index in (TOTAL, PAIR)}


def test_a_role_that_does_not_own_the_table_is_told_so(live: PostgresBuild) -> None:
    """As after the operator's role was exchanged for another one."""
    other = live.database.role("other")
    live.database.run(f"GRANT USAGE ON SCHEMA projections TO {other}")
    live.database.run(f"GRANT SELECT, UPDATE, INSERT ON ALL TABLES IN SCHEMA projections TO {other}")
    live.database.run(f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA projections TO {other}")
    with closing(PostgresRegistry(live.database.uri(other), INSTALLATION)) as registry:
        make(live, TOTAL, by=registry)
    (failure,) = seen(live).failures
    assert failure.message == "must be owner of table orders__b1"
