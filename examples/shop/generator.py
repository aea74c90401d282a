"""Sends the shop's events to Kafka: `python -m examples.shop.generator --create-topic --orders 1000`."""

import signal
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from itertools import chain, islice
from threading import Event as Flag
from threading import Thread
from types import FrameType
from typing import Self

import click
from confluent_kafka import IsolationLevel, KafkaError, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec  # type: ignore[attr-defined] # documented there, not in __all__

from examples.shop.events import Event, events, spoiled

PARTITIONS = 4
_FLUSH_S = 60.0
_LEADER_S = 30.0
_LEADER_PAUSE_S = 0.1
_NO_LEADER_YET = {
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.NOT_LEADER_FOR_PARTITION,
}


class NotDelivered(Exception):
    """Kafka refused an event or did not take it in time."""


def _client(bootstrap_servers: str) -> dict[str, str | int | float | bool]:
    # The client library tells of each retry; what fails in the end is raised.
    return {"bootstrap.servers": bootstrap_servers, "log_level": 3}


def create_topic(bootstrap_servers: str, topic: str, partitions: int = PARTITIONS) -> bool:
    """Create the topic and wait until each partition has a leader; False if the topic was there."""
    admin = AdminClient(_client(bootstrap_servers))
    wanted = NewTopic(topic, num_partitions=partitions, replication_factor=1)
    created = True
    try:
        admin.create_topics([wanted])[topic].result(timeout=30)
    except KafkaException as error:
        if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
            raise
        created = False
    ends(bootstrap_servers, topic)
    return created


def ends(bootstrap_servers: str, topic: str) -> dict[int, int]:
    """End offset of each partition, as a reader of committed records sees it.

    A topic that was made a moment ago has no leaders yet: asked again until it answers. Raises KafkaException when it
    does not within `_LEADER_S`.
    """
    admin = AdminClient(_client(bootstrap_servers))
    deadline = time.monotonic() + _LEADER_S
    while True:
        try:
            return _ends(admin, topic)
        except KafkaException as error:
            if error.args[0].code() not in _NO_LEADER_YET or time.monotonic() > deadline:
                raise
            time.sleep(_LEADER_PAUSE_S)


def _ends(admin: AdminClient, topic: str) -> dict[int, int]:
    metadata = admin.list_topics(topic, timeout=30).topics[topic]
    if metadata.error is not None:
        raise KafkaException(metadata.error)
    latest = OffsetSpec.latest()  # type: ignore[no-untyped-call] # the client's stubs leave it out
    asked = {TopicPartition(topic, number): latest for number in metadata.partitions}
    answers = admin.list_offsets(asked, isolation_level=IsolationLevel.READ_COMMITTED, request_timeout=30)
    return {place.partition: answer.result().offset for place, answer in answers.items()}


class Feed:
    """An idempotent producer that sends events no faster than asked."""

    def __init__(self, bootstrap_servers: str, topic: str) -> None:
        self._topic = topic
        self._failed: list[str] = []
        self._delivered = 0
        self._last = (-1, -1)
        self._producer = Producer(
            _client(bootstrap_servers) | {"acks": "all", "enable.idempotence": True, "linger.ms": 5}
        )

    @property
    def delivered(self) -> int:
        """How many events Kafka has confirmed."""
        return self._delivered

    @property
    def last(self) -> tuple[int, int]:
        """(partition, offset) of the event that was confirmed last."""
        return self._last

    def send(self, flow: Iterable[Event], rate: float | None, stopped: Callable[[], bool] = lambda: False) -> None:
        """Send until the flow ends or `stopped` says so, at most `rate` events per second; returns when all are in."""
        began = time.monotonic()
        for number, event in enumerate(flow):
            if stopped():
                break
            if rate is not None:
                time.sleep(max(0.0, began + number / rate - time.monotonic()))
            self._put(event)
        self.flush()

    def put_raw(self, key: bytes | None, value: bytes | None, kind: str | None, partition: int = -1) -> None:
        """Send one record as it is, also one that nobody can read; `flush` confirms it."""
        headers: list[tuple[str, str | bytes | None]] = [] if kind is None else [("ce_type", kind)]
        self._producer.produce(self._topic, value, key, partition, self._done, headers=headers)

    def flush(self) -> None:
        """Wait until Kafka has everything. Raises NotDelivered."""
        missing = self._producer.flush(_FLUSH_S)
        if self._failed or missing:
            raise NotDelivered(self._failed[0] if self._failed else f"{missing} events are not confirmed")

    def _put(self, event: Event) -> None:
        while True:
            with suppress(BufferError):
                self._producer.produce(
                    self._topic, event.value, event.key, on_delivery=self._done, headers=[("ce_type", event.type)]
                )
                self._producer.poll(0)
                return
            self._producer.poll(0.1)

    def _done(self, error: KafkaError | None, message: Message) -> None:
        if error is None:
            self._delivered += 1
            self._last = message.partition() or 0, message.offset() or 0
        else:
            self._failed.append(error.str())


class Background:
    """Events flowing in a thread, until the block ends: `with Background(servers, topic, seed, rate) as flow`."""

    def __init__(self, bootstrap_servers: str, topic: str, seed: int, rate: float) -> None:
        self.feed = Feed(bootstrap_servers, topic)
        self._stop = Flag()
        self._error: NotDelivered | None = None
        self._thread = Thread(target=self._run, args=(seed, rate), name=f"feed-{topic}", daemon=True)

    def _run(self, seed: int, rate: float) -> None:
        try:
            self.feed.send(events(seed), rate, self._stop.is_set)
        except NotDelivered as error:
            self._error = error

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> int:
        """End the flow, wait until Kafka has all of it, and return how many events that were."""
        self._stop.set()
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self.feed.delivered


@click.command()
@click.option("--bootstrap-servers", default="127.0.0.1:29092", show_default=True)
@click.option("--topic", default="orders", show_default=True)
@click.option("--create-topic", "create", is_flag=True, help=f"Create the topic with {PARTITIONS} partitions first.")
@click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True, help="Same seed, same events.")
@click.option("--orders", type=click.IntRange(min=1), default=1000, show_default=True, help="How many orders.")
@click.option("--count", type=click.IntRange(min=1), help="Stop after so many events.")
@click.option("--rate", type=click.FloatRange(min=0, min_open=True), help="Events per second; default: all it can.")
@click.option("--forever", is_flag=True, help="Go on until interrupted.")
@click.option("--bad", metavar="ORDER", help="Before them, an order with an item that cannot be applied.")
def main(
    bootstrap_servers: str,
    topic: str,
    create: bool,
    seed: int,
    orders: int,
    count: int | None,
    rate: float | None,
    forever: bool,
    bad: str | None,
) -> None:
    """Send order events to a Kafka topic."""
    stop = Flag()

    def interrupted(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, interrupted)
    signal.signal(signal.SIGINT, interrupted)
    began = time.monotonic()
    feed = Feed(bootstrap_servers, topic)
    try:
        if create:
            print(f"topic {topic}: " + ("created" if create_topic(bootstrap_servers, topic) else "exists"))
        flow = events(seed, None if forever or count else orders)
        feed.send(chain(spoiled(bad) if bad else (), islice(flow, count)), rate, stop.is_set)
    except (NotDelivered, KafkaException) as error:
        sys.exit(f"events could not be sent to {bootstrap_servers}: {error}")
    print(f"sent {feed.delivered} events to {topic} in {time.monotonic() - began:.1f} s (seed {seed})")


if __name__ == "__main__":
    main()
