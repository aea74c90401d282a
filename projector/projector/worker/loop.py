"""The loop: fetch, fold, commit, mirror; and what it does when one of them fails.

Law 1 rests on three habits. A lane reads only from a checkpoint that the store has just told (`_place`). Whatever goes
wrong between that and the answer to a commit throws away all that is in hand and goes back there (`_drop`). And what is
in hand of a partition that the group takes away is forgotten before the group is answered (`_revoked`).

Far behind, one batch is on its way to the target while the next is folded (`projector.worker.flights`); near the end,
each is waited for.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from threading import Event

import structlog

from projector.fold.program import Program
from projector.metrics import Metrics
from projector.ports import (
    Fenced,
    Fetched,
    Move,
    Partition,
    Place,
    Source,
    SourceChanged,
    SourceUnavailable,
    Store,
    StoreUnavailable,
    TopicMissing,
)
from projector.worker.clock import Clock, SystemClock
from projector.worker.faults import Faults
from projector.worker.flights import Flights
from projector.worker.folding import Folding
from projector.worker.health import Health
from projector.worker.lanes import Cause, Fault, Lane, Lanes, State, names
from projector.worker.mirror import Mirror
from projector.worker.outage import Outage, SourceOutage
from projector.worker.pace import ARRIVING_FETCH, END_ONLY_SECONDS, IDLE_FETCH, Pace
from projector.worker.replay import Brake, Limit
from projector.worker.strangers import Strangers

ASK_AGAIN = 10.0
"""Seconds after which the target is asked again whether the build goes on, where no commit would tell."""
PUBLISH_SECONDS = 0.25
FENCED_PAUSE = 0.5
"""Seconds in which the group can say that the partitions are another member's now."""
_log = structlog.get_logger(__name__)


class GivenUp(Exception):
    """The build was given up; this worker has nothing more to do."""


