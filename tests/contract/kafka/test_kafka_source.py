"""Kafka as a source, on a real broker."""

import time

import pytest
from confluent_kafka import Consumer, TopicPartition

from projector.ports import SourceUnavailable
from projector.sources.kafka import KafkaSource
from tests.contract.source_contract import Member, SourceContract
from tests.support import wait
from tests.support.kafka import KafkaBench

NOBODY = "127.0.0.1:1"


class TestKafkaSource(SourceContract):
    """The contract on Kafka."""


def test_positions_are_mirrored_to_the_group(bench: KafkaBench) -> None:
    bench.produce(0, [b"a", b"b"])
    member = Member(bench.source())
    member.until(lambda: len(member.owned) == 2)
    member.source.mirror({bench.partition(0): 2})
    watcher = Consumer({"bootstrap.servers": bench.servers, "group.id": bench.group})

    def mirrored() -> int:
        member.fetch(timeout=0.05)
        return watcher.committed([TopicPartition(bench.topic, 0)], timeout=10)[0].offset

    wait.until("the offset is committed", mirrored, lambda offset: offset == 2, 20, 0)
    watcher.close()
    member.source.close()


def test_unreachable_brokers_are_named() -> None:
    member = Member(KafkaSource([NOBODY], ["orders"], "g"))
    with pytest.raises(SourceUnavailable, match=rf"Kafka at {NOBODY}: no broker answers \(.*refused"):
        member.until(lambda: False)
    member.source.close()


def test_records_arrive_in_milliseconds(bench: KafkaBench) -> None:
    member = Member(bench.source())
    member.until(lambda: len(member.owned) == 2)
    place = bench.partition(0)
    member.source.resume(place, 0)
    member.until(lambda: member.ends.get(place) == 0)
    times = []
    for number in range(20):
        bench.produce(0, [b"x"])
        sent = time.perf_counter()
        member.until(lambda expected=number + 1: len(member.records) == expected)  # type: ignore[misc]
        times.append(time.perf_counter() - sent)
    assert sorted(times)[10] < 0.05
    member.source.close()


def test_an_open_transaction_is_neither_read_nor_the_end(bench: KafkaBench) -> None:
    bench.produce(0, [b"a"])
    open_transaction = bench.begun(0, [b"later"])
    member = Member(bench.source())
    member.until(lambda: len(member.owned) == 2)
    place = bench.partition(0)
    member.source.resume(place, 0)
    member.until(lambda: place in member.ends)
    assert member.ends[place] == 1
    assert member.values(place) == [b"a"]
    open_transaction.commit_transaction()
    member.until(lambda: member.ends[place] == 3)
    assert member.values(place) == [b"a", b"later"]
    member.source.close()
