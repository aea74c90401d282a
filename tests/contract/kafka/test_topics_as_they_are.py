"""What topics of real teams are like: several, compacted, grown, with large records and transactions that hang."""

import time
from collections.abc import Callable, Iterator

import pytest

from projector.ports import Partition, SourceChanged, TopicMissing
from projector.sources.kafka import KafkaSource
from projector.sources.kafka_admin import KafkaAdmin
from tests.contract.source_contract import Member
from tests.support import wait
from tests.support.kafka import KafkaBench

LARGE = 10_000_000
"""Bytes of a record far above every limit that the client has by default."""

MOST_BYTES = 100_000_000
"""Bytes that one fetch may bring, however many records it may bring."""


@pytest.fixture
def of(bench: KafkaBench) -> Iterator[Callable[..., Member]]:
    """Makes members of the bench's group on its topic and others."""
    made: list[Member] = []

    def make(*others: str) -> Member:
        made.append(Member(KafkaSource([bench.servers], [bench.topic, *others], bench.group)))
        return made[-1]

    yield make
    for member in made:
        member.source.close()


@pytest.fixture
def compacted(kafka: str) -> Iterator[KafkaBench]:
    """A topic that the broker compacts as soon as it looks."""
    config = {
        "cleanup.policy": "compact", "segment.ms": "100", "min.cleanable.dirty.ratio": "0.01",
        "min.compaction.lag.ms": "0", "max.compaction.lag.ms": "1", "delete.retention.ms": "0",
    }  # fmt: skip
    made = KafkaBench(kafka, 1, config=config)
    yield made
    made.close()


@pytest.fixture
def wide(kafka: str) -> Iterator[KafkaBench]:
    """A topic that takes records of many megabytes."""
    made = KafkaBench(kafka, 1, config={"max.message.bytes": str(2 * LARGE)})
    yield made
    made.close()


def owning(member: Member, partitions: int) -> Member:
    """The member, once it owns so many."""
    member.until(lambda: len(member.owned) == partitions)
    return member


def of_topic(member: Member, topic: str) -> list[bytes | None]:
    """Values of one of several topics."""
    return [record.value() for record in member.records if record.topic() == topic]


def test_several_topics_are_read_each_from_its_own_place(
    bench: KafkaBench, other: KafkaBench, of: Callable[..., Member]
) -> None:
    bench.produce(0, [b"a", b"b"])
    other.produce(0, [b"x", b"y", b"z"])
    member = owning(of(other.topic), 4)
    assert member.owned == {b.partition(n) for b in (bench, other) for n in (0, 1)}
    member.source.resume(bench.partition(0), 1)
    member.source.resume(other.partition(0), 0)
    member.until(lambda: member.ends == {bench.partition(0): 2, other.partition(0): 3})
    assert of_topic(member, bench.topic) == [b"b"]
    assert of_topic(member, other.topic) == [b"x", b"y", b"z"]
    assert member.source.ends() == {bench.partition(0): 2, other.partition(0): 3}


def test_one_topic_created_anew_stops_its_own_partitions_only(
    bench: KafkaBench, other: KafkaBench, of: Callable[..., Member]
) -> None:
    member = owning(of(other.topic), 4)
    gone = other.partition(0)
    bench.produce(0, [b"a"])
    other.produce(0, [b"old"])
    for place in (bench.partition(0), gone):
        member.source.resume(place, 0)
    member.until(lambda: len(member.records) == 2)
    other.recreate()
    other.produce(0, [b"new"] * 3)
    found: list[Partition | None] = []

    def noticed() -> bool:
        bench.produce(0, [b"a"])
        try:
            member.fetch()
        except TopicMissing:
            return False
        except SourceChanged as error:
            found.append(error.partition)
            member.source.pause(gone)
        return bool(found) or other.partition(0) in member.owned

    wait.true("the other topic is noticed", noticed, 30, 0)
    assert found in ([], [gone])
    before = len(of_topic(member, bench.topic))
    bench.produce(0, [b"last"])
    member.until(lambda: of_topic(member, bench.topic)[-1] == b"last" and len(of_topic(member, bench.topic)) > before)
    assert of_topic(member, other.topic) == [b"old"]


