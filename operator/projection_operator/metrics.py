"""Metrics of the operator, on a registry of their own so that tests can have several."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from projection_operator.core.conditions import previous
from projection_operator.core.status import Status

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_LABELS = ("namespace", "name")


class Metrics:
    """What the operator counts. Lag that is not known has no sample, rather than 0."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.reconcile_seconds = Histogram(
            "projection_operator_reconcile_seconds", "Time of a pass.", buckets=_SECONDS, registry=self._registry
        )
        self.reconcile_errors = Counter(
            "projection_operator_reconcile_errors", "Passes that failed.", ("kind",), registry=self._registry
        )
        self.api_errors = Gauge(
            "projection_operator_kubernetes_api_errors", "Calls to the API server that got no use.",
            registry=self._registry,
        )  # fmt: skip
        self.leader = Gauge("projection_operator_leader", "1 while this process leads.", registry=self._registry)
        self.projections = Gauge(
            "projection_operator_projections", "Projections seen by the last passes.", registry=self._registry
        )
        self._lag = Gauge("projection_lag_events", "Records not in the read model.", _LABELS, registry=self._registry)
        self._age = Gauge("projection_lag_seconds", "Age of the oldest of them.", _LABELS, registry=self._registry)
        self._ready = Gauge("projection_ready", "1 while a live build serves.", _LABELS, registry=self._registry)
        self._known: set[tuple[str, str]] = set()

    def saw(self, key: tuple[str, str], status: Status) -> None:
        """A pass of `key` ended with this status."""
        self._known.add(key)
        self.projections.set(len(self._known))
        ready = previous(status.to_dict(), "Ready").get("status") == "True"
        self._ready.labels(*key).set(1 if ready else 0)
        _set(self._lag, key, status.lag.events if status.lag else None)
        _set(self._age, key, status.lag.seconds if status.lag else None)

    def forget(self, key: tuple[str, str]) -> None:
        """The Projection is gone."""
        self._known.discard(key)
        self.projections.set(len(self._known))
        for gauge in (self._ready, self._lag, self._age):
            _set(gauge, key, None)

    def text(self) -> bytes:
        """In the Prometheus text format."""
        return generate_latest(self._registry)


def _set(gauge: Gauge, key: tuple[str, str], value: int | None) -> None:
    if value is None:
        gauge.remove_by_labels(dict(zip(_LABELS, key, strict=True)))
    else:
        gauge.labels(*key).set(value)
