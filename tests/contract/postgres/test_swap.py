"""The swap on a real server: what it does, what it keeps, what holds it up."""

from collections.abc import Iterator
from contextlib import closing

import psycopg
import pytest

from projector.ports import Partition
from projector.registry import BuildState, Deposed, SwapTerms, SwapWaiting, WrongState
from projector.spec.definition import Definition
from projector.stores.postgres import PostgresRegistry
from tests.contract.store_contract import commit, move, park
from tests.support.postgres import INSTALLATION, ORDERS, Database, PostgresBuild, begin
from tests.support.specs import definition
from tests.support.swaps import FOLLOWED, advance, publish, version

SHORT = SwapTerms(gate_ms=50)


def columns(*types: str, names: str = "id total note more") -> Definition:
    """The same fold with a table of other columns."""
    made = [{"name": name, "type": kind} for name, kind in zip(names.split(), types, strict=False)]
    rule = {"events": ["A"], "key": {"id": "event.id"}, "set": {"total": "event.n"}}
    if types[1] == "text":
        rule["set"] = {"total": "string(event.n)"}
    return definition(rule, columns=made)


@pytest.fixture
def live(database: Database) -> Iterator[PostgresBuild]:
    """A first build, live, with a worker of its own role."""
    made = begin(database, FOLLOWED, worker=database.role("worker"))
    publish(made)
    yield made
    made.close()


@pytest.fixture
def coming(live: PostgresBuild) -> PostgresBuild:
    """A second version of the same columns."""
    return version(live, "2", FOLLOWED)


def states(build: PostgresBuild) -> dict[int, BuildState]:
    """Of all builds, by number."""
    view = build.registry.observe(build.identity)
    assert view is not None
    assert [one.number for one in view.builds if one.state is BuildState.LIVE] == [view.live_build]
    return {one.number: one.state for one in view.builds}


def shown(build: PostgresBuild) -> str:
    """The table that the public name shows."""
    ((text,),) = build.database.run("SELECT pg_get_viewdef('public.orders'::regclass)")
    return str(text).split("FROM")[1].strip(" ;\n").removeprefix("public.")


def ahead(build: PostgresBuild, end: int, partitions: tuple[Partition, ...] = ORDERS) -> None:
    """Let a build come to `end` in these partitions."""
    store = build.open()
    at = {partition: place.offset for partition, place in store.positions(partitions).items()}
    advance(build, store, dict.fromkeys(partitions, end), at)


def test_another_build_takes_the_name_and_gives_it_back(live: PostgresBuild, coming: PostgresBuild) -> None:
    one, two = live.spec.build, coming.spec.build
    live.registry.swap(live.epoch, two, SwapTerms())
    assert (states(live), shown(live)) == ({one: "Warm", two: "Live"}, f"orders__b{two}")
    live.registry.swap(live.epoch, two, SwapTerms())
    live.registry.swap(live.epoch, one, SwapTerms())
    assert (states(live), shown(live)) == ({one: "Live", two: "Warm"}, f"orders__b{one}")
    told = live.database.run("SELECT build, detail FROM projections.history WHERE what = 'Swapped' ORDER BY id")
    assert told == [(two, f"in the place of build {one}"), (one, f"in the place of build {two}")]


def test_a_warm_build_is_given_up_like_any_other(live: PostgresBuild, coming: PostgresBuild) -> None:
    live.registry.swap(live.epoch, coming.spec.build, SwapTerms())
    live.registry.open_catch_up(live.epoch, live.spec.build)
    with pytest.raises(WrongState, match="is live"):
        coming.give_up()
    live.give_up()
    live.registry.retire(live.epoch, live.spec.build)
    assert states(live) == {coming.spec.build: "Live"}
    with pytest.raises(WrongState, match=f"build {live.spec.build} is Retired, not CatchingUp or Warm"):
        live.registry.swap(live.epoch, live.spec.build, SwapTerms())


def test_a_build_that_is_behind_waits(live: PostgresBuild, coming: PostgresBuild) -> None:
    ahead(live, 10)
    ahead(coming, 10, ORDERS[:2])
    with pytest.raises(SwapWaiting, match="build 2 is behind build 1 in orders/2, orders/3"):
        live.registry.swap(live.epoch, coming.spec.build, SHORT)
    assert (states(live)[1], shown(live)) == ("Live", "orders__b1")
    ahead(live, 11)
    ahead(coming, 12)
    live.registry.swap(live.epoch, coming.spec.build, SHORT)
    assert shown(live) == "orders__b2"
    with pytest.raises(SwapWaiting, match="build 1 is behind build 2 in orders/0, orders/1, orders/2, orders/3"):
        live.registry.swap(live.epoch, live.spec.build, SHORT)


def test_a_partition_without_a_checkpoint_is_not_passed(live: PostgresBuild) -> None:
    coming = version(live, "2", FOLLOWED, ORDERS[:3])
    with pytest.raises(SwapWaiting, match=r"build 2 is behind build 1 in orders/3$"):
        live.registry.swap(live.epoch, coming.spec.build, SHORT)
    live.registry.admit_partitions(live.epoch, coming.spec.build, ORDERS[3:])
    live.registry.swap(live.epoch, coming.spec.build, SHORT)


