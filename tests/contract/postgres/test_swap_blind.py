"""An operator's role that may not see what other roles do: a swap says so, and does not take silence for calm."""

from collections.abc import Iterator

import pytest

from projector.registry import SwapTerms, WrongState
from tests.support.postgres import Database, PostgresBuild, begin
from tests.support.swaps import FOLLOWED, publish, swapped, version


@pytest.fixture
def blind(database: Database) -> Iterator[PostgresBuild]:
    """A live build of an operator with the rights on the database and on the schema alone."""
    operator = database.role("admin")
    database.run(f"GRANT CREATE, CONNECT ON DATABASE {database.name} TO {operator}")
    database.run(f"GRANT USAGE, CREATE ON SCHEMA public TO {operator}")
    made = begin(database, FOLLOWED, worker=database.role("worker"), operator=operator)
    publish(made)
    yield made
    made.close()


def granted(build: PostgresBuild) -> str:
    found = build.registry.survey(build.identity)
    assert found is not None
    return found.blind


def test_a_swap_that_is_to_wait_and_cannot_see_whom_for_names_the_right(blind: PostgresBuild) -> None:
    second = version(blind, "2", FOLLOWED)
    statement = granted(blind)
    assert statement.startswith("GRANT pg_read_all_stats TO ")
    with pytest.raises(WrongState, match=statement):
        blind.registry.swap(blind.epoch, second.spec.build, SwapTerms())
    blind.database.run(statement)
    assert granted(blind) == ""
    swapped(second)
    assert blind.database.run("SELECT live_build FROM projections.projection") == [(second.spec.build,)]


def test_a_swap_that_is_not_to_wait_needs_no_such_right(blind: PostgresBuild) -> None:
    second = version(blind, "2", FOLLOWED)
    swapped(second, SwapTerms(wait_for_snapshots=False))
    assert blind.database.run("SELECT live_build FROM projections.projection") == [(second.spec.build,)]


def test_what_a_view_loses_when_it_is_made_anew_is_told(blind: PostgresBuild) -> None:
    for statement in (
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION $$no$$; END'",
        "CREATE TRIGGER no_writes INSTEAD OF UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION refuse()",
        "CREATE RULE no_deletes AS ON DELETE TO orders DO INSTEAD NOTHING",
    ):
        blind.database.run(statement)
    found = blind.registry.survey(blind.identity)
    assert found is not None
    assert [(one.kind, one.name) for one in found.unmanaged] == [
        ("rule of the view", "no_deletes"),
        ("trigger of the view", "no_writes"),
    ]
