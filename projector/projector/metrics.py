"""What Prometheus sees of a worker. Counters are kept by the loop; lag is computed at the moment of the scrape."""

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Histogram, Info, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from projector.fold.folded import Folded

_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


@dataclass(frozen=True, slots=True)
class LaneLag:
    """Where one partition stands. `partition` is topic/number; `records` and `oldest_ms` are None where unknown.

    `oldest_ms` is the timestamp, in milliseconds since the epoch, of the oldest record that is not processed.
    """

    partition: str
    records: int | None
    caught_up: bool
    oldest_ms: int | None
    stuck: bool

    def seconds(self, now: float) -> float | None:
        """Age of the oldest unprocessed record at `now` (seconds since the epoch); 0 only when there is none."""
        if self.caught_up:
            return 0.0
        return None if self.oldest_ms is None else max(0.0, now - self.oldest_ms / 1000)


class Metrics(Collector):
    """One worker's metrics, in a registry of their own."""

    def __init__(self, version: str) -> None:
        self._registry = registry = CollectorRegistry()
        self._lanes: Sequence[LaneLag] = ()
        self._events = Counter(
            "projector_events", "Events committed, by what became of them.", ["result"], registry=registry
        )
        self._rows = Counter("projector_rows", "Rows written.", registry=registry)
        self._batches = Counter("projector_batches", "Transactions committed.", registry=registry)
        self._commit = Histogram("projector_commit_seconds", "Time of one commit.", registry=registry, buckets=_SECONDS)
        self._fetch = Histogram(
            "projector_fetch_seconds", "Time of one fetch, waiting included.", registry=registry, buckets=_SECONDS
        )
        self._rebalances = Counter("projector_rebalances", "Changes of the assignment.", registry=registry)
        self._outages = Counter(
            "projector_outages", "Failed tries to reach source or target.", ["of"], registry=registry
        )
        self._fenced = Counter("projector_fenced", "Commits refused by the fence.", registry=registry)
        Info("projector_build", "The projector's build.", registry=registry).info({"version": version})
        for result in ("applied", "ignored", "discarded", "parked"):
            self._events.labels(result)
        registry.register(self)
        self.events = 0

    def committed(self, folded: Iterable[Folded], rows: int, seconds: float) -> None:
        """One transaction went through."""
        applied = ignored = 0
        for part in folded:
            applied += part.events
            ignored += sum(part.ignored.values())
        self.events += applied + ignored
        self._events.labels("applied").inc(applied)
        self._events.labels("ignored").inc(ignored)
        self._rows.inc(rows)
        self._batches.inc()
        self._commit.observe(seconds)

    def fetched(self, seconds: float) -> None:
        """One fetch returned."""
        self._fetch.observe(seconds)

    def discarded(self) -> None:
        """An event was passed over by decision."""
        self._events.labels("discarded").inc()

    def parked(self) -> None:
        """An event was set aside with a key; it is counted as applied too, for other keys."""
        self._events.labels("parked").inc()

    def rebalanced(self) -> None:
        """Partitions came or went."""
        self._rebalances.inc()

    def outage(self, of: str) -> None:
        """`of` ("source" or "target") could not be reached."""
        self._outages.labels(of).inc()

    def fenced(self) -> None:
        """Another worker had moved a checkpoint."""
        self._fenced.inc()

    def show(self, lanes: Sequence[LaneLag]) -> None:
        """Where the partitions stand now."""
        self._lanes = tuple(lanes)

    @property
    def lanes(self) -> Sequence[LaneLag]:
        """What `show` was told last."""
        return self._lanes

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Gauges of the partitions, aged to this moment; unknown ones are absent."""
        lanes, now = self._lanes, time.time()
        records = GaugeMetricFamily("projector_lag_records", "Records not yet processed.", labels=["partition"])
        seconds = GaugeMetricFamily(
            "projector_lag_seconds", "Age of the oldest record not yet processed.", labels=["partition"]
        )
        for lane in lanes:
            if lane.records is not None:
                records.add_metric([lane.partition], lane.records)
            if (age := lane.seconds(now)) is not None:
                seconds.add_metric([lane.partition], age)
        yield records
        yield seconds
        yield GaugeMetricFamily(
            "projector_stuck_partitions",
            "Partitions that stand still in front of an event.",
            value=sum(lane.stuck for lane in lanes),
        )
        yield GaugeMetricFamily("projector_partitions", "Partitions assigned to this worker.", value=len(lanes))

    def exposition(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self._registry)
