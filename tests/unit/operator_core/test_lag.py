"""Lag, progress, and checkpoints that do not fit the log."""

import pytest

from projection_operator.core import lag
from projection_operator.core.observation import SourceView, Unknown
from projection_operator.core.reasons import Reason
from projector.ports import Ends, Partition
from projector.registry import BuildState, BuildView
from projector.spec.definition import Definition
from tests.support.projections import (
    IDENTITY,
    NOW,
    P0,
    P1,
    SOURCE_DOWN,
    TOPIC_MISSING,
    build,
    checkpoint,
    source,
    spec,
)

PAYMENTS = Partition("payments", "id-2", 0)
SECONDS_AGO = int(NOW.timestamp() * 1000)


@pytest.mark.parametrize(
    ("at", "log", "events", "seconds"),
    [
        ((100, 100), source(100, 100), 0, 0),
        ((90, 40), source(100, 100), 70, 8),
        # Retention took what was read.
        ((60, 100), SourceView({P0: Ends(60, 100), P1: Ends(0, 100)}, {P0: SECONDS_AGO - 3_000}), 40, 3),
        # Unread, but nobody could say how old: unknown is not zero.
        ((90, 100), source(100, 100, oldest=None), 10, None),
        ((90, 100), source(100, 100, oldest={}), 10, None),
        # Clocks differ: never negative.
        ((90, 100), source(100, 100, oldest={P0: SECONDS_AGO + 60_000}), 10, 0),
        # An empty topic.
        ((0, 0), source(0, 0), 0, 0),
        # Partitions that the build does not know count whole.
        ((100, 100), source(100, 100, 7), 7, 8),
    ],
)
def test_lag(at: tuple[int, int], log: SourceView, events: int, seconds: int | None) -> None:
    assert lag.measure(build(at=at), log, NOW) == lag.Lag(events, seconds)


@pytest.mark.parametrize("why", [SOURCE_DOWN, TOPIC_MISSING])
def test_unknown_stays_unknown(why: Unknown) -> None:
    assert lag.measure(build(), why, NOW) == why


def test_a_checkpoint_beyond_the_end_is_never_lag_zero() -> None:
    found = lag.measure(build(at=(100, 101)), source(100, 100), NOW)
    assert found == Unknown(
        Reason.SOURCE_CHANGED,
        "spec.source.kafka.topics[0]: topic orders, partition 1, ends at offset 100, before the position 101 of the "
        "read model: records were lost or cut off",
    )


def test_retention_that_overtook_a_checkpoint_is_never_lag_zero() -> None:
    log = SourceView({P0: Ends(100, 100), P1: Ends(0, 100)})
    assert lag.measure(build(at=(99, 100)), log, NOW) == Unknown(
        Reason.SOURCE_CHANGED,
        "spec.source.kafka.topics[0]: topic orders, partition 0, starts at offset 100, after the position 99 of the "
        "read model: retention (or delete-records) overtook it, and 1 offsets can be read no more",
    )
    assert lag.measure(build(at=(100, 100)), log, NOW) == lag.Lag(0, 0)


def of_two_topics(mode: str = "PerKey") -> BuildView:
    """A build of orders (2 partitions) and payments (1)."""
    rule = {"events": ["E"], "key": {"id": "event.id"}, "increment": {"total": "event.n"}}
    wanted = spec(
        source={"kafka": {"bootstrapServers": ["kafka:9092"], "topics": ["payments", "orders"]}},
        rules=[rule],
        ordering={"mode": mode},
    )
    points = tuple(checkpoint(partition, 100) for partition in (P0, P1, PAYMENTS))
    return build(checkpoints=points, definition=Definition.of(wanted))


def two_topics(*more: Partition, payments: Partition = PAYMENTS) -> SourceView:
    return SourceView(dict.fromkeys((P0, P1, payments, *more), Ends(0, 100)))


def test_each_topic_is_named_by_its_place_in_the_spec() -> None:
    again = lag.source_changed(of_two_topics(), two_topics(payments=Partition("payments", "other", 0)))
    assert again is not None
    assert again.message.startswith("spec.source.kafka.topics[0]: topic payments, partition 0, is not the one")
    fallen = two_topics()
    ahead = lag.source_changed(of_two_topics(), SourceView({**fallen.ends, P1: Ends(0, 99)}))
    assert ahead is not None
    assert ahead.message.startswith("spec.source.kafka.topics[1]: topic orders, partition 1, ends at offset 99")


def test_growth_is_counted_per_topic() -> None:
    found = lag.grown(of_two_topics(), two_topics(Partition("payments", "id-2", 1)))
    assert found is not None
    assert found.message == ("spec.source.kafka.topics[0]: topic payments has 2 partitions, build 7 was begun with 1")


def test_where_order_does_not_matter_a_topic_may_grow() -> None:
    new = Partition("payments", "id-2", 1)
    assert lag.grown(of_two_topics(mode="Commutative"), two_topics(new)) is None
    assert lag.added(of_two_topics(mode="Commutative"), two_topics(new)) == (new,)


def test_partitions_of_a_topic_created_anew_are_not_added_ones() -> None:
    again = two_topics(payments=Partition("payments", "other", 0))
    assert lag.added(of_two_topics(mode="Commutative"), again) == ()


def test_another_incarnation_of_the_topic_is_never_lag_zero() -> None:
    again = SourceView({Partition("orders", "topic-2", number): Ends(0, 500) for number in range(2)})
    found = lag.measure(build(), again, NOW)
    assert isinstance(found, Unknown)
    assert found.reason is Reason.SOURCE_CHANGED
    assert "it was deleted and created again (id then topic-1)" in found.message


def test_grown() -> None:
    found = lag.grown(build(), source(100, 100, 1))
    assert found is not None
    assert "topic orders has 3 partitions, build 7 was begun with 2" in found.message
    assert lag.grown(build(), source()) is None


@pytest.mark.parametrize(
    ("at", "percent", "done"),
    [
        ((0, 0), 0, False),
        ((99, 100), 99, False),
        ((100, 100), 100, True),
        ((150, 100), 100, True),
        ((150, 50), 75, False),
    ],
)
def test_progress_is_100_only_when_all_is_replayed(at: tuple[int, int], percent: int, done: bool) -> None:
    one = build(BuildState.REPLAYING, at)
    assert lag.percent(one) == percent
    assert lag.replayed(one) is done


def test_a_log_without_events_is_replayed_at_once() -> None:
    one = build(BuildState.REPLAYING, checkpoints=(checkpoint(P0, 0, end=0),))
    assert lag.replayed(one)
    assert lag.percent(one) == 100


def test_stuck_names_the_first_and_the_command() -> None:
    points = (checkpoint(P1, 9, stuck="event.id is missing"), checkpoint(P0, 5, stuck="not JSON"))
    found = lag.stuck(build(checkpoints=points), IDENTITY)
    assert found == Unknown(
        Reason.PARTITIONS_STUCK,
        "topic orders, partition 0, offset 5: not JSON (1 more partition is stuck). The partition waits in front of "
        "this event. To pass over it: projector discard --installation 11111111-2222-3333-4444-555555555555 "
        "--namespace shop --name orders --partition orders/0 --offset 5 --reason <why>",
    )
    assert lag.stuck(build(), IDENTITY) is None
