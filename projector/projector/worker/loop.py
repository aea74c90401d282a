"""The loop: fetch, fold, commit, mirror; and what it does when one of them fails.

Law 1 rests on three habits. A lane reads only from a checkpoint that the store has just told (`_place`). Whatever goes
wrong between that and the answer to a commit throws away all that is in hand and goes back there (`_drop`). And what is
in hand of a partition that the group takes away is forgotten before the group is answered (`_revoked`).
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from threading import Event

import structlog

from projector.fold.folded import BadEvent
from projector.fold.program import Program
from projector.metrics import LaneLag, Metrics
from projector.ports import (
    BadRow,
    Fenced,
    Fetched,
    Move,
    Partition,
    Record,
    Source,
    SourceChanged,
    SourceUnavailable,
    Store,
    StoreUnavailable,
    TopicMissing,
)
from projector.worker.clock import Clock, SystemClock
from projector.worker.faults import Faults
from projector.worker.health import Health
from projector.worker.lanes import Cause, Fault, Lane, Lanes, State, name, names, timestamp_ms
from projector.worker.outage import Outage
from projector.worker.pace import END_ONLY_SECONDS, Pace

IDLE_FETCH = 0.5
"""Seconds that a fetch waits for a record: how often the loop turns when nothing comes."""
ARRIVING_FETCH = 0.05
"""The same when many more records are known to be there."""
ASK_AGAIN = 10.0
"""Seconds after which the target is asked again whether the build goes on, where no commit would tell."""
MIRROR_SECONDS = 1.0
PUBLISH_SECONDS = 0.25
FENCED_PAUSE = 0.5
"""Seconds in which the group can say that the partitions are another member's now."""
_log = structlog.get_logger(__name__)


class GivenUp(Exception):
    """The build was given up; this worker has nothing more to do."""


@dataclass(frozen=True, slots=True)
class Work:
    """What a worker works on. `partitions` are those that the build has checkpoints for."""

    program: Program
    partitions: Collection[Partition]


