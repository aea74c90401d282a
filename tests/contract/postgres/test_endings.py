"""Builds that were given up: why, when, and what the registry tells of them later; also where an older one made it."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from itertools import pairwise
from unittest.mock import create_autospec

import pytest
from psycopg import errors

from projector.ports import Ends, Fenced, Place
from projector.registry import (
    BuildState,
    EndedBuild,
    Ending,
    Identity,
    ProjectionView,
    PublicName,
    SwapTerms,
    WrongState,
)
from projector.sources.kafka_admin import KafkaAdmin
from projector.spec.load import load_spec
from projector.standalone import INSTALLATION, Control, Request
from projector.stores.postgres import PostgresRegistry, migrate
from tests.contract.store_contract import COUNTED, commit, counted, move
from tests.support.postgres import ORDERS, Database, PostgresBuild, begin
from tests.support.specs import spec_data
from tests.support.swaps import FOLLOWED, publish, version

ENDS = dict.fromkeys(ORDERS, Ends(0, 10))
ENDED_TOLD = 20
PREPARED_AFTER = 6
"""Calls after which a session's statement is prepared at the server."""


@pytest.fixture
def build(database: Database) -> Iterator[PostgresBuild]:
    made = begin(database, FOLLOWED, worker=database.role("worker"))
    yield made
    made.close()


def seen(build: PostgresBuild) -> ProjectionView:
    """The projection of a build."""
    view = build.registry.observe(build.identity)
    assert view is not None
    return view


def told(build: PostgresBuild) -> list[tuple[str, str]]:
    """What the history has on a build."""
    query = "SELECT what, detail FROM projections.history WHERE build = %s ORDER BY id"
    return [(what, detail) for what, detail in build.database.run(query, build.spec.build)]


@pytest.mark.parametrize("ending", Ending)
def test_the_first_ending_stays_until_nothing_else_is_left(build: PostgresBuild, ending: Ending) -> None:
    registry, epoch, number = build.registry, build.epoch, build.spec.build
    registry.abandon(epoch, number, ending, "the first reason")
    given_up = seen(build)
    for other in Ending:
        registry.abandon(epoch, number, other, "another reason")
    assert seen(build) == given_up
    (left,) = given_up.builds
    assert (left.state, left.ending, left.reason) == ("Abandoned", ending, "the first reason")
    assert given_up.ended == (EndedBuild(number, "1", "", ending, "the first reason", left.changed_at),)
    registry.retire(epoch, number)
    registry.abandon(epoch, number, Ending.ABORTED, "a third reason")
    assert (seen(build).builds, seen(build).ended) == ((), given_up.ended)
    assert told(build)[1:] == [(ending, "the first reason"), ("Retired", f"public.orders__b{number}")]


def test_a_build_at_work_has_no_ending(build: PostgresBuild) -> None:
    publish(build)
    version(build, "2", FOLLOWED)
    assert [one.ending for one in seen(build).builds] == [None, None]
    assert seen(build).ended == ()


def test_a_warm_build_expires_and_the_live_one_does_not(build: PostgresBuild) -> None:
    publish(build)
    coming = version(build, "2", FOLLOWED)
    build.registry.swap(build.epoch, coming.spec.build, SwapTerms())
    store = build.open()
    assert store.positions(ORDERS) == dict.fromkeys(ORDERS, Place(0))
    build.give_up(Ending.EXPIRED)
    with pytest.raises(Fenced):
        commit(store, [move(0, 1)], {})
    with pytest.raises(WrongState, match=f"build {coming.spec.build} is live"):
        coming.give_up(Ending.EXPIRED)
    warm, live = seen(build).builds
    assert (warm.state, warm.ending) == (BuildState.ABANDONED, Ending.EXPIRED)
    assert (live.state, live.ending) == (BuildState.LIVE, None)
    assert [one.number for one in seen(build).ended] == [warm.number]


def test_the_last_that_were_given_up_are_told_newest_first(build: PostgresBuild) -> None:
    registry, epoch, first = build.registry, build.epoch, build.spec.build
    build.give_up()
    numbers = [first]
    for position in range(ENDED_TOLD):
        numbers.append(registry.begin(epoch, build.identity, f"v{position}", f"t{position}", FOLLOWED, {}, "postgres"))
        registry.abandon(epoch, numbers[-1], Ending.SUPERSEDED, f"r{position}")
        if position % 2:
            registry.retire(epoch, numbers[-1])
    other = replace(build.identity, name="other")
    registry.claim(epoch, other, "uid-2", PublicName("public", "other"))
    not_ours = registry.begin(epoch, other, "1", "", FOLLOWED, {}, "postgres")
    registry.abandon(epoch, not_ours, Ending.REJECTED, "why")
    view = seen(build)
    found = [(one.number, one.version, one.token, one.reason) for one in view.ended]
    given = [(number, f"v{n}", f"t{n}", f"r{n}") for n, number in enumerate(numbers[1:])]
    assert found == given[::-1]
    assert all(one.at > before.at for before, one in pairwise(view.ended[::-1]))
    assert first in {one.number for one in view.builds}


