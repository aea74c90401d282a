"""A target in memory, with the semantics that the port promises, and faults on demand."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from projector.fold.columns import Columns
from projector.fold.delta import Key, Row, Writes
from projector.fold.table import Table
from projector.ports import (
    BadRow,
    Batch,
    Fenced,
    Park,
    Partition,
    Place,
    StoreUnavailable,
    Stuck,
    TooManyParked,
)
from projector.spec.definition import Definition

GETS_TO_IT = 3
"""Times that a store looks until the server has got to its transaction, if nothing makes it do so before."""


class Crash(BaseException):
    """The process is killed at this point."""


@dataclass
class Target:
    """Rows and checkpoints of one build, as they survive all crashes. `refuses` says whether a row does not fit.

    `pending` is a transaction that the server has and did not get to yet; its worker may be dead.
    """

    definition: Definition
    checkpoints: dict[Partition, int]
    epoch: int = 1
    table: Table = field(init=False)
    parked: list[Park] = field(default_factory=list)
    generations: dict[Partition, int] = field(default_factory=dict)
    most_parked: int = 100
    stuck: dict[Partition, Stuck] = field(default_factory=dict)
    discarded: dict[tuple[Partition, int], str] = field(default_factory=dict)
    refuses: Callable[[Row], bool] = lambda _row: False
    pending: "Transaction | None" = None
    commits: int = 0
    ever_parked: list[Park] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.table = Table(Columns.of(self.definition))

    @property
    def rows(self) -> dict[Key, Row]:
        return self.table.rows

    def place(self, partition: Partition) -> Place:
        keys = frozenset(park.key for park in self.parked if park.partition == partition)
        return Place(self.checkpoints[partition], self.generations.get(partition, 0), keys)

    def flush(self) -> None:
        """The server gets to the transaction that it has."""
        if self.pending is not None:
            self.pending.run()

    def transact(self, batch: Batch, epoch: int) -> None:
        """All of a batch or nothing. Raises Fenced, BadRow, TooManyParked."""
        self.require(epoch, [move.partition for move in batch.moves])
        for move in batch.moves:
            assert move.next > move.previous
            place = self.place(move.partition)
            if (place.offset, place.generation) != (move.previous, move.generation):
                raise Fenced(f"{move.partition.number} is not at {move.previous}")
        keys = {park.key for park in (*self.parked, *batch.parked)}
        if len(keys) > self.most_parked:
            raise TooManyParked(
                f"it would have {len(keys)} parked keys; errors.maxParkedKeys allows {self.most_parked}"
            )
        self.write(batch.deltas)
        self.parked += batch.parked
        self.ever_parked += batch.parked
        self.checkpoints |= {move.partition: move.next for move in batch.moves}
        self.commits += 1

    def write(self, deltas: Writes) -> None:
        """Rows alone. Raises BadRow."""
        if any(row is not None and self.refuses(row) for row in self.table.after(deltas).values()):
            raise BadRow("column total: value out of range")
        self.table.write(deltas)

    def require(self, epoch: int, partitions: Iterable[Partition]) -> None:
        if epoch != self.epoch or any(p not in self.checkpoints for p in partitions):
            raise Fenced("the build was given up")


@dataclass
class Transaction:
    """A batch at the server."""

    target: Target
    batch: Batch
    epoch: int
    failure: Exception | None = None
    done: bool = False

    def run(self) -> None:
        if self.done:
            return
        self.done, self.target.pending = True, None
        try:
            self.target.transact(self.batch, self.epoch)
        except (Fenced, BadRow, TooManyParked) as error:
            self.failure = error


class MemoryStore:
    """`projector.ports.Store` of one worker.

    `fault` is spent by the next batch: `killed` and `away` happen before the server has it, `killed-sent` when it has
    it, `lost` and `killed-after` when all of it is done.
    """

    def __init__(self, target: Target, epoch: int = 1) -> None:
        self._target = target
        self._epoch = epoch
        self._sent: Transaction | None = None
        self._looks = 0
        self._lost = ""
        self.unavailable = 0
        self.fault: str | None = None

    def positions(self, partitions: Sequence[Partition]) -> Mapping[Partition, Place]:
        self._reach()
        self._target.require(self._epoch, partitions)
        return {partition: self._target.place(partition) for partition in partitions}

    def prepare(self, deltas: Writes) -> None:
        pass

    def existing(self, keys: Collection[Key]) -> frozenset[Key]:
        self._reach()
        return frozenset(key for key in keys if key in self._target.rows)

    def submit(self, batch: Batch) -> None:
        assert batch.moves
        if self._sent is not None:
            raise RuntimeError("a batch is on its way")
        fault, self.fault = self.fault, None
        self._reach()
        if fault == "killed":
            raise Crash
        if fault == "away":
            raise StoreUnavailable("the connection was lost")
        self._target.flush()
        self._looks = 0
        self._sent = self._target.pending = Transaction(self._target, batch, self._epoch)
        if fault == "killed-sent":
            raise Crash
        self._lost = fault or ""

    def ready(self) -> bool:
        self._looks += 1
        if self._sent is not None and self._looks >= GETS_TO_IT:
            self._sent.run()
        return self._sent is None or self._sent.done

    def settle(self) -> None:
        sent, self._sent = self._sent, None
        if sent is None:
            return
        sent.run()
        lost, self._lost = self._lost, ""
        if lost == "killed-after":
            raise Crash
        if lost == "lost":
            raise StoreUnavailable("the connection was lost")
        if sent.failure is not None:
            raise sent.failure

    def discarded(self, partition: Partition, offset: int) -> bool:
        self._reach()
        return (partition, offset) in self._target.discarded

    def report_stuck(self, stuck: Stuck) -> None:
        self._reach()
        self._target.require(self._epoch, [stuck.partition])
        self._target.stuck[stuck.partition] = stuck

    def clear_stuck(self, partition: Partition) -> None:
        self._reach()
        self._target.require(self._epoch, [partition])
        self._target.stuck.pop(partition, None)

    def close(self) -> None:
        """Nothing is held."""

    def _reach(self) -> None:
        if self._sent is not None:
            self._sent.run()  # `settle` tells the outcome
        if self.unavailable > 0:
            self.unavailable -= 1
            raise StoreUnavailable("connection refused")
