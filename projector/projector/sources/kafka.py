"""Kafka as a `Source`: a member of a consumer group that reads only from where it is told.

The group (classic protocol, cooperative-sticky, see docs/adr/0002-consumer-group-protocol.md) only shares partitions
out. Reading, pausing and going elsewhere are all done by the member's own assignment: a partition that is not to be
read is not assigned to the fetcher at all, so that nothing prefetched of it can come up later.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import groupby
from time import monotonic
from typing import Any, cast

from confluent_kafka import OFFSET_END, Consumer, KafkaError, KafkaException, Message, TopicPartition

from projector.ports import Fetched, Partition, Record, SourceChanged
from projector.sources import kafka_errors as errors
from projector.sources.kafka_admin import COMMON_SETTINGS, Question, answered, ask, describe_topics, new_admin
from projector.sources.kafka_errors import translate, unavailable

_GROUP_SETTINGS: Mapping[str, Any] = {
    "partition.assignment.strategy": "cooperative-sticky",
    "session.timeout.ms": 6_000,  # the least that a broker allows by default: a killed member's partitions wait so long
    "heartbeat.interval.ms": 500,  # members learn of a rebalance by heartbeat: one that leaves is replaced so soon
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "auto.offset.reset": "error",  # a position that the log does not have is a fault, never a jump
    "isolation.level": "read_committed",
    "enable.partition.eof": True,
    "topic.metadata.refresh.interval.ms": 10_000,
}
_FETCH_SETTINGS: Mapping[str, Any] = {
    "fetch.wait.max.ms": 100,  # the broker answers at the first byte; this is how long a new partition waits its turn
    "fetch.error.backoff.ms": 100,
    "fetch.queue.backoff.ms": 20,  # by default a full queue pauses fetching for a second
    "fetch.max.bytes": 16_777_216,
    "max.partition.fetch.bytes": 4_194_304,
    "queued.min.messages": 200_000,
    "queued.max.messages.kbytes": 32_768,  # bounds the memory of what is fetched ahead, over all partitions
}
_SLICE = 0.05
"""Seconds that a member waits for records before it looks whether it was given partitions."""
_PROBE = 1.0
"""Seconds that a cluster which was down gets to prove that it is back."""

_Place = tuple[str, int]
"""Topic and partition number, as the client names a partition."""

_log = logging.getLogger(__name__)


class KafkaSource:
    """One member of the consumer group `group`. `start` connects; one thread makes all calls."""

    def __init__(self, bootstrap_servers: Sequence[str], topics: Sequence[str], group: str) -> None:
        self._servers = tuple(bootstrap_servers)
        self._topics = tuple(topics)
        settings = {**COMMON_SETTINGS, **_GROUP_SETTINGS, **_FETCH_SETTINGS, "error_cb": self._on_error}
        settings |= {"bootstrap.servers": ",".join(self._servers), "group.id": group}
        self._consumer = Consumer(settings, logger=logging.getLogger("librdkafka"))
        self._admin = new_admin(self._servers)
        self._unnamed: list[_Place] | None = None  # given by the group, topic id not asked for yet
        self._owned: dict[_Place, Partition] = {}
        self._next: dict[_Place, int] = {}  # partitions being read → offset that comes next
        self._unverified: set[_Place] = set()  # fetched from since the last `verify`
        self._question: Question | None = None  # asked after the last fetch
        self._faults: list[Exception] = []  # to be raised by the next fetch; this one's records come first
        self._down: KafkaError | None = None
        self._detail = ""

    def start(
        self,
        assigned: Callable[[Sequence[Partition]], None],
        revoked: Callable[[Sequence[Partition]], None],
    ) -> None:
        """Join the group."""
        self._assigned, self._revoked = assigned, revoked
        self._consumer.subscribe(
            list(self._topics), on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_revoke
        )

    def fetch(self, max_records: int, timeout: float) -> Fetched:
        """See `Source.fetch`; the wait ends early when the group changes."""
        if self._faults:
            raise self._faults.pop(0)
        if self._unnamed is not None:
            self._name_assigned(self._unnamed)
            return Fetched({}, {}, 0)  # whoever was told says now where to read from
        fetched = self._sorted(self._poll(max_records, timeout))
        if fetched.records or fetched.ends:
            self._down = None
            self._to_verify(fetched, max_records)
        elif self._down is not None:
            self._probe(self._down)
        return fetched

    def pause(self, partition: Partition) -> None:
        """Take the partition from the fetcher; the group still counts it as ours."""
        place = (partition.topic, partition.number)
        self._unverified.discard(place)
        if self._next.pop(place, None) is not None:
            self._consumer.incremental_unassign([TopicPartition(*place)])

    def resume(self, partition: Partition, offset: int) -> None:
        """Give the partition to the fetcher, at `offset`."""
        place = (partition.topic, partition.number)
        if self._owned.get(place) != partition:
            return
        self.pause(partition)
        self._consumer.incremental_assign([TopicPartition(*place, offset)])
        self._next[place] = offset

    def verify(self) -> None:
        """See `Source.verify`. What was fetched of a partition that is paused or resumed since is not looked at.

        The client reads on in a topic that was deleted and created again as if nothing had happened. An id never
        comes back: what was received before the id was found unchanged is of the right topic.
        """
        if not self._unverified:
            return
        question, self._question = self._question or self._ask(), None
        ids = {partition.topic: partition.topic_id for partition in answered(question, self._servers)}
        for place in sorted(self._unverified):
            self._require_owned(self._owned[place], ids)
        self._unverified.clear()

    def mirror(self, positions: Mapping[Partition, int]) -> None:
        """Commit offsets to the group, without waiting and without caring whether it worked."""
        offsets = [TopicPartition(p.topic, p.number, offset) for p, offset in positions.items()]
        try:
            self._consumer.commit(offsets=offsets, asynchronous=True)
        except KafkaException as error:
            _log.debug("offsets not mirrored: %s", error)

    def ends(self) -> Mapping[Partition, int]:
        """What the last fetch answers said, per partition being read."""
        found = {}
        for place in self._next:
            _, end = self._consumer.get_watermark_offsets(TopicPartition(*place), cached=True)
            if end >= 0:
                found[self._owned[place]] = end
        return found

    def close(self) -> None:
        """Leave the group and disconnect."""
        self._consumer.close()

    # Called by the client, from within poll, consume and close; must not raise.

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        consumer.incremental_assign([])
        self._unnamed = [*(self._unnamed or []), *((p.topic, p.partition) for p in partitions)]

    def _on_revoke(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        places = [(p.topic, p.partition) for p in partitions]
        self._revoked([self._owned[place] for place in places if place in self._owned])
        consumer.incremental_unassign([TopicPartition(*place) for place in places if place in self._next])
        for place in places:
            self._owned.pop(place, None)
            self._next.pop(place, None)
            self._unverified.discard(place)
            if self._unnamed and place in self._unnamed:
                self._unnamed.remove(place)

    def _on_error(self, error: KafkaError) -> None:
        if error.code() in errors.CONNECTION:
            self._detail = error.str()
        if error.code() in errors.DOWN:
            self._down = error

    def _name_assigned(self, places: Iterable[_Place]) -> None:
        """Tell the worker what the group gave, under the ids that the topics have now."""
        topics = sorted({topic for topic, _ in places})
        found = describe_topics(self._admin, self._servers, topics) if topics else ()
        now = {(p.topic, p.number): p for p in found}
        self._unnamed = None
        given = {place: now[place] for place in places if place in now}
        self._owned |= given
        self._wake()
        self._assigned(sorted(given.values()))

    def _wake(self) -> None:
        """Have the client go on with the partitions that it keeps.

        A rebalance pauses and resumes them, and then librdkafka sleeps until something else is to be sent to their
        broker: half a second with nothing read (seen with 2.16). So something is.
        """
        kept = [TopicPartition(*place, OFFSET_END) for place in self._next]
        if kept:
            with suppress(KafkaException):  # whoever fetches next is told of it
                self._consumer.offsets_for_times(kept, timeout=_PROBE)

    def _poll(self, max_records: int, timeout: float) -> list[Message]:
        first = self._first(timeout)
        if first is None:
            return []
        if max_records == 1:
            return [first]
        return [first, *self._consumer.consume(max_records - 1, 0)]

    def _first(self, timeout: float) -> Message | None:
        """The first message to come; None at the end of the time, or where the group gave partitions."""
        deadline = monotonic() + timeout
        while True:
            # The client waits its time out even where an assignment came meanwhile.
            first = self._consumer.poll(max(0.0, min(_SLICE, deadline - monotonic())))
            if first is not None or self._unnamed is not None or monotonic() >= deadline:
                return first

    def _sorted(self, messages: list[Message]) -> Fetched:
        """Group by partition. The loops over all messages are those of the interpreter's own C functions."""
        ends: dict[Partition, int] = {}
        if any(map(Message.error, messages)):
            messages = [message for message in messages if not self._noted(message, ends)]
        records: dict[Partition, list[Message]] = {}
        for place, run in self._runs(messages):
            if place in self._next and cast("int", run[0].offset()) >= self._next[place]:
                self._next[place] = cast("int", run[-1].offset()) + 1
                known = records.setdefault(self._owned[place], run)
                if known is not run:
                    known.extend(run)
        size = sum(map(len, messages))
        return Fetched(cast("Mapping[Partition, Sequence[Record]]", records), self._still_ends(ends), size)

    def _runs(self, messages: Iterable[Message]) -> Iterator[tuple[_Place, list[Message]]]:
        """Neighbours of one partition: the client hands out what it fetched partition by partition."""
        for number, same_number in groupby(messages, Message.partition):
            if len(self._topics) == 1:
                yield (self._topics[0], cast("int", number)), list(same_number)
                continue
            for topic, run in groupby(same_number, Message.topic):
                yield cast("_Place", (topic, number)), list(run)

    def _still_ends(self, ends: Mapping[Partition, int]) -> dict[Partition, int]:
        """Without those after which more records came."""
        return {p: offset for p, offset in ends.items() if offset >= self._next.get((p.topic, p.number), offset + 1)}

    def _noted(self, message: Message, ends: dict[Partition, int]) -> bool:
        if message.error() is None:
            return False
        self._note(message, ends)
        return True

    def _note(self, message: Message, ends: dict[Partition, int]) -> None:
        """An event that came in place of a record: the end of a partition, or a fault."""
        error = cast("KafkaError", message.error())
        place = cast("_Place", (message.topic(), message.partition()))
        if error.code() == errors.END_OF_PARTITION:
            if place in self._next:
                ends[self._owned[place]] = cast("int", message.offset())
        elif error.code() == errors.OUT_OF_RANGE:
            if place in self._next:
                self._faults.append(self._out_of_range(place))
        elif error.code() in errors.MISSING:
            self._faults.append(translate(self._servers, error, message.topic() or self._topics[0]))
        elif error.code() in errors.REFUSED:
            self._faults.append(unavailable(self._servers, error))
        elif error.fatal():
            self._faults.append(KafkaException(error))
        else:
            _log.warning("Kafka: %s", error.str())

    def _out_of_range(self, place: _Place) -> SourceChanged:
        partition, offset = self._owned[place], self._next[place]
        return SourceChanged(
            f"{partition.topic}/{partition.number} does not hold offset {offset}, where the checkpoint stands: "
            "the log was truncated, or its retention overtook the checkpoint; rebuild from what is left",
            partition,
        )

    def _to_verify(self, fetched: Fetched, asked_for: int) -> None:
        """Remember what came, and ask already now where it is likely to be all that comes before the next commit."""
        self._unverified |= {(p.topic, p.number) for p in (*fetched.records, *fetched.ends)}
        more = sum(map(len, fetched.records.values())) >= asked_for
        self._question = None if more else self._ask()

    def _ask(self) -> Question:
        return ask(self._admin, sorted({topic for topic, _ in self._unverified}))

    @staticmethod
    def _require_owned(partition: Partition, ids: Mapping[str, str]) -> None:
        if ids[partition.topic] != partition.topic_id:
            raise SourceChanged(f"topic {partition.topic} was deleted and created again; start a rebuild", partition)

    def _probe(self, error: KafkaError) -> None:
        try:
            self._consumer.list_topics(self._topics[0], timeout=_PROBE)
        except KafkaException:
            raise unavailable(self._servers, error, self._detail) from None
        self._down = None