def test_when_steps_were_taken_and_where_the_workers_meet(build: PostgresBuild) -> None:
    (replaying,) = seen(build).builds
    assert (replaying.changed_at, replaying.replayed_at) == (replaying.created_at, None)
    assert replaying.consumer_group == build.spec.consumer_group
    build.registry.open_catch_up(build.epoch, build.spec.build)
    (opened,) = seen(build).builds
    assert opened.replayed_at == opened.changed_at > replaying.changed_at
    for step in (build.registry.open_catch_up, build.registry.publish, build.registry.open_catch_up):
        step(build.epoch, build.spec.build)
    (live,) = seen(build).builds
    assert (live.replayed_at, live.changed_at) == (opened.replayed_at, live.published_at)


@pytest.fixture
def older(database: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[PostgresBuild]:
    """What the release before endings left: a live build, one that was given up and one that is gone."""
    before = [one for one in migrate._migrations() if one[0] <= 3]
    with monkeypatch.context() as patch:
        patch.setattr(migrate, "_migrations", lambda: iter(before))
        live = begin(database, COUNTED, worker=database.role("worker"))
        for token in ("gone", "left"):
            live.registry.begin(live.epoch, live.identity, "2", token, COUNTED, ENDS, str(live.worker))
            left_by_the_release_before(live, token)
    database.run("UPDATE projections.build SET state = 'CatchingUp' WHERE token = ''")
    live.registry.publish(live.epoch, live.spec.build)
    database.run("UPDATE projections.build SET state = 'Retired' WHERE token = 'gone'")
    yield live
    live.close()


def left_by_the_release_before(build: PostgresBuild, token: str) -> None:
    """Give a build up as it did."""
    given_up = """UPDATE projections.build
        SET state = 'Abandoned', epoch = epoch + 1, changed_at = now(), reason = 'why not' WHERE token = %s"""
    build.database.run(given_up, token)


def test_what_an_older_release_left_is_seen_before_and_after_the_upgrade(older: PostgresBuild) -> None:
    """An operator that saw nothing would never act, and only with the first act does it migrate."""
    store = older.open()
    commit(store, [move(0, 1)], counted("a"))
    before = [seen(older) for _ in range(PREPARED_AFTER)][-1]
    assert "ending" not in columns(older.database)
    live, left = before.builds
    assert before.live_build == live.number == older.spec.build
    assert (live.state, live.ending, live.replayed_at) == ("Live", None, None)
    assert (left.state, left.ending, left.replayed_at) == ("Abandoned", Ending.SUPERSEDED, None)
    assert [(one.number, one.token) for one in before.ended] == [(3, "left"), (2, "gone")]
    assert {(one.ending, one.reason) for one in before.ended} == {(Ending.SUPERSEDED, "why not")}
    assert before.ended[0].at == left.changed_at
    epoch = older.registry.take_leadership("the next release")
    assert "ending" in columns(older.database)
    assert seen(older) == before
    commit(store, [move(1, 2)], counted("a"))
    assert older.rows() == {("a",): {"total": 2, "name": "x"}}
    older.registry.retire(epoch, left.number)
    assert (seen(older).builds[1:], seen(older).ended) == ((), before.ended)


def columns(database: Database) -> set[str]:
    """Of the table of builds."""
    query = "SELECT attname::text FROM pg_attribute WHERE attrelid = 'projections.build'::regclass AND attnum > 0"
    return {name for (name,) in database.run(query)}


def test_what_an_operator_of_an_older_release_gives_up_later(build: PostgresBuild) -> None:
    """It may lead again for a while, and knows no endings."""
    left_by_the_release_before(build, "")
    (left,) = seen(build).builds
    assert (left.ending, left.reason) == (Ending.SUPERSEDED, "why not")
    assert seen(build).ended == (EndedBuild(1, "1", "", Ending.SUPERSEDED, "why not", left.changed_at),)


def test_no_other_word_is_an_ending(build: PostgresBuild) -> None:
    with pytest.raises(errors.CheckViolation):
        build.database.run("UPDATE projections.build SET ending = 'Lost'")
    for ending in Ending:
        build.database.run("UPDATE projections.build SET ending = %s", ending)


def test_another_version_of_projector_run_supersedes_what_is_not_live_yet(database: Database) -> None:
    admin = create_autospec(KafkaAdmin, instance=True)
    admin.describe.return_value = ENDS
    with closing(PostgresRegistry(database.uri(), INSTALLATION)) as registry:

        def run(name: str) -> int:
            spec = load_spec(spec_data() | {"version": name})
            request = Request("orders", "default", spec, database.uri(), ("kafka:9092",), None, None)
            return Control(request, registry, admin).prepare()

        assert [run("1"), run("2"), run("2")] == [1, 2, 2]
        view = registry.observe(Identity(INSTALLATION, "default", "orders"))
    assert view is not None
    assert [(one.number, one.state) for one in view.builds] == [(1, "Abandoned"), (2, "Replaying")]
    (ended,) = view.ended
    assert (ended.number, ended.ending, ended.reason) == (1, Ending.SUPERSEDED, "superseded by version 2")
