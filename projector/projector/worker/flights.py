"""The batch on its way to the target, while the next one is folded: at most one."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from projector.fold.columns import Columns
from projector.fold.folded import Folded
from projector.metrics import Metrics
from projector.ports import BadRow, Batch, Fenced, Move, Park, Source, Store, StoreUnavailable, TooManyParked
from projector.worker.clock import Clock
from projector.worker.faults import Faults, Suspect
from projector.worker.lanes import Lanes
from projector.worker.pace import Pace


@dataclass(frozen=True, slots=True)
class _Flight:
    """What each lane has in the batch, and since when it is on its way."""

    suspects: Sequence[Suspect]
    moves: Sequence[Move]
    parked: Sequence[Park]
    folded: Sequence[Folded]
    records: int
    rows: int
    since: float


class Flights:
    """Sends what is in the lanes' hands. `landed` is told of each batch that is committed: moves, and records in it."""

    def __init__(
        self,
        columns: Columns,
        lanes: Lanes,
        source: Source,
        store: Store,
        faults: Faults,
        pace: Pace,
        metrics: Metrics,
        clock: Clock,
        landed: Callable[[Sequence[Move], int], None],
    ) -> None:
        self._columns = columns
        self._lanes = lanes
        self._source = source
        self._store = store
        self._faults = faults
        self._pace = pace
        self._metrics = metrics
        self._clock = clock
        self._landed = landed
        self._flight: _Flight | None = None

    @property
    def flying(self) -> bool:
        """Whether a batch is on its way."""
        return self._flight is not None

    def send(self) -> None:
        """Let a batch of all that is in hand move the checkpoints and write its rows, after the one before it.

        Raises what `Source.verify`, `Store.submit` and `Store.settle` raise; what a row or a full parking place is to
        blame for, goes to the faults.
        """
        undecided = self._lanes.undecided
        if undecided:
            self.land()  # the batch before may decide
        moved = self._lanes.moved
        if moved:
            # Before anything is decided, which cannot be done twice: where the log does not answer, the hand stays.
            self._source.verify()
        existing = self._store.existing(undecided) if undecided and moved else frozenset()
        deltas, parked = self._lanes.decided(self._columns, existing)
        self._store.prepare(deltas)
        self.land()
        if not moved or self._lanes.moved != moved:
            return  # the target refused the batch before: nothing is in hand any more
        records, started = sum(lane.records for lane in moved), self._clock.now()
        suspects = [Suspect(lane, lane.first_offset, lane.next, lane.records) for lane in moved]
        folded = [lane.folded for lane in moved]
        moves = self._lanes.send()
        self._flight = _Flight(suspects, moves, parked, folded, records, len(deltas), started)
        with self._answered(suspects):
            self._store.submit(Batch(moves, deltas, parked))

    def look(self) -> None:
        """Take note of a batch that is through."""
        if self._flight is not None and self._store.ready():
            self.land()

    def land(self) -> None:
        """Wait for what is on its way. Raises as `send` does."""
        flight = self._flight
        if flight is None:
            return
        with self._answered(flight.suspects):
            self._store.settle()
        if self.flying:
            self._through(flight)

    def _through(self, flight: _Flight) -> None:
        self._flight = None
        seconds = self._clock.now() - flight.since
        self._pace.committed(flight.records, seconds)
        self._metrics.committed(flight.folded, flight.rows, seconds)
        for suspect, move in zip(flight.suspects, flight.moves, strict=True):
            suspect.lane.settle(move.next)
        self._faults.parked(flight.parked)
        self._landed(flight.moves, flight.records)

    @contextmanager
    def _answered(self, suspects: Sequence[Suspect]) -> Iterator[None]:
        """What the target may answer instead of a commit: nothing of the batch happened then."""
        try:
            yield
        except BadRow as error:
            self._flight = None
            self._faults.refused(str(error), suspects)
        except TooManyParked as error:
            self._flight = None
            self._faults.full(str(error), suspects)
        except (StoreUnavailable, Fenced) as error:
            self._flight = None
            if isinstance(error, StoreUnavailable):
                self._pace.failed()
            raise
