"""A topic of a test's own on the sandbox's Kafka."""

import uuid
from collections.abc import Mapping, Sequence

from confluent_kafka import KafkaException, Producer, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # not in its typed exports
    AdminClient,
    NewPartitions,
    NewTopic,
)

from projector.ports import Partition
from projector.sources.kafka import KafkaSource
from projector.sources.kafka_admin import KafkaAdmin
from tests.support import wait

Headers = list[tuple[str, bytes | None]]


class KafkaBench:
    """Topic, group and producers with random names."""

    def __init__(
        self, servers: str, partitions: int = 2, topic: str | None = None, config: Mapping[str, str] | None = None
    ) -> None:
        self.servers = servers
        self.topic = topic or f"t-{uuid.uuid4().hex[:10]}"
        self.group = f"g-{self.topic}"
        self._count = partitions
        self._config = dict(config or {})
        self._client = AdminClient({"bootstrap.servers": servers, "log_level": 2})
        self._admin = KafkaAdmin([servers])
        self._producer = Producer({"bootstrap.servers": servers, "log_level": 2, "message.max.bytes": 30_000_000})
        self._transactional: Producer | None = None
        self._create()

    def partition(self, number: int) -> Partition:
        return next(p for p in self._admin.describe([self.topic]) if p.number == number)

    def produce(
        self, partition: int, values: Sequence[bytes | None], key: bytes | None = b"k", headers: Headers | None = None
    ) -> None:
        for value in values:
            self._producer.produce(self.topic, value, key, partition, headers=list(headers or []))
        assert self._producer.flush(30) == 0

    def transaction(self, partition: int, values: Sequence[bytes], commit: bool) -> None:
        producer = self.begun(partition, values)
        producer.commit_transaction() if commit else producer.abort_transaction()

    def begun(self, partition: int, values: Sequence[bytes]) -> Producer:
        """A transaction that holds the values and is still open."""
        if self._transactional is None:
            settings = {"bootstrap.servers": self.servers, "transactional.id": self.topic, "log_level": 2}
            self._transactional = Producer(settings)
            self._transactional.init_transactions(30)
        self._transactional.begin_transaction()
        for value in values:
            self._transactional.produce(self.topic, value, partition=partition)
        self._transactional.flush(30)
        return self._transactional

    def truncate(self, partition: int, before: int) -> None:
        place = TopicPartition(self.topic, partition, before)
        self._client.delete_records([place])[place].result(30)

    def grow(self, partitions: int) -> None:
        """Add partitions up to that number."""
        self._client.create_partitions([NewPartitions(self.topic, partitions)])[self.topic].result(30)
        self._count = partitions
        self._known()
        self._producer.list_topics(self.topic, timeout=30)  # it learns of the new ones

    def delete(self) -> None:
        self._client.delete_topics([self.topic])[self.topic].result(30)

    def recreate(self) -> None:
        self.delete()

        def created() -> bool:
            try:
                self._create()
            except KafkaException:
                return False
            return True

        wait.true("the topic can be created again", created, 30)

    def source(self) -> KafkaSource:
        return KafkaSource([self.servers], [self.topic], self.group)

    def stranger(self) -> KafkaSource:
        return KafkaSource([self.servers], [f"{self.topic}-none"], f"{self.group}-none")

    def close(self) -> None:
        self.delete()

    def _create(self) -> None:
        made = NewTopic(self.topic, self._count, 1, config=self._config)
        self._client.create_topics([made])[self.topic].result(30)
        self._known()

    def _known(self) -> None:
        def known() -> bool:
            try:
                return len(self._admin.describe([self.topic])) == self._count
            except Exception:  # noqa: BLE001 - whatever is missing just after the creation comes soon
                return False

        wait.true("the topic is known", known, 30)