class Worker:
    """One member of a build's group. `run` returns when `stop` is set."""

    def __init__(
        self,
        work: Work,
        source: Source,
        store: Store,
        metrics: Metrics,
        health: Health,
        clock: Clock | None = None,
        pace: Pace | None = None,
    ) -> None:
        self._program = work.program
        self._partitions = frozenset(work.partitions)
        self._source = source
        self._store = store
        self._metrics = metrics
        self._health = health
        self._clock = clock or SystemClock()
        self._lanes = Lanes()
        self._pace = pace or Pace()
        self._faults = Faults(self._lanes, source, store, metrics, self._clock, self._drop_moved)
        self._target_away = Outage("target", self._clock)
        self._source_away = Outage("source", self._clock)
        self._target_again = 0.0
        self._joined = False
        self._answered = False  # the target, since the last time it was away
        self._source_fine = True
        self._foreign = ""
        self._asked_at = self._end_only_at = self._mirrored_at = self._published_at = float("-inf")
        self._unmirrored: dict[Partition, int] = {}

    def run(self, stop: Event) -> None:
        """Work until `stop` is set, then commit what is in hand and leave. Raises GivenUp."""
        self.start()
        try:
            while not stop.is_set():
                self.turn()
            self.finish()
        finally:
            self.close()

    def start(self) -> None:
        """Join the group."""
        self._health.waiting("joining the consumer group")
        self._source.start(self._assigned, self._revoked)

    def turn(self) -> None:
        """One turn of the loop; takes at most some seconds whatever happens. Raises GivenUp."""
        self._health.turned()
        try:
            self._step()
        except StoreUnavailable as error:
            self._target_lost(error)
        except (SourceUnavailable, TopicMissing) as error:
            self._source_lost(error)
        except SourceChanged as error:
            self._changed(error)
        except Fenced as error:
            self._fenced(error)
        self._publish()

    def finish(self) -> None:
        """Commit what is in hand, if the target takes it at once; otherwise nothing of it ever happened."""
        try:
            self._commit()
        except (StoreUnavailable, Fenced, BadRow) as error:
            _log.info("batch rolled back on the way out", reason=str(error))
            self._drop()

    def close(self) -> None:
        """Leave the group and the target."""
        if self._unmirrored:
            self._source.mirror(self._unmirrored)
        self._source.close()
        self._store.close()

    # Called by the source from within fetch and close; must not raise.

    def _assigned(self, partitions: Sequence[Partition]) -> None:
        known = [partition for partition in partitions if partition in self._partitions]
        self._foreign = _strangers([p for p in partitions if p not in self._partitions], self._partitions)
        if self._foreign:
            _log.error("partitions are not read", reason=self._foreign)
        self._lanes.add(known)
        self._joined, self._answered = True, False
        self._metrics.rebalanced()
        _log.info("partitions assigned", partitions=names(known))

    def _revoked(self, partitions: Sequence[Partition]) -> None:
        self._lanes.remove(partitions)
        self._faults.revoked(partitions)
        for partition in partitions:
            self._unmirrored.pop(partition, None)
        if partitions:
            self._metrics.rebalanced()
            _log.info("partitions revoked", partitions=names(partitions))

    def _step(self) -> None:
        self._place()
        if self._clock.now() >= self._target_again:
            self._faults.look()
        fetched = self._fetch()
        self._take(fetched)
        if self._due(fetched):
            self._commit()
        self._faults.report()
        self._mirror()

    def _place(self) -> None:
        """Read the checkpoints of the lanes that wait for theirs, and send the source there."""
        if self._clock.now() < self._target_again or not self._joined:
            return
        self._faults.next_suspect()
        waiting = [
            lane for lane in self._lanes if lane.state is State.WAITING and self._faults.may_read(lane.partition)
        ]
        if not waiting and self._answered and self._clock.now() - self._asked_at < ASK_AGAIN:
            return
        positions = self._positions([lane.partition for lane in waiting])
        self._target_away.over()
        self._answered, self._asked_at = True, self._clock.now()
        for lane in waiting:
            lane.place(positions[lane.partition])
            self._source.resume(lane.partition, lane.checkpoint)

    def _positions(self, partitions: Sequence[Partition]) -> dict[Partition, int]:
        try:
            return dict(self._store.positions(partitions))
        except Fenced as error:
            raise GivenUp(str(error)) from None

    def _fetch(self) -> Fetched:
        hand = self._lanes.hand(self._clock.now())
        room = self._pace.room(hand)
        if self._faults.limit is not None:
            room = max(1, min(room, self._faults.limit - hand.records))
        started = self._clock.now()
        try:
            fetched = self._source.fetch(room, self._patience())
        except (SourceUnavailable, TopicMissing):
            self._commit()
            raise
        self._source_away.over()
        self._source_fine = True
        self._metrics.fetched(self._clock.now() - started)
        return fetched

    def _patience(self) -> float:
        """Seconds to wait for the next record."""
        if self._more():
            return ARRIVING_FETCH
        if not self._answered and self._joined:
            return min(IDLE_FETCH, max(0.0, self._target_again - self._clock.now()))
        return IDLE_FETCH

    def _take(self, fetched: Fetched) -> None:
        """Fold what came onto what is in hand."""
        total = sum(map(len, fetched.records.values()))
        for partition, records in fetched.records.items():
            lane = self._lanes.get(partition)
            if lane is None or lane.state is not State.READING:
                continue
            lane.take(records, fetched.size * len(records) // total)
            self._fold(lane, records)
        for partition, offset in fetched.ends.items():
            lane = self._lanes.get(partition)
            if lane is not None and lane.state is State.READING:
                lane.end(offset)
        if total:
            self._lanes.taken(self._clock.now())

    def _fold(self, lane: Lane, records: Sequence[Record]) -> None:
        before = lane.records - len(records)
        try:
            self._program.fold(records, lane.folded)
        except BadEvent as error:
            good = sum(1 for record in records if record.offset() < error.offset)
            fault = Fault(Cause.EVENT, error.offset, error.message, timestamp_ms(records[good]))
            self._faults.stand(lane, fault, before + good)

    def _due(self, fetched: Fetched) -> bool:
        now = self._clock.now()
        hand = self._lanes.hand(now)
        if hand.records == 0:
            return any(lane.moved for lane in self._lanes) and now - self._end_only_at >= END_ONLY_SECONDS
        if self._faults.limit is not None:
            return hand.records >= self._faults.limit or not fetched.records
        return self._pace.due(hand, bool(fetched.records) and self._more())

    def _more(self) -> bool:
        """Whether many records are known to be there that have not come yet."""
        ends = self._source.ends()
        lanes = (lane for lane in self._lanes if lane.state is State.READING and not lane.at_end)
        return self._pace.far(sum(max(0, ends.get(lane.partition, 0) - lane.next) for lane in lanes))

    def _commit(self) -> None:
        """Move the checkpoints and write the rows of all that is in hand."""
        moves = self._lanes.moves()
        if not moves:
            return
        hand = self._lanes.hand(self._clock.now())
        folded = [lane.folded for lane in self._lanes if lane.moved]
        deltas = self._lanes.deltas()
        started = self._clock.now()
        try:
            self._store.commit(moves, deltas)
        except BadRow as error:
            self._faults.refused(str(error))
            return
        except StoreUnavailable:
            self._pace.failed()
            raise
        seconds = self._clock.now() - started
        self._pace.committed(hand.records, seconds)
        self._metrics.committed(folded, len(deltas), seconds)
        self._settle(moves, hand.records == 0)

    def _settle(self, moves: Sequence[Move], end_only: bool) -> None:
        self._lanes.settle()
        self._asked_at = self._clock.now()
        if end_only:
            self._end_only_at = self._clock.now()
        for move in moves:
            self._unmirrored[move.partition] = move.next
            self._faults.passed(move.partition, move.next)

    def _mirror(self) -> None:
        now = self._clock.now()
        if self._unmirrored and now - self._mirrored_at >= MIRROR_SECONDS:
            self._source.mirror(self._unmirrored)
            self._unmirrored = {}
            self._mirrored_at = now

    # Faults of the surroundings.

    def _target_lost(self, error: StoreUnavailable) -> None:
        """Whether the last commit happened is unknown; the checkpoints will tell."""
        self._target_again = self._clock.now() + self._target_away.again(str(error))
        self._answered = False
        self._health.waiting(f"target unavailable: {error}")
        self._metrics.outage("target")
        self._drop()

    def _source_lost(self, error: Exception) -> None:
        self._health.waiting(f"source unavailable: {error}")
        self._metrics.outage("source")
        self._source_fine = False
        self._clock.sleep(self._source_away.again(str(error)))

    def _changed(self, error: SourceChanged) -> None:
        """Law 4: a log that is not the one we know is a stop, never "caught up"."""
        for lane in self._lanes:
            if error.partition in (None, lane.partition):
                self._source.pause(lane.partition)
                lane.drop()
                self._faults.stand(lane, Fault(Cause.SOURCE, lane.checkpoint, str(error), None), 0)

    def _fenced(self, error: Fenced) -> None:
        """Another one moved our checkpoints. If the build goes on, so do we, from where it stands."""
        self._metrics.fenced()
        _log.warning("checkpoints were moved by another worker, reading them again", reason=str(error))
        self._answered = False
        self._target_again = self._clock.now() + FENCED_PAUSE
        self._drop()

    def _drop(self) -> None:
        """Nothing in hand is known to be right any more."""
        self._put_down(list(self._lanes))

    def _drop_moved(self) -> None:
        """The same, except for lanes that stand still where their checkpoint is."""
        self._put_down([lane for lane in self._lanes if lane.fault is None or lane.moved])

    def _put_down(self, lanes: Sequence[Lane]) -> None:
        for lane in lanes:
            self._source.pause(lane.partition)
        self._lanes.drop(lanes)

    def _publish(self) -> None:
        """Show the state to probes and metrics."""
        now = self._clock.now()
        if now - self._published_at < PUBLISH_SECONDS:
            return
        self._published_at = now
        if self._foreign:
            self._health.waiting(self._foreign)
        elif self._joined and self._answered and self._source_fine:
            self._health.ready()
        ends = self._source.ends()
        self._metrics.show([_lag(lane, ends.get(lane.partition)) for lane in self._lanes])


def _lag(lane: Lane, end: int | None) -> LaneLag:
    """What metrics show of a lane whose partition is known to end at `end`."""
    caught_up = lane.at_end and not lane.moved
    records = 0 if caught_up else None if end is None else max(0, end - lane.checkpoint)
    return LaneLag(name(lane.partition), records, caught_up, lane.unprocessed_ms, lane.fault is not None)


def _strangers(strange: Sequence[Partition], known: Collection[Partition]) -> str:
    """Why partitions that the build has no checkpoints for are not read; empty where there are none."""
    if not strange:
        return ""
    topics = {partition.topic for partition in known if (partition.topic, partition.number) in _places(strange)}
    if topics:
        return f"topic {', '.join(sorted(topics))} was deleted and created again since the build began; start a rebuild"
    grown = ", ".join(names(strange))
    return f"partitions were added since the build began and are not read ({grown}); start a rebuild"


def _places(partitions: Iterable[Partition]) -> set[tuple[str, int]]:
    return {(partition.topic, partition.number) for partition in partitions}