@dataclass(frozen=True, slots=True)
class Work:
    """What a worker works on. `partitions` are those that the build has checkpoints for.

    `parks`: whether an event that cannot be applied is parked with its row key, or stops its partition. `grown` asks
    for the partitions again, where those that a topic got later may be adopted; it raises what a store raises.
    `limit` holds the worker back while the build replays.
    """

    program: Program
    partitions: Collection[Partition]
    parks: bool = True
    grown: Callable[[], Collection[Partition]] | None = None
    limit: Limit | None = None


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
        self._strangers = Strangers(work.partitions, work.grown)
        self._source = source
        self._store = store
        self._metrics = metrics
        self._health = health
        self._clock = clock or SystemClock()
        self._lanes = Lanes()
        self._pace = pace or Pace()
        self._faults = Faults(
            work.program, self._lanes, source, store, metrics, self._clock, self._drop_moved, parks=work.parks
        )
        self._flights = Flights(
            work.program.columns,
            self._lanes,
            source,
            store,
            self._faults,
            self._pace,
            metrics,
            self._clock,
            self._landed,
        )
        self._late: StoreUnavailable | Fenced | None = None  # met where it could not be raised
        self._mirror = Mirror(source, self._clock)
        self._target_away = Outage("target", self._clock)
        self._source_away = SourceOutage(self._clock)
        self._folding = Folding(
            work.program, self._lanes, source, self._faults, self._flights, self._source_away, self._clock
        )
        self._brake = None if work.limit is None else Brake(work.limit, source, self._clock, self._flights.land)
        self._target_again = 0.0
        self._joined = False
        self._answered = False  # the target, since the last time it was away
        self._far, self._fetches = False, 1  # whether many records are known to be there; fetches of one turn
        self._asked_at = self._end_only_at = self._published_at = float("-inf")

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
        except (StoreUnavailable, SourceUnavailable, SourceChanged, TopicMissing, Fenced) as error:
            _log.info("batch rolled back on the way out", reason=str(error))
            self._drop()

    def close(self) -> None:
        """Leave the group and the target."""
        self._mirror.tell_now()
        self._source.close()
        self._store.close()

    # Called by the source from within fetch and close; must not raise.

    def _assigned(self, partitions: Sequence[Partition]) -> None:
        known = self._strangers.among(partitions)
        self._lanes.add(known)
        self._joined, self._answered = True, False
        self._metrics.rebalanced()
        _log.info("partitions assigned", partitions=names(known))

    def _revoked(self, partitions: Sequence[Partition]) -> None:
        try:
            self._flights.land()  # so that whoever gets them reads checkpoints that nobody moves any more
        except (StoreUnavailable, Fenced) as error:
            self._late = error
            self._drop()
        self._lanes.remove(partitions)
        self._strangers.revoked(partitions)
        self._faults.revoked(partitions)
        self._source_away.revoked(partitions)
        self._mirror.revoked(partitions)
        if partitions:
            self._metrics.rebalanced()
            _log.info("partitions revoked", partitions=names(partitions))

    def _step(self) -> None:
        late, self._late = self._late, None
        if late is not None:
            raise late
        self._place()
        if self._clock.now() >= self._target_again and not self._flights.flying:
            self._faults.look()
        fetched = self._read()
        self._flights.look()
        behind = self._behind()
        # With a brake each fetch may wait, and what else a turn does must not wait for several.
        self._far, self._fetches = self._pace.far(behind), 1 if self._brake else self._pace.fetches(behind)
        if self._due(fetched):
            self._flights.send()
        if not self._far:
            self._flights.land()
        if not self._flights.flying:
            self._faults.report()
        self._mirror.tell()

    def _read(self) -> Fetched:
        """Fetch and fold, several times where that is but little of what is there; what came last."""
        left = self._fetches
        while True:
            left -= 1
            fetched = self._fetch()
            try:
                self._folding.take(fetched)
            except BaseException:
                # Some of what was fetched is in no hand; the source would go on behind it.
                self._drop()
                raise
            self._source_away.passed(fetched.records)
            if not left or not fetched.records or self._late is not None or self._due(fetched):
                return fetched

    def _place(self) -> None:
        """Read the checkpoints of the lanes that wait for theirs, and send the source there."""
        if self._clock.now() < self._target_again or not self._joined:
            return
        if self._brake is not None and self._answered and self._brake.released():
            self._brake = None
        self._faults.next_suspect()
        lanes = [lane for lane in self._lanes if lane.state is State.WAITING]
        waiting = [lane for lane in lanes if self._faults.may_read(lane.partition)]
        now = self._clock.now()
        if not waiting and self._answered and now - self._asked_at < ASK_AGAIN and not self._strangers.due(now):
            return
        self._flights.land()
        self._lanes.add(self._strangers.adopted(now))
        positions = self._positions([lane.partition for lane in waiting])
        self._target_away.over()
        self._answered, self._asked_at = True, self._clock.now()
        for lane in waiting:
            lane.place(positions[lane.partition])
            self._source.resume(lane.partition, lane.checkpoint)

    def _positions(self, partitions: Sequence[Partition]) -> dict[Partition, Place]:
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
            fetched = (self._brake or self._source).fetch(room, self._patience())
        except (SourceUnavailable, TopicMissing):
            self._commit()
            raise
        self._metrics.fetched(self._clock.now() - started)
        return fetched

    def _patience(self) -> float:
        """Seconds to wait for the next record."""
        if self._far:
            return ARRIVING_FETCH
        if not self._answered and self._joined:
            return min(IDLE_FETCH, max(0.0, self._target_again - self._clock.now()))
        return IDLE_FETCH

    def _due(self, fetched: Fetched) -> bool:
        now = self._clock.now()
        hand = self._lanes.hand(now)
        if hand.records == 0:
            return any(lane.moved for lane in self._lanes) and now - self._end_only_at >= END_ONLY_SECONDS
        if self._faults.limit is not None:
            return hand.records >= self._faults.limit or not fetched.records
        return self._pace.due(hand, bool(fetched.records) and self._far)

    def _behind(self) -> int:
        """Records that are known to be there and have not come yet."""
        ends = self._source.ends()
        lanes = (lane for lane in self._lanes if lane.state is State.READING and not lane.at_end)
        return sum(max(0, ends.get(lane.partition, 0) - lane.next) for lane in lanes)

    def _commit(self) -> None:
        """Write all that is in hand, and wait for it."""
        self._flights.send()
        self._flights.land()

    def _landed(self, moves: Sequence[Move], records: int) -> None:
        """A batch is committed."""
        self._asked_at = self._clock.now()
        if records == 0:
            self._end_only_at = self._clock.now()
        for move in moves:
            self._mirror.committed(move.partition, move.next)
            self._faults.passed(move.partition, move.next)

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
        self._clock.sleep(self._source_away.again(str(error)))

    def _changed(self, error: SourceChanged) -> None:
        """Law 4: a log that is not the one we know is a stop, never "caught up". Lanes that stand so already stay."""
        self._drop_moved()
        for lane in self._lanes:
            if error.partition in (None, lane.partition):
                self._faults.stand(lane, Fault(Cause.SOURCE, lane.checkpoint, str(error), None), 0)

    def _fenced(self, error: Fenced) -> None:
        """Another one moved our checkpoints. If the build goes on, so do we, from where it stands."""
        self._metrics.fenced()
        _log.warning("checkpoints were moved by another worker, reading them again", reason=str(error))
        self._answered = False
        self._target_again = self._clock.now() + FENCED_PAUSE
        self._drop()

    def _drop(self) -> None:
        """Nothing in hand is known to be right any more. What is on its way lands before checkpoints are read again."""
        self._put_down(list(self._lanes))

    def _drop_moved(self) -> None:
        """The same, except for lanes that stand still where their checkpoint is."""
        self._put_down([lane for lane in self._lanes if lane.fault is None or lane.moved or lane.on_its_way])

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
        if self._strangers.reason:
            self._health.waiting(self._strangers.reason)
        elif self._joined and self._answered and self._source_away.fine:
            self._health.ready()
        ends = self._source.ends()
        self._metrics.show([lane.lag(ends.get(lane.partition)) for lane in self._lanes])
