"""The life of projections and builds in the registry, step by step and every step twice."""

from collections.abc import Iterator
from dataclasses import replace
from threading import Thread

import psycopg
import pytest

from projector.fold import SEMANTICS
from projector.ports import Ends, Place, StoreUnavailable, Stuck
from projector.registry import (
    BuildState,
    Deposed,
    Ending,
    ForeignRegistry,
    Identity,
    PublicName,
    RegistryError,
    TargetTaken,
    WrongState,
)
from projector.stores.postgres import NoSuchBuild, PostgresRegistry, load_build
from tests.contract.store_contract import COUNTED, commit, counted, move
from tests.support.postgres import INSTALLATION, ORDERS, Database, PostgresBuild, begin
from tests.support.specs import definition
from tests.support.wait import until

OTHER = "another-installation"
IDENTITY = Identity(INSTALLATION, "shop", "orders")
NAME = PublicName("public", "orders")
ENDS = {partition: Ends(partition.number, 10) for partition in ORDERS}


@pytest.fixture
def registry(database: Database) -> Iterator[PostgresRegistry]:
    made = PostgresRegistry(database.uri(), INSTALLATION)
    yield made
    made.close()


@pytest.fixture
def rival(database: Database) -> Iterator[PostgresRegistry]:
    made = PostgresRegistry(database.uri(), INSTALLATION)
    yield made
    made.close()


@pytest.fixture
def foreign(database: Database) -> Iterator[PostgresRegistry]:
    made = PostgresRegistry(database.uri(), OTHER)
    yield made
    made.close()


@pytest.fixture
def build(database: Database) -> Iterator[PostgresBuild]:
    made = begin(database, COUNTED)
    yield made
    made.close()


def test_nothing_is_there_before_anyone_leads(registry: PostgresRegistry, database: Database) -> None:
    assert registry.observe(IDENTITY) is None
    with pytest.raises(Deposed, match="not there"):
        registry.claim(1, IDENTITY, "uid-1", NAME)
    with pytest.raises(NoSuchBuild, match="no registry"):
        load_build(database.uri(), 1)
    with pytest.raises(RegistryError, match="no registry"):
        registry.discard(ORDERS[0], 1, IDENTITY, "why")


def test_each_take_of_leadership_raises_the_epoch(registry: PostgresRegistry, rival: PostgresRegistry) -> None:
    assert [registry.take_leadership("a"), rival.take_leadership("b"), registry.take_leadership("a")] == [1, 2, 3]


