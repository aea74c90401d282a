"""Real workers over the ports in memory, one turn at a time."""

from threading import Event

from projector.fold.compile import compile_definition
from projector.metrics import Metrics
from projector.ports import Partition
from projector.spec.definition import Definition
from projector.worker.health import Health
from projector.worker.loop import Work, Worker
from projector.worker.pace import MANY, Pace
from projector.worker.replay import Limit
from tests.support.memory import FakeClock, Group, MemorySource, Topic
from tests.support.memory_store import Crash, MemoryStore, Target
from tests.support.specs import definition

COLUMNS = (
    {"name": "id", "type": "text"},
    {"name": "name", "type": "text", "default": "none"},
    {"name": "total", "type": "bigint", "default": "10"},
    {"name": "count", "type": "bigint", "default": "0"},
    {"name": "top", "type": "bigint"},
)
ORDERS: Definition = definition(
    {"events": ["Placed"], "key": {"id": "event.id"}, "set": {"name": "event.name"}, "increment": {"count": "1"}},
    {
        "events": ["Added"],
        "key": {"id": "event.id"},
        "when": "event.n != 3",
        "increment": {"total": "event.n", "count": "1"},
        "max": {"top": "event.n"},
    },
    {"events": ["Changed"], "key": {"id": "event.id"}, "increment": {"count": "1"}, "onMissing": "Ignore"},
    {"events": ["Gone"], "key": {"id": "event.id"}, "delete": True},
    {"events": ["Found"], "key": {"id": "event.id"}, "increment": {"count": "1"}, "onMissing": "Park"},
    {"events": ["Moved"], "key": {"id": "event.id"}, "increment": {"count": "1"}},
    {"events": ["Moved"], "key": {"id": "event.to"}, "increment": {"total": "event.n", "count": "1"}},
    {"events": ["Tagged"], "key": {"id": "meta.key"}, "set": {"name": "event.name"}},
    {"events": ["(tombstone)"], "key": {"id": "meta.key"}, "delete": True},
    columns=COLUMNS,
)


class Hand:
    """One worker and what it works with."""

    def __init__(self, crew: "Crew", epoch: int = 1) -> None:
        self.source = MemorySource(crew.group, crew.most)
        self.store = MemoryStore(crew.target, epoch)
        self.health = Health()
        self.metrics = Metrics("test")
        self._target = crew.target
        work = Work(crew.program, crew.partitions, crew.parks, self._grown if crew.grows else None, crew.limit)
        self.worker = Worker(work, self.source, self.store, self.metrics, self.health, crew.clock, Pace(crew.many))
        self.worker.start()

    def _grown(self) -> list[Partition]:
        self.store.positions(())  # raises where the target is away
        return list(self._target.checkpoints)


class Crew:
    """Workers of one build. `turn` gives one of them a turn and a third of a second."""

    def __init__(
        self,
        topic: Topic,
        workers: int = 1,
        most: int = 1000,
        many: int = MANY,
        parks: bool = False,
        grows: bool = False,
        limit: Limit | None = None,
    ) -> None:
        self.topic = topic
        self.limit = limit
        self.most, self.many, self.parks, self.grows = most, many, parks, grows
        self.program = compile_definition(ORDERS)
        self.partitions: list[Partition] = topic.all()
        self.target = Target(ORDERS, dict.fromkeys(self.partitions, 0))
        self.group = Group(topic)
        self.clock = FakeClock()
        self.hands = [Hand(self) for _ in range(workers)]

    @property
    def one(self) -> Hand:
        """The only worker of a small test."""
        return self.hands[0]

    def turn(self, index: int = 0) -> None:
        """One turn; a worker that is killed in it is replaced by a new one."""
        self.clock.sleep(0.34)
        try:
            self.hands[index].worker.turn()
        except Crash:
            self.kill(index)

    def turns(self, count: int) -> None:
        """So many turns of each."""
        for _ in range(count):
            for index in range(len(self.hands)):
                self.turn(index)

    def kill(self, index: int) -> None:
        """SIGKILL and a new pod: nothing of the old one ever happens again."""
        self.group.leave(self.hands[index].source)
        self.hands[index] = Hand(self)

    def leave(self, index: int) -> None:
        """SIGTERM and a new pod."""
        stop = Event()
        stop.set()
        worker = self.hands[index].worker
        try:
            worker.finish()
        except Crash:
            self.kill(index)
            return
        worker.close()
        self.hands[index] = Hand(self)

    def declare_dead(self, index: int, late: int) -> None:
        """The group gives the worker's partitions away; it learns so after `late` more fetches (it was stopped)."""
        source = self.hands[index].source
        self.group.leave(source)
        source.late = late

    def done(self) -> bool:
        """Whether all checkpoints are at the log's end."""
        return all(self.target.checkpoints[p] == len(self.topic.partitions[p.number]) for p in self.partitions)