def test_a_partition_that_the_log_has_lost_is_not_asked_for(live: PostgresBuild) -> None:
    coming = version(live, "2", FOLLOWED, ORDERS[:3])
    ahead(live, 10)
    ahead(coming, 10, ORDERS[:3])
    live.registry.swap(live.epoch, coming.spec.build, SwapTerms(gate_ms=50, ungated=frozenset(ORDERS[3:])))
    assert shown(live) == "orders__b2"


def test_a_lost_partition_where_the_new_build_is_behind_is_not_asked_for(
    live: PostgresBuild, coming: PostgresBuild
) -> None:
    ahead(live, 10)
    ahead(coming, 10, ORDERS[1:])
    live.registry.swap(live.epoch, coming.spec.build, SwapTerms(gate_ms=50, ungated=frozenset(ORDERS[:1])))
    assert shown(live) == "orders__b2"


@pytest.mark.parametrize("topic_id", ["id-1", "id-2"])
def test_a_lost_partition_excuses_no_other(live: PostgresBuild, topic_id: str) -> None:
    """Neither another number nor the same number of another topic."""
    coming = version(live, "2", FOLLOWED, ORDERS[:2])
    lost = frozenset(Partition("orders", topic_id, number) for number in (2, 7))
    behind = "orders/3" if topic_id == "id-1" else "orders/2, orders/3"
    with pytest.raises(SwapWaiting, match=f"build 2 is behind build 1 in {behind}$"):
        live.registry.swap(live.epoch, coming.spec.build, SwapTerms(gate_ms=50, ungated=lost))
    assert shown(live) == "orders__b1"


def test_forth_and_back_with_rows_written_between(live: PostgresBuild, coming: PostgresBuild) -> None:
    both = (live, coming)
    for turn, build in enumerate((coming, live, coming), 1):
        for one in both:
            ahead(one, 10 * turn)
        live.registry.swap(live.epoch, build.spec.build, SHORT)
        for one in both:
            ahead(one, 10 * turn + 5)
        assert shown(live) == build.spec.table
        rows = live.database.run("SELECT id, total FROM public.orders ORDER BY id")
        assert rows == [(str(partition.number), 10 * turn + 5) for partition in ORDERS]
        assert states(live)[build.spec.build] == "Live"
        assert sorted(states(live).values()) == ["Live", "Warm"]


def test_what_is_parked_in_the_new_build_alone_forbids_it(live: PostgresBuild, coming: PostgresBuild) -> None:
    first = ORDERS[0]
    for build, offsets in ((live, [0]), (coming, [0, 1])):
        store = build.open()
        for offset in range(2):
            parks = [park("a", offset, "why", first)] if offset in offsets else []
            commit(store, [move(offset, offset + 1, first)], {}, parks)
    with pytest.raises(WrongState, match="build 2 has parked orders/0 offset 1, and build 1 has not"):
        live.registry.swap(live.epoch, coming.spec.build, SHORT)
    with closing(coming.parking) as parking:
        (mine,) = (one for one in parking.keys(coming.identity) if one.build == coming.spec.build)
        parking.discard(parking.read(mine), [1], "a test said so")
    live.registry.swap(live.epoch, coming.spec.build, SHORT)


def test_a_deposed_operator_swaps_nothing(live: PostgresBuild, coming: PostgresBuild) -> None:
    rival = PostgresRegistry(live.database.uri(), INSTALLATION)
    epoch = rival.take_leadership("another")
    with pytest.raises(Deposed, match="another operator leads this registry"):
        live.registry.swap(live.epoch, coming.spec.build, SwapTerms())
    rival.swap(epoch, coming.spec.build, SwapTerms())
    rival.close()


def test_only_what_is_ready_is_swapped(live: PostgresBuild, coming: PostgresBuild) -> None:
    with pytest.raises(WrongState, match="there is no build 77"):
        live.registry.swap(live.epoch, 77, SwapTerms())
    coming.give_up()
    with pytest.raises(WrongState, match="build 2 is Abandoned, not CatchingUp or Warm"):
        live.registry.swap(live.epoch, coming.spec.build, SwapTerms())
    live.database.run("DROP VIEW public.orders")
    third = version(live, "3", FOLLOWED)
    with pytest.raises(WrongState, match=r"public\.orders is not the view that was there"):
        live.registry.swap(live.epoch, third.spec.build, SwapTerms())


def test_nothing_is_swapped_in_before_something_is_live(database: Database) -> None:
    build = begin(database, FOLLOWED)
    build.registry.open_catch_up(build.epoch, build.spec.build)
    with pytest.raises(WrongState, match="nothing is live that build 1 could take the place of"):
        build.registry.swap(build.epoch, build.spec.build, SwapTerms())
    build.close()


KEPT = """
SELECT pg_get_userbyid(c.relowner), c.reloptions, c.relacl::text, obj_description(c.oid),
    (SELECT array_agg(format('%%s %%s %%s', a.attname, a.attacl, col_description(c.oid, a.attnum)) ORDER BY a.attname)
     FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND a.attname = ANY (%s))
FROM pg_class c WHERE c.oid = 'public.orders'::regclass
"""


