"""Folding what a fetch brought onto what is in the lanes' hands."""

from collections.abc import Sequence

from projector.fold.folded import BadEvent
from projector.fold.program import Program
from projector.ports import Fetched, Record, Source
from projector.worker.clock import Clock
from projector.worker.faults import Faults
from projector.worker.flights import Flights
from projector.worker.lanes import Lane, Lanes, State
from projector.worker.outage import SourceOutage


class Folding:
    """Takes records into hand, up to one that stops its lane."""

    def __init__(
        self,
        program: Program,
        lanes: Lanes,
        source: Source,
        faults: Faults,
        flights: Flights,
        source_away: SourceOutage,
        clock: Clock,
    ) -> None:
        self._program = program
        self._lanes = lanes
        self._source = source
        self._faults = faults
        self._flights = flights
        self._source_away = source_away
        self._clock = clock

    def take(self, fetched: Fetched) -> None:
        """Fold what came. Where this raises, some of what was fetched is in no hand."""
        total = sum(map(len, fetched.records.values()))
        for partition, records in fetched.records.items():
            lane = self._lanes.get(partition)
            if lane is None or lane.state is not State.READING:
                continue
            lane.take(records, fetched.size * len(records) // total)
            with self._source_away.reading(partition):
                self._fold(lane, records)
        for partition, offset in fetched.ends.items():
            lane = self._lanes.get(partition)
            if lane is not None and lane.state is State.READING:
                lane.end(offset)
        if total:
            self._lanes.taken(self._clock.now())

    def _fold(self, lane: Lane, records: Sequence[Record]) -> None:
        before = lane.records - len(records)
        condemned = self._faults.condemned(lane, records)
        if condemned is not None:
            place = records.index(condemned.record)
            if not self._fold_part(lane, records[:place], before) or not self._goes_on(lane, condemned, before + place):
                return
            before, records = before + place + 1, records[place + 1 :]
        self._fold_part(lane, records, before)

    def _fold_part(self, lane: Lane, records: Sequence[Record], before: int) -> bool:
        """Fold records, `before` others of the lane in hand; False: it stands still somewhere among them."""
        rest = iter(records)
        while True:
            try:
                self._program.fold(rest, lane.folded)
            except BadEvent as bad:
                good = before + sum(1 for record in records if record.offset() < bad.offset)
                if not self._goes_on(lane, bad, good):
                    return False
            else:
                return True

    def _goes_on(self, lane: Lane, bad: BadEvent, good: int) -> bool:
        """Whether the lane goes on behind a bad event; `good` records in hand come before it."""
        self._flights.land()
        if lane.state is not State.READING:
            return False
        self._source.verify()
        if self._faults.judge(lane, bad):
            return True
        self._faults.halt(lane, bad, good)
        return False
