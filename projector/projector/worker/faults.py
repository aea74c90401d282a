"""Events that cannot be applied: finding them, standing in front of them, passing over what people decided on."""

from collections.abc import Callable, Iterable

import structlog

from projector.metrics import Metrics
from projector.ports import Move, Partition, Source, Store, Stuck
from projector.worker.clock import Clock
from projector.worker.isolation import Isolation
from projector.worker.lanes import Cause, Fault, Lane, Lanes, State, name

LOOK_AGAIN = 5.0
"""Seconds between two looks at whether a fault was discarded or mended."""
TRY_ROW_AGAIN = 30.0
"""Seconds between two tries to write a row that the target refused."""

_log = structlog.get_logger(__name__)


class Faults:
    """The lanes' faults. `drop` throws away what is in hand, so that checkpoints are read again."""

    def __init__(
        self, lanes: Lanes, source: Source, store: Store, metrics: Metrics, clock: Clock, drop: Callable[[], None]
    ) -> None:
        self._lanes = lanes
        self._source = source
        self._store = store
        self._metrics = metrics
        self._clock = clock
        self._drop = drop
        self._isolation: Isolation | None = None
        self._complaints: dict[Partition, tuple[int, str]] = {}

    @property
    def limit(self) -> int | None:
        """Records that the next commit may hold while an event is looked for; None when none is."""
        return None if self._isolation is None else self._isolation.limit

    def revoked(self, partitions: Iterable[Partition]) -> None:
        """The partitions are another member's."""
        for partition in partitions:
            self._complaints.pop(partition, None)
            if self._isolation is not None:
                self._isolation.drop(partition)

    def passed(self, partition: Partition, offset: int) -> None:
        """The checkpoint came to `offset`."""
        if self._isolation is not None:
            self._isolation.passed(partition, offset)

    def stand(self, lane: Lane, fault: Fault, records: int) -> None:
        """Go no further than `fault`; `records` of those in hand come before it."""
        lane.stand(fault, records)
        now = self._clock.now()
        lane.look_at = now + LOOK_AGAIN if fault.cause is Cause.SOURCE else now
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

    def refused(self, message: str) -> None:
        """The target refused a row of what is in hand: find the event, by halves."""
        records = self._lanes.hand(self._clock.now()).records
        guilty = [lane for lane in self._lanes if lane.records]
        suspects = {lane.partition: lane.next for lane in guilty}
        event = (guilty[0].first_offset, guilty[0].oldest_ms)
        self._drop()
        if records == 1:
            self.stand(guilty[0], Fault(Cause.ROW, event[0], message, event[1]), 0)
        elif self._isolation is not None:
            self._isolation.refused(records)
        else:
            self._isolation = Isolation(suspects, records)
            _log.warning("the target refused a row; looking for its event", records=records, reason=message)

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
            if lane.moved or lane.reported != (lane.fault is None):
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
        for lane in self._lanes:
            if lane.fault is None or lane.moved or now < lane.look_at:
                continue
            lane.look_at = now + LOOK_AGAIN
            self._look_at(lane, lane.fault)

    def _look_at(self, lane: Lane, fault: Fault) -> None:
        if fault.cause is Cause.SOURCE:
            lane.drop()
        elif self._store.discarded(lane.partition, fault.offset):
            self._store.commit([Move(lane.partition, lane.checkpoint, fault.offset + 1, fault.timestamp_ms)], {})
            self._store.clear_stuck(lane.partition)
            _log.warning("event passed over by decision", partition=name(lane.partition), offset=fault.offset)
            self._metrics.discarded()
            lane.drop()
        elif fault.cause is Cause.ROW and self._clock.now() >= lane.try_at and self._isolation is None:
            self._isolation = Isolation({lane.partition: fault.offset + 1}, 1)
            lane.drop()