def test_two_that_install_at_once_do_not_disturb_each_other(
    registry: PostgresRegistry, rival: PostgresRegistry
) -> None:
    epochs: list[int] = []
    threads = [Thread(target=lambda one=one: epochs.append(one.take_leadership("x"))) for one in (registry, rival)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(epochs) == [1, 2]


def test_a_deposed_operator_can_do_nothing(build: PostgresBuild, rival: PostgresRegistry) -> None:
    number, old = build.spec.build, build.epoch
    new = rival.take_leadership("another")
    acts = (
        lambda: build.registry.claim(old, IDENTITY, "uid-2", NAME),
        lambda: build.registry.begin(old, IDENTITY, "2", "", COUNTED, ENDS, "postgres"),
        lambda: build.registry.open_catch_up(old, number),
        lambda: build.registry.publish(old, number),
        lambda: build.registry.abandon(old, number, Ending.ABORTED, "why"),
        lambda: build.registry.retire(old, number),
        lambda: build.registry.delete(old, IDENTITY),
    )
    for act in acts:
        with pytest.raises(Deposed, match="another operator leads this registry"):
            act()
    view = rival.observe(IDENTITY)
    assert view is not None
    assert (view.resource_uid, view.builds[0].state) == ("uid-1", BuildState.REPLAYING)
    rival.open_catch_up(new, number)


def test_leadership_waits_for_an_act_that_is_under_way(build: PostgresBuild, rival: PostgresRegistry) -> None:
    with psycopg.connect(build.database.uri()) as busy:
        busy.execute("SELECT FROM projections.operator FOR SHARE")
        with pytest.raises(StoreUnavailable, match="lock timeout"):
            rival.take_leadership("another")
    assert rival.take_leadership("another") == build.epoch + 1


def test_what_a_projection_looks_like(database: Database, registry: PostgresRegistry) -> None:
    epoch = registry.take_leadership("me")
    registry.claim(epoch, IDENTITY, "uid-1", NAME)
    empty = registry.observe(IDENTITY)
    assert empty is not None
    assert (empty.public_name, empty.live_build, empty.builds) == (NAME, None, ())
    number = registry.begin(epoch, IDENTITY, "1", "token", COUNTED, ENDS, "postgres")
    view = registry.observe(IDENTITY)
    assert view is not None
    (seen,) = view.builds
    assert (seen.number, seen.version, seen.token, seen.epoch) == (number, "1", "token", 1)
    assert (seen.definition, seen.fingerprint) == (COUNTED, COUNTED.fingerprint)
    assert (seen.table, seen.state, seen.published_at, seen.reason) == (f"orders__b{number}", "Replaying", None, "")
    points = [(p.partition, p.next_offset, p.start, p.replay_end, p.event_time, p.stuck) for p in seen.checkpoints]
    assert points == [(partition, ends.start, ends.start, 10, None, None) for partition, ends in ENDS.items()]
    spec = load_build(database.uri(), number)
    assert (spec.build, spec.epoch, spec.state, spec.definition) == (number, 1, "Replaying", COUNTED)
    assert (spec.schema, spec.table, spec.partitions) == ("public", f"orders__b{number}", frozenset(ORDERS))
    assert spec.consumer_group == f"projections.5e9c4a52.shop.orders.b{number}"
    assert database.run("SELECT semantics, image FROM projections.build") == [(SEMANTICS, None)]


def test_the_whole_life_and_every_step_twice(build: PostgresBuild) -> None:
    registry, epoch, number = build.registry, build.epoch, build.spec.build
    again = registry.begin(epoch, IDENTITY, "1", "", COUNTED, ENDS, "postgres")
    assert again == number
    commit(build.open(), [move(0, 1)], counted("a"))
    for step in (registry.open_catch_up, registry.publish):
        for _ in range(2):
            step(epoch, number)
    view = registry.observe(IDENTITY)
    assert view is not None
    assert (view.live_build, view.builds[0].state) == (number, BuildState.LIVE)
    assert view.builds[0].published_at is not None
    assert build.database.run("SELECT * FROM public.orders") == [("a", "x", 1)]
    with pytest.raises(WrongState, match=f"build {number} is live"):
        registry.abandon(epoch, number, Ending.ABORTED, "why")
    for _ in range(2):
        registry.delete(epoch, IDENTITY)
    assert registry.observe(IDENTITY) is None
    assert build.database.run("SELECT relname FROM pg_class WHERE relname LIKE 'orders%'") == []
    told = [what for (what,) in build.database.run("SELECT what FROM projections.history ORDER BY id")]
    assert told == ["LeadershipTaken", "Claimed", "Begun", "CatchUpOpened", "Published", "Deleted"]


def test_giving_a_build_up_and_beginning_another_of_the_same_version(build: PostgresBuild) -> None:
    registry, epoch, number = build.registry, build.epoch, build.spec.build
    with pytest.raises(WrongState, match=f"build {number} is Replaying, not Abandoned"):
        registry.retire(epoch, number)
    for _ in range(2):
        registry.abandon(epoch, number, Ending.REJECTED, "no use")
    for _ in range(2):
        registry.retire(epoch, number)
    view = registry.observe(IDENTITY)
    assert view is not None
    assert view.builds == ()
    with pytest.raises(WrongState, match=f"build {number} is Retired"):
        registry.open_catch_up(epoch, number)
    assert build.database.run("SELECT to_regclass(%s)", f"public.{build.spec.table}") == [(None,)]
    second = registry.begin(epoch, IDENTITY, "1", "", COUNTED, ENDS, "postgres")
    assert second == number + 1


def test_numbers_of_builds_are_never_used_again(build: PostgresBuild) -> None:
    build.registry.delete(build.epoch, IDENTITY)
    build.registry.claim(build.epoch, IDENTITY, "uid-1", NAME)
    number = build.registry.begin(build.epoch, IDENTITY, "1", "", COUNTED, ENDS, "postgres")
    assert number == build.spec.build + 1


def test_publish_before_catching_up_is_refused(build: PostgresBuild) -> None:
    with pytest.raises(WrongState, match="is Replaying, not CatchingUp"):
        build.registry.publish(build.epoch, build.spec.build)


def test_a_version_keeps_its_definition(build: PostgresBuild) -> None:
    other = definition({"events": ["B"], "key": {"id": "event.id"}, "set": {"name": "event.name"}})
    with pytest.raises(WrongState, match="version 1 is build 1, of another definition; choose another version"):
        build.registry.begin(build.epoch, IDENTITY, "1", "", other, ENDS, "postgres")


def test_a_resource_that_was_created_again_is_adopted(build: PostgresBuild) -> None:
    for _ in range(2):
        build.registry.claim(build.epoch, IDENTITY, "uid-2", NAME)
    view = build.registry.observe(IDENTITY)
    assert view is not None
    assert (view.resource_uid, len(view.builds)) == ("uid-2", 1)


def test_a_live_projection_is_adopted_and_keeps_its_public_name(build: PostgresBuild) -> None:
    build.registry.open_catch_up(build.epoch, build.spec.build)
    build.registry.publish(build.epoch, build.spec.build)
    build.registry.claim(build.epoch, IDENTITY, "uid-2", NAME)
    with pytest.raises(WrongState, match=r"the public name is public\.orders and cannot become public\.other"):
        build.registry.claim(build.epoch, IDENTITY, "uid-2", PublicName("public", "other"))


def test_the_public_name_may_change_until_something_is_live(build: PostgresBuild) -> None:
    build.registry.claim(build.epoch, IDENTITY, "uid-1", PublicName("public", "other"))
    build.registry.open_catch_up(build.epoch, build.spec.build)
    build.registry.publish(build.epoch, build.spec.build)
    assert build.database.run("SELECT * FROM public.other") == []


def test_two_projections_on_one_table(build: PostgresBuild) -> None:
    second = replace(IDENTITY, name="second")
    with pytest.raises(TargetTaken) as refused:
        build.registry.claim(build.epoch, second, "uid-9", NAME)
    assert str(refused.value) == "public.orders is the table of projection shop/orders"


@pytest.mark.parametrize("create", ["CREATE TABLE orders (x int)", "CREATE VIEW orders AS SELECT 1 AS x"])
def test_a_table_that_is_not_ours(database: Database, registry: PostgresRegistry, create: str) -> None:
    database.run(create)
    epoch = registry.take_leadership("me")
    with pytest.raises(TargetTaken) as refused:
        registry.claim(epoch, IDENTITY, "uid-1", NAME)
    assert str(refused.value) == "public.orders is a table that is not managed here"
    database.run(f"DROP {create.split()[1]} orders")
    registry.claim(epoch, IDENTITY, "uid-1", NAME)


def test_a_table_that_came_after_the_claim(build: PostgresBuild) -> None:
    build.database.run("CREATE TABLE orders (x int)")
    build.registry.open_catch_up(build.epoch, build.spec.build)
    with pytest.raises(TargetTaken, match=r"public\.orders is a table that is not managed here"):
        build.registry.publish(build.epoch, build.spec.build)
    next_table = f"orders__b{build.spec.build + 1}"
    build.database.run(f"CREATE TABLE {next_table} (x int)")
    with pytest.raises(TargetTaken, match=f"public.{next_table} is a table that is not managed here"):
        build.registry.begin(build.epoch, IDENTITY, "2", "", COUNTED, ENDS, "postgres")


def test_names_that_need_quotes(database: Database, registry: PostgresRegistry) -> None:
    database.run('CREATE SCHEMA "Se""l; ect"')
    name = PublicName('Se"l; ect', "Order's Σ%s")
    columns = [{"name": "id", "type": "text"}, {"name": "name", "type": "text"}, {"name": 'se"l%', "type": "bigint"}]
    odd = definition(columns=columns)
    epoch = registry.take_leadership("me")
    registry.claim(epoch, IDENTITY, "uid-1", name)
    number = registry.begin(epoch, IDENTITY, "1", "", odd, ENDS, "postgres")
    registry.open_catch_up(epoch, number)
    registry.publish(epoch, number)
    assert database.run('SELECT "se""l%" FROM "Se""l; ect"."Order\'s Σ%s"') == []
    registry.delete(epoch, IDENTITY)
    assert database.run("SELECT count(*) FROM pg_class WHERE relname LIKE 'Order%'") == [(0,)]


def test_a_name_over_63_bytes(registry: PostgresRegistry) -> None:
    epoch = registry.take_leadership("me")
    registry.claim(epoch, IDENTITY, "uid-1", PublicName("public", "Σ" * 30))
    with pytest.raises(RegistryError, match="is longer than PostgreSQL's 63 bytes"):
        registry.begin(epoch, IDENTITY, "1", "", COUNTED, ENDS, "postgres")


def test_a_missing_schema(registry: PostgresRegistry, database: Database) -> None:
    epoch = registry.take_leadership("me")
    with pytest.raises(RegistryError) as refused:
        registry.claim(epoch, IDENTITY, "uid-1", PublicName("sales", "orders"))
    assert str(refused.value) == f'schema "sales" does not exist in database {database.name}'


def test_a_registry_of_another_installation(build: PostgresBuild, foreign: PostgresRegistry) -> None:
    with pytest.raises(ForeignRegistry) as refused:
        foreign.take_leadership("them")
    assert refused.value.owner == INSTALLATION
    with pytest.raises(ForeignRegistry):
        foreign.take_leadership("them", take_over="someone-else")
    build.registry.open_catch_up(build.epoch, build.spec.build)


def test_a_take_over_brings_the_projections_along(build: PostgresBuild, foreign: PostgresRegistry) -> None:
    epoch = foreign.take_leadership("them", take_over=INSTALLATION)
    assert epoch == build.epoch + 1
    with pytest.raises(Deposed):
        build.registry.open_catch_up(build.epoch, build.spec.build)
    with pytest.raises(ForeignRegistry):
        build.registry.take_leadership("us")
    assert build.registry.observe(IDENTITY) is None
    view = foreign.observe(replace(IDENTITY, installation=OTHER))
    assert view is not None
    foreign.open_catch_up(epoch, build.spec.build)
    assert build.open().positions(ORDERS) == dict.fromkeys(ORDERS, Place(0))


def test_a_busy_table_is_waited_for(build: PostgresBuild) -> None:
    build.give_up()
    with psycopg.connect(build.database.uri()) as reader:
        reader.execute("SELECT * FROM orders__b1")
        with pytest.raises(StoreUnavailable, match=r"waiting for public\.orders__b1: other sessions are using it"):
            build.registry.retire(build.epoch, build.spec.build)
    build.registry.retire(build.epoch, build.spec.build)


def test_deletion_names_what_depends_on_the_view(build: PostgresBuild) -> None:
    build.registry.open_catch_up(build.epoch, build.spec.build)
    build.registry.publish(build.epoch, build.spec.build)
    build.database.run("CREATE VIEW report AS SELECT total FROM orders")
    with pytest.raises(WrongState, match=r"public\.orders cannot be dropped: view report depends on view orders"):
        build.registry.delete(build.epoch, IDENTITY)
    build.database.run("DROP VIEW report")
    build.registry.delete(build.epoch, IDENTITY)


def test_discarding_for_a_projection_that_is_not_there(build: PostgresBuild) -> None:
    with pytest.raises(RegistryError, match="there is no projection shop/nobody in this registry"):
        build.registry.discard(ORDERS[0], 3, replace(IDENTITY, name="nobody"), "why")


def test_discards_are_honoured_by_later_builds(build: PostgresBuild, database: Database) -> None:
    build.discard(ORDERS[0], 5)
    number = build.registry.begin(build.epoch, IDENTITY, "2", "", COUNTED, ENDS, "postgres")
    later = replace(build, spec=load_build(database.uri(), number))
    assert later.open().discarded(ORDERS[0], 5)
    assert database.run("SELECT reason, who::text FROM projections.discarded") == [("it is broken", "postgres")]


def test_a_stuck_partition_is_seen(build: PostgresBuild) -> None:
    build.open().report_stuck(Stuck(ORDERS[2], 4, "event.id is missing"))
    assert build.stuck() == {ORDERS[2]: (4, "event.id is missing")}


def test_passing_the_event_clears_why_it_stood_still(build: PostgresBuild) -> None:
    store = build.open()
    store.report_stuck(Stuck(ORDERS[0], 3, "event.id is missing"))
    commit(store, [move(0, 3)], {})
    assert build.stuck() == {ORDERS[0]: (3, "event.id is missing")}
    commit(store, [move(3, 4)], {})
    assert build.stuck() == {}


def test_a_restarted_server_costs_no_call(build: PostgresBuild) -> None:
    ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s"
    build.database.run(ended, "projection operator")
    alive = "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s AND datname = current_database()"
    until("it is gone", lambda: build.database.run(alive, "projection operator"), lambda rows: rows == [(0,)], 5)
    build.registry.open_catch_up(build.epoch, build.spec.build)


def test_checkpoints_are_updated_in_place(build: PostgresBuild) -> None:
    store = build.open()
    for offset in range(100):
        commit(store, [move(offset, offset + 1)], {})
    stats = """SELECT n_tup_hot_upd::float / n_tup_upd FROM pg_stat_user_tables
        WHERE schemaname = 'projections' AND relname = 'checkpoint' AND n_tup_upd >= 100"""
    rows = until("statistics", lambda: build.database.run(stats), bool, 10)
    assert rows[0][0] > 0.95
