"""What is read for a change of version, and when."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from projection_operator.core.case import Case
from projection_operator.core.lag import Lag
from projection_operator.core.observation import Observation, Site, SourceView, Unknown
from projection_operator.loop.observe import Observer
from projection_operator.loop.rates import Rates
from projector.ports import Ends, Partition
from projector.registry import BuildState, Identity, Survey
from projector.spec.definition import Definition
from tests.support.operator_world import KEY, FakeCluster, FakeDatabases, FakeLogs
from tests.support.projections import (
    IMAGE,
    INSTALLATION,
    NOW,
    OTHER_RULES,
    SOURCE_DOWN,
    SURVEY,
    TARGET_DOWN,
    TOPIC_MISSING,
    build,
    second_build,
    source,
    spec,
    view,
)
from tests.support.specs import spec_data

pytestmark = pytest.mark.asyncio

KAFKA = spec_data()["source"]["kafka"]
PAYMENTS = {"kafka": {**KAFKA, "topics": ["payments"]}}
NEW_LOG = SourceView({Partition("payments", "topic-9", 0): Ends(0, 40)})


class Topics(FakeLogs):
    """Logs of several topics, and what was asked of them."""

    def __init__(self) -> None:
        super().__init__()
        self.view: SourceView | Unknown = source()
        self.logs: dict[tuple[str, ...], SourceView | Unknown] = {}
        self.asked: list[tuple[str, ...]] = []
        self.compaction_asked = 0

    async def describe(
        self,
        servers: Sequence[str],
        topics: Sequence[str],
        unread: Callable[[Mapping[Partition, Ends]], Mapping[Partition, int]],
    ) -> SourceView | Unknown:
        self.asked.append(tuple(topics))
        found = self.logs.get(tuple(topics))
        return await super().describe(servers, topics, unread) if found is None else found

    async def compacted(self, servers: Sequence[str], topics: Sequence[str]) -> frozenset[str] | Unknown:
        self.compaction_asked += 1
        return await super().compacted(servers, topics)


class Surveyed(FakeDatabases):
    def __init__(self) -> None:
        super().__init__()
        self.surveys = 0

    async def survey(self, database: Any, identity: Identity) -> Survey | Unknown | None:
        self.surveys += 1
        return await super().survey(database, identity)


class Bench:
    """An observer, and what it looks at."""

    def __init__(self) -> None:
        self.cluster, self.databases, self.logs = FakeCluster(), Surveyed(), Topics()
        self.observer = Observer(self.cluster, self.databases, self.logs, Site(INSTALLATION, IMAGE))
        self.cluster.apply()
        self.databases.registry.entry = view(build())

    async def look(self, name: str = "orders") -> Observation:
        body = await self.cluster.projection(*KEY)
        assert body is not None
        body["metadata"]["name"] = name
        return (await self.observer.observe(body)).observation


@pytest.fixture
def bench() -> Bench:
    return Bench()


async def test_where_what_is_live_is_asked_for_nothing_of_a_change_is_read(bench: Bench) -> None:
    seen = await bench.look()
    assert (seen.survey, seen.compacted, seen.rates, seen.rebuilding) == (None, frozenset(), {}, 0)
    assert bench.logs.asked == [("orders",)]
    assert (bench.databases.surveys, bench.logs.compaction_asked) == (0, 0)


async def test_before_a_beginning_the_table_and_compaction_are_looked_at(bench: Bench) -> None:
    bench.logs.compacts = frozenset({"orders"})
    bench.cluster.apply(version="2", rules=OTHER_RULES)
    seen = await bench.look()
    assert (seen.survey, seen.compacted) == (SURVEY, frozenset({"orders"}))


async def test_once_a_candidate_is_there_its_log_was_judged(bench: Bench) -> None:
    bench.cluster.apply(version="2", rules=OTHER_RULES)
    bench.databases.registry.entry = view(build(), second_build(BuildState.REPLAYING, (1, 1)))
    seen = await bench.look()
    assert (seen.survey, bench.logs.compaction_asked) == (SURVEY, 0)


async def test_of_a_first_build_compaction_is_asked_and_no_table_is_there_to_look_at(bench: Bench) -> None:
    bench.databases.registry.entry = view()
    seen = await bench.look()
    assert (seen.survey, bench.databases.surveys, bench.logs.compaction_asked) == (None, 0, 1)


async def test_a_silent_log_is_not_asked_for_compaction(bench: Bench) -> None:
    bench.cluster.apply(version="2", rules=OTHER_RULES)
    bench.logs.view = SOURCE_DOWN
    seen = await bench.look()
    assert (seen.source, bench.logs.compaction_asked) == (SOURCE_DOWN, 0)


async def test_a_silent_registry_ends_it(bench: Bench) -> None:
    bench.cluster.apply(version="2", rules=OTHER_RULES)
    bench.databases.down = TARGET_DOWN
    seen = await bench.look()
    assert (seen.registry, seen.source, seen.survey) == (TARGET_DOWN, TARGET_DOWN, None)
    assert bench.logs.asked == []


async def test_a_version_that_reads_another_topic_has_a_log_of_its_own(bench: Bench) -> None:
    bench.logs.logs = {("payments",): NEW_LOG}
    bench.cluster.apply(version="2", source=PAYMENTS)
    seen = await bench.look()
    case = Case(seen, NOW)
    assert sorted(bench.logs.asked) == [("orders",), ("payments",)]
    assert case.log_of_spec == NEW_LOG
    assert isinstance(seen.source, SourceView)
    assert seen.source.ends == source().ends
    assert isinstance(case.lag, Lag)


async def test_lag_of_the_live_build_stays_known_where_the_new_topic_is_missing(bench: Bench) -> None:
    bench.logs.logs = {("payments",): TOPIC_MISSING}
    bench.cluster.apply(version="2", source=PAYMENTS)
    case = Case(await bench.look(), NOW)
    assert case.lag == Lag(0, 0)
    assert case.log_of_spec == TOPIC_MISSING


async def test_a_candidate_of_another_topic_is_measured_by_its_own(bench: Bench) -> None:
    bench.logs.logs = {("payments",): NEW_LOG}
    bench.cluster.apply(version="2", source=PAYMENTS)
    (place,) = NEW_LOG.ends
    definition = Definition.of(spec(version="2", source=PAYMENTS))
    candidate = second_build(BuildState.REPLAYING, definition=definition, checkpoints=())
    point = replace(build().checkpoints[0], partition=place, next_offset=10, replay_end=40)
    candidate = replace(candidate, checkpoints=(point,))
    bench.databases.registry.entry = view(build(at=(90, 100)), candidate)
    case = Case(await bench.look(), NOW)
    assert case.lag_of(candidate) == Lag(30, None)
    assert case.lag == Lag(10, 4)


async def test_what_is_kept_of_another_topic_is_measured_too(bench: Bench) -> None:
    bench.logs.logs = {("payments",): NEW_LOG}
    definition = Definition.of(spec(version="0", source=PAYMENTS))
    kept = build(BuildState.WARM, number=5, version="0", definition=definition, checkpoints=())
    bench.databases.registry.entry = view(kept, build(), build(BuildState.ABANDONED, number=4, definition=definition))
    case = Case(await bench.look(), NOW)
    assert case.log_of(kept) == NEW_LOG
    assert bench.logs.asked.count(("payments",)) == 1


# How many others rebuild.


async def test_other_projections_that_rebuild_are_counted_and_oneself_is_not(bench: Bench) -> None:
    bench.cluster.apply(version="2", rules=OTHER_RULES)
    bench.databases.registry.entry = view(build(), second_build(BuildState.REPLAYING, (1, 1)))
    assert (await bench.look("orders")).rebuilding == 0
    assert (await bench.look("orders")).rebuilding == 0
    assert (await bench.look("customers")).rebuilding == 1
    assert (await bench.look("orders")).rebuilding == 1
    # A first build disturbs nobody's readers, and what is over counts no more.
    bench.databases.registry.entry = view(build(BuildState.REPLAYING, (1, 1)))
    assert (await bench.look("orders")).rebuilding == 1
    assert (await bench.look("customers")).rebuilding == 0
    assert (await bench.look("orders")).rebuilding == 0


async def test_a_projection_that_is_gone_counts_no_more(bench: Bench) -> None:
    bench.cluster.apply(version="2", rules=OTHER_RULES)
    bench.databases.registry.entry = view(build(), second_build(BuildState.REPLAYING, (1, 1)))
    await bench.look("customers")
    bench.observer.forget(("shop", "customers"))
    assert (await bench.look("orders")).rebuilding == 0


async def test_a_rebuild_goes_on_counting_while_its_registry_is_silent(bench: Bench) -> None:
    bench.cluster.apply(version="2", rules=OTHER_RULES)
    bench.databases.registry.entry = view(build(), second_build(BuildState.REPLAYING, (1, 1)))
    await bench.look("customers")
    bench.databases.down = TARGET_DOWN
    assert (await bench.look("customers")).rebuilding == 0
    assert (await bench.look("orders")).rebuilding == 1


async def test_a_rate_is_that_of_the_candidate(bench: Bench) -> None:
    times = iter((100.0, 110.0))
    bench.observer._rates = Rates(lambda: next(times))
    bench.cluster.apply(version="2", rules=OTHER_RULES)
    bench.databases.registry.entry = view(build(), second_build(BuildState.REPLAYING, (10, 0)))
    assert (await bench.look()).rates == {}
    bench.databases.registry.entry = view(build(), second_build(BuildState.REPLAYING, (60, 0)))
    assert (await bench.look()).rates == {8: 5.0}