@pytest.mark.parametrize(
    "what",
    [
        pytest.param(columns("text", "bigint", "text"), id="a column more"),
        pytest.param(columns("text", "text"), id="another type"),
        pytest.param(columns("text", "bigint", "text", names="id total more"), id="another name"),
        pytest.param(columns("text", "bigint"), id="a column less"),
    ],
)
def test_owner_rights_options_and_comments_survive(database: Database, what: Definition) -> None:
    reader, other = database.role("reader"), database.role("other")
    before = columns("text", "bigint", "text")
    live = begin(database, before)
    publish(live)
    database.run("ALTER VIEW public.orders SET (security_barrier = true)")
    database.run(f'GRANT SELECT ON public.orders TO "{reader}" WITH GRANT OPTION')
    database.run(f'GRANT SELECT (total), UPDATE (total) ON public.orders TO "{other}"')
    database.run("GRANT SELECT ON public.orders TO PUBLIC")
    database.run("COMMENT ON VIEW public.orders IS 'one row per order''s life'")
    database.run("COMMENT ON COLUMN public.orders.total IS 'in cents'")
    database.run(f'ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO "{other}"')
    kept = database.run(KEPT, ["id", "total"])
    second = version(live, "2", what)
    live.registry.swap(live.epoch, second.spec.build, SwapTerms())
    assert database.run(KEPT, ["id", "total"]) == kept
    assert table_columns(database) == [(column.name, column.type) for column in what.columns]
    live.registry.swap(live.epoch, live.spec.build, SwapTerms())
    assert database.run(KEPT, ["id", "total"]) == kept
    assert table_columns(database) == [(column.name, column.type) for column in before.columns]
    live.close()


def table_columns(database: Database) -> list[tuple[str, str]]:
    """Of the public view."""
    return [
        (name, kind)
        for name, kind in database.run(
            "SELECT attname::text, format_type(atttypid, atttypmod) FROM pg_attribute "
            "WHERE attrelid = 'public.orders'::regclass AND attnum > 0 ORDER BY attnum"
        )
    ]


def test_objects_that_depend_on_columns_that_change_forbid_it(live: PostgresBuild) -> None:
    live.database.run("CREATE VIEW public.report AS SELECT sum(total) FROM public.orders")
    same, other = version(live, "2", columns("text", "bigint", "text")), version(live, "3", columns("text", "text"))
    live.registry.swap(live.epoch, same.spec.build, SwapTerms())
    with pytest.raises(
        WrongState, match=r"public\.orders cannot get other columns while .* view public.report depends on"
    ):
        live.registry.swap(live.epoch, other.spec.build, SwapTerms())
    assert shown(live) == "orders__b2"


def test_one_who_reads_the_view_for_long_is_named(live: PostgresBuild, coming: PostgresBuild) -> None:
    with psycopg.connect(live.database.uri(), application_name="a report") as reader:
        reader.execute("SELECT FROM public.orders")
        pid = reader.info.backend_pid
        words = rf"pid {pid} \(.*, a report\), in a transaction since .*Z reads public\.orders"
        with pytest.raises(SwapWaiting, match=words):
            live.registry.swap(live.epoch, coming.spec.build, SwapTerms())
        live.database.run("SELECT FROM public.orders")
    live.registry.swap(live.epoch, coming.spec.build, SwapTerms())


def test_a_snapshot_older_than_the_swap_is_waited_for(live: PostgresBuild, coming: PostgresBuild) -> None:
    """Its next statement would show the new build as it was long ago."""
    with psycopg.connect(live.database.uri(), application_name="an audit") as reader:
        reader.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        reader.execute("SELECT 1")
        with pytest.raises(SwapWaiting, match=r"\(.*, an audit\), .* has a snapshot that is older than the swap"):
            live.registry.swap(live.epoch, coming.spec.build, SHORT)
        assert shown(live) == "orders__b1"
        live.registry.swap(live.epoch, coming.spec.build, SwapTerms(wait_for_snapshots=False))
    live.registry.swap(live.epoch, live.spec.build, SHORT)


def test_a_transaction_without_a_snapshot_holds_nothing_up(live: PostgresBuild, coming: PostgresBuild) -> None:
    with psycopg.connect(live.database.uri()) as other:
        other.execute("SELECT 1")
        live.registry.swap(live.epoch, coming.spec.build, SHORT)


def test_a_worker_that_holds_its_checkpoints_is_waited_for(live: PostgresBuild, coming: PostgresBuild) -> None:
    with psycopg.connect(live.database.uri()) as worker:
        worker.execute("UPDATE projections.checkpoint SET next_offset = next_offset WHERE build = 1")
        with pytest.raises(SwapWaiting, match="a transaction of build 1 holds its checkpoints for more than 50 ms"):
            live.registry.swap(live.epoch, coming.spec.build, SHORT)
    live.registry.swap(live.epoch, coming.spec.build, SHORT)
