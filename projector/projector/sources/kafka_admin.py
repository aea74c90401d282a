"""Questions about a Kafka cluster's topics, each bounded in time."""

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any

from confluent_kafka import Consumer, IsolationLevel, KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # its typed package forgets to export OffsetSpec
    AdminClient,
    ConfigResource,
    OffsetSpec,
)

from projector.ports import Ends, Partition
from projector.sources.kafka_errors import NO_GROUP, TIMED_OUT, translate, unavailable

TIMEOUT = 5.0
"""Seconds for one question."""

PEEK_TIMEOUT = 2.0
"""Seconds for looking at records."""

_POLICY, _COMPACT = "cleanup.policy", "compact"

COMMON_SETTINGS: Mapping[str, Any] = {
    "client.id": "projector",
    "socket.keepalive.enable": True,
    "reconnect.backoff.ms": 100,
    "reconnect.backoff.max.ms": 2_000,
}
"""Settings of every client; the default backoff of 10 s would make a restarted broker look longer away than it is."""


def new_admin(servers: Sequence[str]) -> AdminClient:
    """A client whose log goes where the program's log goes."""
    settings = {**COMMON_SETTINGS, "bootstrap.servers": ",".join(servers)}
    return AdminClient(settings, logger=logging.getLogger("librdkafka"))


Question = Mapping[str, "Future[Any]"]
"""What is on its way: the description of each topic."""


def ask(client: AdminClient, topics: Sequence[str]) -> Question:
    """Ask for the topics as they are, without waiting."""
    question = client.describe_topics(TopicCollection(list(topics)), request_timeout=TIMEOUT)
    client.poll(0)  # serves the log
    return question


def answered(question: Question, servers: Sequence[str]) -> list[Partition]:
    """Partitions of the topics as they were when the question came. Raises TopicMissing or SourceUnavailable."""
    found = []
    for topic, future in question.items():
        description = _result(future, servers, topic)
        identity = str(description.topic_id)
        found += [Partition(topic, identity, info.id) for info in description.partitions]
    return sorted(found)


def describe_topics(client: AdminClient, servers: Sequence[str], topics: Sequence[str]) -> list[Partition]:
    """Ask and wait for the answer."""
    return answered(ask(client, topics), servers)


class KafkaAdmin:
    """`SourceAdmin` for one cluster. Any thread may ask."""

    def __init__(self, bootstrap_servers: Sequence[str]) -> None:
        self._servers = tuple(bootstrap_servers)
        self._client = new_admin(self._servers)

    def describe(self, topics: Iterable[str]) -> Mapping[Partition, Ends]:
        """Partitions and their ends; an end is the last stable offset, which no open transaction has passed."""
        partitions = describe_topics(self._client, self._servers, sorted(set(topics)))
        starts = self._offsets(partitions, OffsetSpec.earliest)
        ends = self._offsets(partitions, OffsetSpec.latest)
        # Asked after the ends, so it is never below them; what comes between the two looks unsettled for this one look.
        written = self._offsets(partitions, OffsetSpec.latest, IsolationLevel.READ_UNCOMMITTED)
        return {p: Ends(starts[p], ends[p], written[p]) for p in partitions}

    def oldest_unread(self, positions: Mapping[Partition, int]) -> Mapping[Partition, int]:
        """Timestamps of the first records at or after the positions; what did not answer in time is absent."""
        if not positions:
            return {}
        by_name = {(partition.topic, partition.number): partition for partition in positions}
        consumer = self._peeking()
        try:
            consumer.assign([TopicPartition(p.topic, p.number, offset) for p, offset in positions.items()])
            return self._first_timestamps(consumer, by_name)
        finally:
            consumer.close()

    def compacted(self, topics: Iterable[str]) -> frozenset[str]:
        """Those of the topics with `compact` in their cleanup policy, be it their own or the broker's default."""
        asked = [ConfigResource(ConfigResource.Type.TOPIC, topic) for topic in sorted(set(topics))]
        if not asked:
            return frozenset()  # the client refuses to ask about nothing
        futures = self._client.describe_configs(asked, request_timeout=TIMEOUT)
        found = {topic.name: self._configuration(future, topic.name) for topic, future in futures.items()}
        return frozenset(name for name, entries in found.items() if _COMPACT in entries[_POLICY].value)

    def delete_group(self, group: str) -> None:
        """Forget a consumer group with the offsets that were mirrored to it. Kafka keeps one that has members."""
        future = self._client.delete_consumer_groups([group], request_timeout=TIMEOUT)[group]
        try:
            _wait(future)
        except KafkaException as error:
            if error.args[0].code() != NO_GROUP:
                raise unavailable(self._servers, error.args[0], f"deleting consumer group {group}") from None

    def close(self) -> None:
        """Stop the client's threads when the last answer is in."""
        del self._client

    def _configuration(self, future: "Future[Any]", topic: str) -> Any:
        return _result(future, self._servers, topic, f"configuration of topic {topic}")

    def _peeking(self) -> Consumer:
        settings = {
            **COMMON_SETTINGS,
            "bootstrap.servers": ",".join(self._servers),
            "group.id": "projections.peek",  # asked for by the client, never joined
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "error",
            "isolation.level": "read_committed",
            "fetch.wait.max.ms": 100,
            "max.partition.fetch.bytes": 65_536,
        }
        return Consumer(settings, logger=logging.getLogger("librdkafka"))

    @staticmethod
    def _first_timestamps(consumer: Consumer, waiting: dict[tuple[str, int], Partition]) -> dict[Partition, int]:
        found: dict[Partition, int] = {}
        deadline = time.monotonic() + PEEK_TIMEOUT
        while waiting and (left := deadline - time.monotonic()) > 0:
            message = consumer.poll(left)
            if message is None:
                break
            partition = waiting.pop((message.topic() or "", message.partition() or 0), None)
            if partition is not None and message.error() is None:
                found[partition] = message.timestamp()[1]
        return found

    def _offsets(
        self,
        partitions: Sequence[Partition],
        which: Callable[[], Any],
        isolation: IsolationLevel = IsolationLevel.READ_COMMITTED,
    ) -> dict[Partition, int]:
        asked = {TopicPartition(p.topic, p.number): p for p in partitions}
        futures = self._client.list_offsets(
            dict.fromkeys(asked, which()), isolation_level=isolation, request_timeout=TIMEOUT
        )
        return {asked[place]: _result(future, self._servers, place.topic).offset for place, future in futures.items()}


def _result(future: "Future[Any]", servers: Sequence[str], topic: str, detail: str = "") -> Any:
    try:
        return _wait(future)
    except KafkaException as error:
        raise translate(servers, error.args[0], topic, detail) from None


def _wait(future: "Future[Any]") -> Any:
    """The result; raises KafkaException, also where the client itself does not keep to its time limit."""
    try:
        return future.result(TIMEOUT + 1)
    except FutureTimeoutError:
        raise KafkaException(KafkaError(TIMED_OUT)) from None
