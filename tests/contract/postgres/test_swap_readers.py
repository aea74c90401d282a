"""Law 2: while builds are swapped under constant writes, no reader of the public name goes back or gets an error."""

from collections.abc import Iterator

import pytest

from projector.stores.postgres.definitions import view_query
from tests.support.postgres import Database, PostgresBuild, begin
from tests.support.swaps import FOLLOWED, Log, followed, publish, read_by, swapped, version

SWAPS = 50
READERS = 8
LATE = 0.02
"""Seconds that the second build's worker is behind the first one's."""


@pytest.fixture
def builds(database: Database) -> Iterator[list[PostgresBuild]]:
    """One live, one that catches up."""
    first = begin(database, FOLLOWED, worker=database.role("worker"))
    publish(first)
    second = version(first, "2", FOLLOWED)
    yield [first, second]
    first.close()


def test_readers_see_no_error_and_never_go_back(
    builds: list[PostgresBuild], capsys: pytest.CaptureFixture[str]
) -> None:
    uri = builds[0].database.uri()
    with followed(Log(), [(builds[0], 0.0), (builds[1], LATE)]), read_by(uri, READERS) as readers:
        tries = [swapped(builds[number % 2 == 0]) for number in range(SWAPS)]
    stalls = sorted(seconds for reader in readers for seconds in reader.seconds)
    slow, slowest = stalls[-len(stalls) // 100] * 1000, stalls[-1] * 1000
    with capsys.disabled():
        said = f"{len(stalls)} reads during {SWAPS} swaps in {sum(tries)} tries"
        print(f"\n{said}: p99 {slow:.1f} ms, longest {slowest:.1f} ms")  # noqa: T201 - a figure for the log
    assert [reader.errors for reader in readers] == [[]] * READERS
    assert [reader.back for reader in readers] == [0] * READERS
    assert min(reader.reads for reader in readers) > SWAPS
    for build in builds:
        view = build.registry.observe(build.identity)
        assert view is not None
        (mine,) = [one for one in view.builds if one.number == build.spec.build]
        at = {(f"{point.partition.number}",): {"total": point.next_offset} for point in mine.checkpoints}
        assert build.rows() == at


def test_without_the_gate_reads_go_back(builds: list[PostgresBuild]) -> None:
    """What the test above sees is there to be seen."""
    uri = builds[0].database.uri()
    with followed(Log(), [(builds[0], 0.0), (builds[1], LATE)]), read_by(uri, READERS) as readers:
        for number in range(SWAPS):
            spec = builds[number % 2 == 0].spec
            query = view_query(spec.schema, spec.table, spec.definition).as_string()
            builds[0].database.run(f"CREATE OR REPLACE VIEW public.orders AS {query}")
    assert sum(reader.back for reader in readers) > 0
