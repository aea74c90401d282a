"""A topic that holds a log, and how it gets there."""

from collections.abc import Mapping, Sequence
from contextlib import suppress

from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]  # not in its typed exports

from tests.bench.data import DAY_ONE_MS, PARTITIONS, Data, key_text, value

TYPE_HEADER = "ce_type"
Headers = list[tuple[str, str | bytes | None]]

_CLIENT: Mapping[str, str | int] = {"log_level": 3}
_BULK: Mapping[str, str | int | bool] = {
    "enable.idempotence": True,
    "linger.ms": 50,
    "batch.size": 1_000_000,
    "batch.num.messages": 20_000,
    "queue.buffering.max.messages": 500_000,
    "queue.buffering.max.kbytes": 500_000,
}


class Topic:
    """Four partitions that keep everything, since the events' timestamps are of long ago."""

    def __init__(self, servers: str, name: str) -> None:
        self.servers, self.name = servers, name
        self._admin = AdminClient({"bootstrap.servers": servers, **_CLIENT})

    def create(self) -> None:
        """Make it."""
        wanted = NewTopic(self.name, PARTITIONS, 1, config={"retention.ms": "-1"})
        self._admin.create_topics([wanted])[self.name].result(30)

    def delete(self) -> None:
        """Remove it."""
        self._admin.delete_topics([self.name])[self.name].result(30)

    def fill(self, data: Data, amount: int) -> list[int]:
        """Send the first `amount` events; the end offset of each partition."""
        producer = Producer({"bootstrap.servers": self.servers, **_CLIENT, **_BULK})
        headers = type_headers(data.types)
        send, name, ends = producer.produce, self.name, [0] * PARTITIONS
        for number, event in enumerate(data.events(amount)):
            key, act = event
            partition = key % PARTITIONS
            record = (name, value(event, number), key_text(key), partition, None, None, DAY_ONE_MS + number)
            while True:
                with suppress(BufferError):
                    send(*record, headers=headers[act.kind])
                    break
                producer.poll(0.1)
            ends[partition] += 1
        _require_sent(producer.flush(120))
        return ends


def type_headers(types: Sequence[str]) -> list[Headers]:
    """The headers of an event of each type."""
    return [[(TYPE_HEADER, name.encode())] for name in types]


def partitions(topic: str, numbers: Sequence[int], offset: int = 0) -> list[TopicPartition]:
    """Places to read from."""
    return [TopicPartition(topic, number, offset) for number in numbers]


def _require_sent(missing: int) -> None:
    if missing:
        raise TimeoutError(f"Kafka did not take {missing} events")
