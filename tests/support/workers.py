"""Real workers of one projection on real servers, in threads, and what its rows should be by the reference fold."""

import gc
import json
import sys
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psycopg
import structlog
from click.testing import CliRunner, Result
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, Message, Producer, TopicPartition

from projector.cli import main
from projector.fold.delta import Key, Row
from projector.metrics import Metrics
from projector.pod import Means, run_worker
from projector.ports import Partition
from projector.registry import Identity, PublicName
from projector.sources.kafka_admin import KafkaAdmin
from projector.spec.definition import Definition
from projector.spec.models import Errors
from projector.standalone import INSTALLATION
from projector.stores.postgres import BuildSpec, PostgresRegistry, load_build
from projector.worker.health import Health
from tests.support import wait
from tests.support.kafka import KafkaBench
from tests.support.oracle import Reference
from tests.support.postgres import Database
from tests.support.records import FakeRecord

Place = tuple[str, int]
"""Topic and partition."""

AT_MS = 1_750_000_000_000
_SETTINGS = {"group.id": "reads-all", "isolation.level": "read_committed", "fetch.wait.max.ms": 10, "log_level": 3}


@dataclass(frozen=True, slots=True)
class Moment:
    """What one snapshot of the database shows of a build: parked offsets by row key."""

    checkpoints: Mapping[Place, int]
    rows: Mapping[Key, Row]
    parked: Mapping[Key, list[int]]


class Member:
    """A worker in a thread. `spec` may say another group than its build's."""

    def __init__(self, spec: BuildSpec, means: Means) -> None:
        self.metrics, self.health = Metrics("test"), Health()
        self.failure: BaseException | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, args=(spec, means), daemon=True)
        self._thread.start()

    @property
    def works(self) -> bool:
        """Whether it did not end yet."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """Let it commit and leave; raises what it failed with."""
        self._stop.set()
        self._thread.join(30)
        assert not self.works
        if self.failure is not None:
            raise self.failure

    def _work(self, spec: BuildSpec, means: Means) -> None:
        try:
            run_worker(spec, means, self.metrics, self.health, self._stop)
        except BaseException as failure:  # noqa: BLE001 - told where it is stopped or waited for
            self.failure = failure


class Site:
    """A database with a registry, topics of its own, and a projection; `encode` makes values of events."""

    def __init__(self, database: Database, servers: str) -> None:
        self.database, self.servers = database, servers
        self.encode: Callable[[Any], bytes] = lambda event: json.dumps(event).encode()
        self.said: dict[bytes, bytes] = {}
        """Values in other formats than JSON, and the same in JSON."""
        self.members: list[Member] = []
        # Workers log from their threads, also while a command's output is caught.
        structlog.configure(logger_factory=structlog.WriteLoggerFactory(sys.stdout))
        # The name is in the group's, and the log is shared.
        self.identity = Identity(INSTALLATION, "shop", database.name)
        self.registry = PostgresRegistry(database.uri(), INSTALLATION)
        self.epoch = self.registry.take_leadership("a test")
        self.registry.claim(self.epoch, self.identity, "uid-1", PublicName("public", "orders"))
        self.admin = KafkaAdmin([servers])
        settings = {"bootstrap.servers": servers, "log_level": 3, "linger.ms": 1, "message.max.bytes": 10_000_000}
        self._producer = Producer(settings)
        self.benches: list[KafkaBench] = []
        self._collector = gc.get_threshold()

    def topic(self, partitions: int = 1, config: Mapping[str, str] | None = None) -> KafkaBench:
        """A topic of the test's own."""
        kept = {"retention.ms": "-1", **(config or {})}  # events are of AT_MS, which by default is too long ago
        self.benches.append(KafkaBench(self.servers, partitions, config=kept))
        return self.benches[-1]

    def grow(self, topic: KafkaBench, partitions: int) -> None:
        """Add partitions up to that number, where there are fewer."""
        if len(self.admin.describe([topic.topic])) < partitions:
            topic.grow(partitions)
            self._producer.list_topics(topic.topic, timeout=30)  # it learns of them

    def send(self, topic: KafkaBench, partition: int, kind: str | None, *events: Any, key: bytes | None = None) -> None:
        """Append events of a type to a partition: bytes and None (no value) as they are."""
        self.queue(topic, partition, kind, *events, key=key)
        self.flush()

    def queue(
        self, topic: KafkaBench, partition: int, kind: str | None, *events: Any, key: bytes | None = None
    ) -> None:
        """The same, without waiting for the log to have them."""
        for event in events:
            value = self._value(event)
            headers: list[tuple[str, str | bytes | None]] = [] if kind is None else [("ce_type", kind.encode())]
            self._producer.produce(topic.topic, value, key, partition, headers=headers, timestamp=AT_MS)
            self._producer.poll(0)

    def flush(self) -> None:
        """Wait until the log has all."""
        assert self._producer.flush(30) == 0

    def begin(self, definition: Definition, *topics: KafkaBench, version: str = "1") -> "Build":
        """Begin a build of the definition on these topics."""
        made = definition.model_copy(update={"topics": tuple(topic.topic for topic in topics)})
        ends = self.admin.describe(made.topics)
        role = self.database.run("SELECT current_user::text")[0][0]
        number = self.registry.begin(self.epoch, self.identity, version, "", made, ends, role)
        spec = load_build(self.database.uri(), number)
        return Build(self, made, number, f"{spec.schema}.{spec.table}")

    def all(self, topic: KafkaBench) -> list[FakeRecord]:
        """All records of a topic."""
        return self.log({_place(at): each.end for at, each in self.admin.describe([topic.topic]).items()})

    def log(self, until: Mapping[Place, int]) -> list[FakeRecord]:
        """All records below these offsets, by a plain consumer; with values in JSON."""
        wanted = [TopicPartition(*place, OFFSET_BEGINNING) for place, end in until.items() if end > 0]
        consumer = Consumer({**_SETTINGS, "bootstrap.servers": self.servers, "enable.partition.eof": True})
        consumer.assign(wanted)
        unread = {(place.topic, place.partition) for place in wanted}
        found: list[FakeRecord] = []
        while unread:
            message = consumer.poll(10)
            assert message is not None
            place = (str(message.topic()), int(message.partition() or 0))
            error = message.error()
            if error is None and int(message.offset() or 0) < until[place]:
                found.append(self._record(message))
            else:
                assert error is None or error.code() == KafkaError._PARTITION_EOF, error
                unread.discard(place)
        consumer.close()
        return sorted(found, key=lambda record: (record.topic(), record.partition(), record.offset()))

    def close(self) -> None:
        """Stop what runs, and remove the topics."""
        for member in self.members:
            if member.works:
                member.stop()
        structlog.reset_defaults()
        gc.unfreeze()
        gc.set_threshold(*self._collector)  # a worker changes it for its process
        self.registry.close()
        for bench in self.benches:
            bench.close()

    def _value(self, event: Any) -> bytes | None:
        if event is None or isinstance(event, bytes):
            return event
        value = self.encode(event)
        self.said[value] = json.dumps(event).encode()
        return value

    def _record(self, message: Message) -> FakeRecord:
        value: Any = message.value()
        key: Any = message.key()
        headers: Any = message.headers() or ()
        return FakeRecord(
            self.said.get(value, value) if value is not None else None,
            tuple(headers),
            key,
            message.timestamp()[1],
            int(message.offset() or 0),
            str(message.topic()),
            int(message.partition() or 0),
        )


