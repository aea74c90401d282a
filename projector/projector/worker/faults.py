"""Events that cannot be applied: finding them, parking them, standing in front of those that cannot be parked."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import structlog

from projector.fold.folded import BadEvent
from projector.fold.program import Program
from projector.metrics import Metrics
from projector.ports import Park, Partition, Record, Source, Store, Stuck
from projector.worker.clock import Clock
from projector.worker.isolation import Isolation
from projector.worker.lanes import Cause, Fault, Lane, Lanes, State, name, timestamp_ms

LOOK_AGAIN = 5.0
"""Seconds between two looks at whether a fault was discarded or mended."""
TRY_ROW_AGAIN = 30.0
"""Seconds between two tries to write a row that the target refused."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Suspect:
    """What one lane had in a batch that was refused: `records` from `first` on, the batch ended at `until`."""

    lane: Lane
    first: int
    until: int
    records: int


class Faults:
    """The lanes' faults. `drop` throws away what is in hand, so that checkpoints are read again.

    `parks` says whether events that cannot be applied are parked with their row key, or stop their partition.
    """

    def __init__(
        self,
        program: Program,
        lanes: Lanes,
        source: Source,
        store: Store,
        metrics: Metrics,
        clock: Clock,
        drop: Callable[[], None],
        *,
        parks: bool,
    ) -> None:
        self._program = program
        self._lanes = lanes
        self._source = source
        self._store = store
        self._metrics = metrics
        self._clock = clock
        self._drop = drop
        self._parks = parks
        self._isolation: Isolation | None = None
        self._condemned: dict[Partition, Fault] = {}
        self._full: tuple[str, float] = ("", 0.0)
        self._complaints: dict[Partition, tuple[int, str]] = {}

    @property
    def limit(self) -> int | None:
        """Records that the next commit may hold while an event is looked for; None when none is."""
        return None if self._isolation is None else self._isolation.limit

    def revoked(self, partitions: Iterable[Partition]) -> None:
        """The partitions are another member's."""
        for partition in partitions:
            self._complaints.pop(partition, None)
            self._condemned.pop(partition, None)
            if self._isolation is not None:
                self._isolation.drop(partition)

    def passed(self, partition: Partition, offset: int) -> None:
        """The checkpoint came to `offset`."""
        if self._isolation is not None:
            self._isolation.passed(partition, offset)
        if partition in self._condemned and offset > self._condemned[partition].offset:
            del self._condemned[partition]
            if self._isolation is not None:
                self._isolation.drop(partition)

    def condemned(self, lane: Lane, records: Sequence[Record]) -> BadEvent | None:
        """The event among `records` that the target refused, if there is one: it can be folded, and goes no further."""
        fault = self._condemned.get(lane.partition)
        if fault is None:
            return None
        found = next((record for record in records if record.offset() == fault.offset), None)
        keys = found and self._program.keys(found, fault.message)
        return BadEvent(found, fault.message, keys) if found and keys else None

    def parked(self, parks: Iterable[Park]) -> None:
        """These are committed. Of those that wait behind others of their key nothing is said."""
        for park in parks:
            if park.reason:
                self._metrics.parked()
                where = name(park.partition)
                _log.warning("event parked", partition=where, offset=park.record.offset(), reason=park.reason)

    def judge(self, lane: Lane, bad: BadEvent) -> bool:
        """Decide about an event that cannot be applied; False: the lane can go no further."""
        if self._store.discarded(lane.partition, bad.offset):
            self._program.settle(bad, lane.folded, park=False)
            self._metrics.discarded()
            _log.warning("event passed over by decision", partition=name(lane.partition), offset=bad.offset)
            return True
        if not self._parks or bad.keys is None or not self._room(lane, bad):
            return False
        self._program.settle(bad, lane.folded, park=True)
        return True

    def _room(self, lane: Lane, bad: BadEvent) -> bool:
        """Whether the event may be parked: behind others of its keys it always may."""
        return not self._full[0] or lane.parked.issuperset(bad.keys or ())

    def halt(self, lane: Lane, bad: BadEvent, records: int) -> None:
        """Go no further than `bad`; `records` of those in hand come before it."""
        condemned = self._condemned.get(lane.partition)
        cause, message = Cause.EVENT, bad.message
        if condemned is not None and condemned.offset == bad.offset:
            cause = condemned.cause
        if self._parks and bad.keys is not None:
            cause = Cause.FULL
        if cause is Cause.FULL and self._full[0] not in message:
            message = f"{message}; {self._full[0]}"
        self.stand(lane, Fault(cause, bad.offset, message, timestamp_ms(bad.record)), records)

    def stand(self, lane: Lane, fault: Fault, records: int) -> None:
        """Go no further than `fault`; `records` of those in hand come before it."""
        lane.stand(fault, records)
        now = self._clock.now()
        lane.look_at = now + LOOK_AGAIN
        lane.try_at = now + TRY_ROW_AGAIN
        self._source.pause(lane.partition)
        if self._isolation is not None:
            self._isolation.drop(lane.partition)
        self._complain(lane.partition, fault)

    def _complain(self, partition: Partition, fault: Fault) -> None:
        """Log a fault once, however often it is met again."""
        if self._complaints.get(partition) != (fault.offset, fault.message):
            self._complaints[partition] = (fault.offset, fault.message)
            _log.error("partition stands still", partition=name(partition), offset=fault.offset, reason=fault.message)

    def refused(self, message: str, suspects: Sequence[Suspect]) -> None:
        """The target refused a row of a batch: find the event."""
        self._halve(Cause.ROW, message, suspects)

    def full(self, message: str, suspects: Sequence[Suspect]) -> None:
        """A batch would park more keys than may be: find the event that is one too many, so that the others are parked.

        Lanes stand in front of events that would need one more key, and try again later.
        """
        if self._halve(Cause.FULL, message, suspects):
            self._full = message, self._clock.now() + LOOK_AGAIN

    def _halve(self, cause: Cause, message: str, suspects: Sequence[Suspect]) -> bool:
        """Look for the event that a batch was refused for, by halves. Whether it is found."""
        records = sum(suspect.records for suspect in suspects)
        self._drop()
        if records == 1:
            guilty = next(suspect for suspect in suspects if suspect.records)
            self._condemned[guilty.lane.partition] = Fault(cause, guilty.first, message, None)
            return True
        if self._isolation is not None:
            self._isolation.refused(records)
        else:
            self._isolation = Isolation({s.lane.partition: s.until for s in suspects if s.records}, records)
            _log.warning("the target refused a batch; looking for the event", records=records, reason=message)
        return False

    def may_read(self, partition: Partition) -> bool:
        """Whether the partition is to be read now."""
        return self._isolation is None or self._isolation.current == partition

    def next_suspect(self) -> None:
        """During an isolation one partition is read at a time; afterwards all are again."""
        if self._isolation is None:
            return
        for lane in self._lanes:
            if lane.state is State.READING and not self.may_read(lane.partition):
                self._source.pause(lane.partition)
                lane.drop()
        if self._isolation.current is None:
            self._isolation = None

    def report(self) -> None:
        """Tell the registry what stands still, and what goes on."""
        for lane in self._lanes:
            if lane.moved or lane.on_its_way or lane.reported != (lane.fault is None):
                continue
            if lane.fault is not None:
                self._store.report_stuck(Stuck(lane.partition, lane.fault.offset, lane.fault.message))
                lane.reported = True
            elif lane.passed:
                self._store.clear_stuck(lane.partition)
                lane.reported = False
                self._complaints.pop(lane.partition, None)

    def look(self) -> None:
        """See, now and then, whether what lanes stand in front of was discarded or mended."""
        now = self._clock.now()
        if self._full[0] and now >= self._full[1]:
            self._full = "", 0.0
            self._condemned = {place: fault for place, fault in self._condemned.items() if fault.cause is Cause.ROW}
        for lane in self._lanes:
            if lane.fault is None or lane.moved or lane.on_its_way or now < lane.look_at:
                continue
            lane.look_at = now + LOOK_AGAIN
            if self._mended(lane, lane.fault):
                lane.drop()

    def _mended(self, lane: Lane, fault: Fault) -> bool:
        """Whether to try again: the event is met again then, and judged by what holds now."""
        if fault.cause is Cause.FULL:
            self._isolation = self._isolation or Isolation({lane.partition: fault.offset + 1}, 1)
        if fault.cause in {Cause.SOURCE, Cause.FULL}:
            return True
        if fault.cause is Cause.ROW and self._clock.now() >= lane.try_at:
            self._condemned.pop(lane.partition, None)
            return True
        return self._store.discarded(lane.partition, fault.offset)