def test_a_missing_topic_is_named_while_the_others_are_read(bench: KafkaBench, of: Callable[..., Member]) -> None:
    bench.produce(0, [b"a"])
    member = of(f"{bench.topic}-none")
    named: list[str] = []

    def read() -> bool:
        try:
            member.fetch()
        except TopicMissing as error:
            named.append(error.topic)
        if bench.partition(0) in member.owned and not member.source.ends():
            member.source.resume(bench.partition(0), 0)
        return bool(named) and member.values(bench.partition(0)) == [b"a"]

    wait.true("the topic that is there is read, and the other one named", read, 30, 0)
    assert set(named) == {f"{bench.topic}-none"}


def test_a_compacted_topic_is_read_over_its_holes_and_tombstones(compacted: KafkaBench) -> None:
    for value in (b"1", b"2", b"3"):
        compacted.produce(0, [value], b"often")
        compacted.produce(0, [None], b"gone")
    # A segment ends by age. Two more, for the active one is never compacted.
    for _ in range(2):
        time.sleep(0.2)
        compacted.produce(0, [b"end"], b"end")
    place = compacted.partition(0)

    def offsets(start: int = 0) -> list[int]:
        member = owning(Member(KafkaSource([compacted.servers], [compacted.topic], f"{compacted.group}-look")), 1)
        member.source.resume(place, start)
        member.until(lambda: member.ends.get(place) == 8)
        member.source.close()
        return [record.offset() for record in member.records]

    found = wait.until("the log is compacted", offsets, lambda at: at[0] > 0 and 0 < len(at) < 7, 90, 0.5)
    assert found == sorted(set(found))
    assert 4 in found, "the newest record of a key stays"
    assert offsets(1) == found, "a checkpoint in a hole goes on behind it"
    assert offsets(found[-1] + 1) == []


def test_large_records_come_through_and_few_at_a_time(wide: KafkaBench) -> None:
    values = [bytes([number]) * LARGE for number in range(3)]
    wide.produce(0, values)
    wide.produce(0, [b"s" * 1_000_000] * 300)
    member = owning(Member(KafkaSource([wide.servers], [wide.topic], wide.group)), 1)
    place = wide.partition(0)
    member.source.resume(place, 0)
    sizes: list[int] = []
    count = 0
    while place not in member.ends:
        fetched = member.source.fetch(10_000, 1.0)
        member.ends |= fetched.ends
        sizes.append(fetched.size)
        for record in fetched.records.get(place, ()):
            if count < len(values):
                assert record.value() == values[count]
            count += 1
        # A worker is busy here: as much as may is fetched ahead.
        time.sleep(0.2)
    member.source.close()
    assert count == 303
    assert max(sizes) <= MOST_BYTES


def test_a_partition_that_was_added_is_given_to_the_group(bench: KafkaBench, of: Callable[..., Member]) -> None:
    member = owning(of(), 2)
    bench.produce(0, [b"a"])
    member.source.resume(bench.partition(0), 0)
    bench.grow(3)
    bench.produce(2, [b"x"])
    member.until(lambda: bench.partition(2) in member.owned)
    member.source.resume(bench.partition(2), 0)
    member.until(lambda: member.values(bench.partition(2)) == [b"x"])
    assert member.values(bench.partition(0)) == [b"a"]


def test_an_end_for_a_replay_is_reached_although_a_transaction_hangs(
    bench: KafkaBench, of: Callable[..., Member]
) -> None:
    bench.produce(0, [b"a"])
    hanging = bench.begun(0, [b"open"])
    bench.produce(0, [b"behind"])
    place = bench.partition(0)
    ends = KafkaAdmin([bench.servers]).describe([bench.topic])[place]
    assert (ends.end, ends.written) == (1, 3)
    member = owning(of(), 2)
    member.source.resume(place, 0)
    member.until(lambda: member.ends.get(place) == ends.end)
    assert member.values(place) == [b"a"]
    hanging.abort_transaction()
    member.until(lambda: member.ends.get(place) == 4)
    assert member.values(place) == [b"a", b"behind"]


def test_retention_that_overtakes_a_position_while_it_is_read_is_no_jump(
    bench: KafkaBench, of: Callable[..., Member]
) -> None:
    bench.produce(0, [b"a", b"b", b"c"])
    member = owning(of(), 2)
    place = bench.partition(0)
    member.source.resume(place, 0)
    member.until(lambda: len(member.records) == 3)
    member.source.pause(place)
    bench.produce(0, [b"d", b"e"])
    bench.truncate(0, 4)
    member.source.resume(place, 3)
    with pytest.raises(SourceChanged, match="does not hold offset 3"):
        member.until(lambda: False)
    assert member.values(place) == [b"a", b"b", b"c"]
