"""Questions about topics, on a real broker."""

import time
from collections.abc import Callable

import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient

from projector.ports import Ends, Partition, SourceAdmin, SourceUnavailable, TopicMissing
from projector.sources.kafka_admin import KafkaAdmin
from tests.contract.source_contract import Member
from tests.support import wait
from tests.support.kafka import KafkaBench


@pytest.fixture
def admin(kafka: str) -> SourceAdmin:
    return KafkaAdmin([kafka])


def test_ends_are_those_of_committed_records(bench: KafkaBench, admin: SourceAdmin) -> None:
    bench.produce(0, [b"a", b"b", b"c"])
    bench.truncate(0, 1)
    bench.transaction(1, [b"x"], commit=True)
    pending = bench.begun(1, [b"later"])
    assert admin.describe([bench.topic]) == {bench.partition(0): Ends(1, 3, 3), bench.partition(1): Ends(0, 2, 3)}
    pending.abort_transaction()
    place = bench.partition(1)
    wait.until("the marker is written", lambda: admin.describe([bench.topic])[place], lambda e: e == Ends(0, 4, 4), 10)


def test_several_topics_are_described_at_once(bench: KafkaBench, other: KafkaBench, admin: SourceAdmin) -> None:
    bench.produce(0, [b"a"])
    other.produce(0, [b"x", b"y"])
    found = admin.describe([other.topic, bench.topic])
    assert found[bench.partition(0)] == Ends(0, 1, 1)
    assert found[other.partition(0)] == Ends(0, 2, 2)
    assert len(found) == 4


def test_a_topic_that_grew_has_more_partitions_under_the_same_id(bench: KafkaBench, admin: SourceAdmin) -> None:
    before = set(admin.describe([bench.topic]))
    bench.grow(3)
    after = set(admin.describe([bench.topic]))
    assert after == before | {Partition(bench.topic, bench.partition(0).topic_id, 2)}


def test_a_topic_created_anew_has_another_id(bench: KafkaBench, admin: SourceAdmin) -> None:
    before = set(admin.describe([bench.topic]))
    bench.recreate()
    assert before.isdisjoint(admin.describe([bench.topic]))


def test_a_missing_topic_is_named(bench: KafkaBench, admin: SourceAdmin) -> None:
    with pytest.raises(TopicMissing) as caught:
        admin.describe([bench.topic, "there-is-none"])
    assert caught.value.topic == "there-is-none"


@pytest.mark.parametrize(
    "ask",
    [
        lambda admin: admin.describe(["orders"]),
        lambda admin: admin.compacted(["orders"]),
        lambda admin: admin.delete_group("shop.orders.b1"),
    ],
    ids=["describe", "compacted", "delete_group"],
)
def test_an_unreachable_broker_is_named_in_time(ask: Callable[[SourceAdmin], object]) -> None:
    started = time.monotonic()
    with pytest.raises(SourceUnavailable, match=r"Kafka at 127\.0\.0\.1:1: no answer within the time limit"):
        ask(KafkaAdmin(["127.0.0.1:1"]))
    assert time.monotonic() - started < 7


def test_the_oldest_unread_record_is_found_and_none_where_all_is_read(bench: KafkaBench, admin: SourceAdmin) -> None:
    before = int(time.time() * 1000)
    bench.produce(0, [b"a", b"b"])
    bench.transaction(1, [b"x"], commit=False)
    first, second = bench.partition(0), bench.partition(1)
    started = time.monotonic()
    found = admin.oldest_unread({first: 1, second: 0})
    assert time.monotonic() - started < 4
    assert set(found) == {first}
    assert before <= found[first] <= int(time.time() * 1000)
    assert admin.oldest_unread({first: 2}) == {}
    assert admin.oldest_unread({}) == {}


def test_a_position_that_the_log_does_not_have_has_no_oldest_record(bench: KafkaBench, admin: SourceAdmin) -> None:
    bench.produce(0, [b"a"])
    assert admin.oldest_unread({bench.partition(0): 50}) == {}


@pytest.mark.parametrize(("policy", "compacted"), [("compact", True), ("compact,delete", True), ("delete", False)])
def test_topics_whose_older_records_are_dropped_by_key_are_named(
    kafka: str, bench: KafkaBench, admin: SourceAdmin, policy: str, compacted: bool
) -> None:
    made = KafkaBench(kafka, 1, config={"cleanup.policy": policy})
    assert admin.compacted([bench.topic, made.topic]) == ({made.topic} if compacted else set())
    made.close()


def test_of_no_topics_none_is_compacted(admin: SourceAdmin) -> None:
    assert admin.compacted([]) == frozenset()


def test_a_missing_topic_is_not_taken_for_one_that_keeps_all(bench: KafkaBench, admin: SourceAdmin) -> None:
    with pytest.raises(TopicMissing) as caught:
        admin.compacted([bench.topic, "there-is-none"])
    assert caught.value.topic == "there-is-none"


def groups(bench: KafkaBench) -> set[str]:
    """All consumer groups that the cluster knows."""
    client = AdminClient({"bootstrap.servers": bench.servers, "log_level": 2})
    return {group.group_id for group in client.list_consumer_groups().result(30).valid}


def test_a_group_that_was_left_is_forgotten_with_its_offsets(bench: KafkaBench, admin: SourceAdmin) -> None:
    member = Consumer({"bootstrap.servers": bench.servers, "group.id": bench.group})
    member.commit(offsets=[TopicPartition(bench.topic, 0, 1)], asynchronous=False)
    member.close()
    assert bench.group in groups(bench)
    admin.delete_group(bench.group)
    assert bench.group not in groups(bench)
    admin.delete_group(bench.group)


def test_a_group_with_members_stays_and_it_is_said_why(bench: KafkaBench, admin: SourceAdmin) -> None:
    member = Member(bench.source())
    member.until(lambda: len(member.owned) == 2)
    said = rf"the consumer group has members \(deleting consumer group {bench.group}\)"
    with pytest.raises(SourceUnavailable, match=said):
        admin.delete_group(bench.group)
    assert bench.group in groups(bench)
    member.source.close()
    admin.delete_group(bench.group)
    assert bench.group not in groups(bench)