@dataclass
class Build:
    """A build, its workers, and its truth. `passed_over` are positions that were discarded."""

    site: Site
    definition: Definition
    number: int
    table: str
    """Where its rows are read."""
    parks: bool = True
    passed_over: set[tuple[Place, int]] = field(default_factory=set)

    @property
    def spec(self) -> BuildSpec:
        """As a worker that starts now knows it."""
        return load_build(self.site.database.uri(), self.number)

    def work(
        self,
        errors: Errors | None = None,
        group: str = "",
        registry_url: str | None = None,
        registry_file: Path | None = None,
        replay_rate: float | None = None,
    ) -> Member:
        """Start a worker; `group` is added to the name of its group."""
        spec, site = self.spec, self.site
        means = Means((site.servers,), site.database.uri, errors or Errors(), registry_url, registry_file, replay_rate)
        member = Member(replace(spec, consumer_group=spec.consumer_group + group), means)
        site.members.append(member)
        return member

    def publish(self) -> None:
        """Show the build to readers, as the operator does."""
        self.site.registry.open_catch_up(self.site.epoch, self.number)
        self.site.registry.publish(self.site.epoch, self.number)
        self.table = "public.orders"

    def admit(self) -> None:
        """Let the build read partitions that its topics got, as the operator does."""
        there = self.site.admin.describe(self.definition.topics)
        self.site.registry.admit_partitions(self.site.epoch, self.number, there.keys() - self.spec.partitions)

    def passed(self, hanging: bool = False) -> None:
        """Wait until the checkpoints are at the log's ends; and, unless one hangs, for transactions to be over."""

        wait.until(
            "the end is reached", lambda: (self._at(), self._ends(hanging)), lambda seen: seen[0] == seen[1], 40, 0.05
        )

    def reaches(self, topic: KafkaBench, partition: int, offset: int, timeout: float = 40) -> None:
        """Wait until a checkpoint is there."""
        place = (topic.topic, partition)
        wait.until(f"{place} is at {offset}", lambda: self._at()[place], lambda at: at == offset, timeout, 0.05)

    def stuck(self, topic: KafkaBench, partition: int = 0) -> tuple[int, str] | None:
        """What a partition stands in front of."""
        ((offset, message),) = self.site.database.run(
            "SELECT stuck_offset, stuck_message FROM projections.checkpoint WHERE build = %s AND topic = %s "
            "AND partition = %s",
            self.number,
            topic.topic,
            partition,
        )
        return None if message is None else (offset, message)

    def moment(self) -> Moment:
        """Checkpoints, rows and parked events of one snapshot."""
        names = [column.name for column in self.definition.columns]
        with psycopg.connect(self.site.database.uri()) as connection:
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            at = connection.execute(_CHECKPOINTS, [self.number]).fetchall()
            found = connection.execute(f"SELECT {', '.join(names)} FROM {self.table}".encode()).fetchall()  # noqa: S608
            aside = connection.execute(_PARKED, [self.number]).fetchall()
        rows: dict[Key, Row] = {}
        for values in found:
            row: Row = dict(zip(names, values, strict=True))
            rows[tuple(row.pop(name) for name in self.definition.key)] = row
        parked: dict[Key, list[int]] = {}
        for key, offset in aside:
            parked.setdefault(tuple(json.loads(key)), []).append(offset)
        return Moment({(topic, number): offset for topic, number, offset in at}, rows, parked)

    def expected(self, checkpoints: Mapping[Place, int]) -> Reference:
        """The reference fold of the log up to these checkpoints."""
        reference = Reference(self.definition, self.parks)
        self.follow(reference, self.site.log(checkpoints), {}, checkpoints)
        return reference

    def follow(
        self, reference: Reference, log: Sequence[FakeRecord], done: Mapping[Place, int], until: Mapping[Place, int]
    ) -> None:
        """Take the reference fold, which has come to `done`, further: up to `until`."""
        for record in log:
            place = record.topic(), record.partition()
            if (
                done.get(place, 0) <= record.offset() < until[place]
                and (place, record.offset()) not in self.passed_over
            ):
                reference.fold([record])

    def check(self) -> Moment:
        """Rows and parked events are those of the reference fold up to the checkpoints, of one moment."""
        moment = self.moment()
        expected = self.expected(moment.checkpoints)
        assert moment.rows == expected.rows
        assert moment.parked == expected.parked
        assert expected.refused == []
        return moment

    def parked(self, *arguments: str, code: int = 0) -> str:
        """What `projector parked` prints; to standard error too where it fails, which clients of the log write to."""
        done = self._parked(arguments)
        assert done.exit_code == code, done.output
        return done.output if code else done.stdout

    def tried(self, *arguments: str) -> bool:
        """Whether `projector parked` did it."""
        return self._parked(arguments).exit_code == 0

    def _parked(self, arguments: Sequence[str]) -> Result:
        where = ("--namespace", "shop", "--name", self.site.identity.name, "--target-uri", self.site.database.uri())
        return CliRunner().invoke(main, ["parked", *arguments, *where])

    def discard(self, topic: KafkaBench, key: str, offsets: Collection[int], partition: int = 0) -> None:
        """Pass over these events of a parked key."""
        chosen = [argument for offset in offsets for argument in ("--offset", f"{offset}")]
        self.parked("discard", "--key", key, "--reason", "a test", *chosen)
        self.passed_over |= {((topic.topic, partition), offset) for offset in offsets}

    @property
    def at_end(self) -> bool:
        """Whether the checkpoints are at the log's ends."""
        return self._at() == self._ends(False)

    def _ends(self, hanging: bool) -> Mapping[Place, int]:
        # A transaction's marker comes some time after its producer was told that it is over.
        found = self.site.admin.describe(self.definition.topics)
        return {_place(at): each.end if hanging else each.written or 0 for at, each in found.items()}

    def _at(self) -> Mapping[Place, int]:
        return {(topic, number): at for topic, number, at in self.site.database.run(_CHECKPOINTS, self.number)}


_CHECKPOINTS = "SELECT topic, partition, next_offset FROM projections.checkpoint WHERE build = %s"
_PARKED = """
SELECT k.key, e."offset" FROM projections.parked_event e
JOIN projections.parked_key k USING (build, topic_id, partition, key_digest)
WHERE build = %s ORDER BY e."offset"
"""


def _place(partition: Partition) -> Place:
    return partition.topic, partition.number


def ids(*keys: str) -> Sequence[dict[str, Any]]:
    """Events that tell only whose they are, and the number 1."""
    return [{"id": key, "n": 1} for key in keys]
