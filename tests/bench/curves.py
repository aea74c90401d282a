"""How cost grows: columns, events per key, length of the log."""

from collections.abc import Mapping, Sequence

from tests.bench.bench import UNIFORM, Bench, say
from tests.bench.data import Data, Orders, Wide

COLUMNS = (1, 5, 10, 25, 50)
PER_KEY = (1, 3, 10, 30, 100)
MILLIONS = (1, 2, 5, 10, 20)
CURVES: Mapping[str, str] = {
    "columns": "columns of the row, 10 events per key",
    "per-key": "events per key, 7 columns",
    "order-like": "millions of order-like events",
    "uniform": "millions of events of uniform keys",
}


def draw(bench: Bench, curve: str, events: int, most: int) -> None:
    """Measure one curve."""
    for at, data, amount in _points(curve, events, most):
        topic, _ = bench.fill(data, amount)
        result = bench.ours(data, topic, 1)
        bench.remove(topic)
        more = {
            "curve": curve,
            "at": at,
            "events": amount,
            "peak_mib": round(result.peak_mib),
            "cpu_s_per_million": round(result.cpu / amount * 1e6, 2),
            "postgres_cpu_s_per_million": round(result.servers.postgres / amount * 1e6, 2),
        }
        bench.report.add(f"{CURVES[curve]}: {at}", result.rate, "events/s", **more)
        say(f"  {CURVES[curve]}: {at}: {result.rate:,.0f} events/s, {result.peak_mib:.0f} MiB")


def _points(curve: str, events: int, most: int) -> Sequence[tuple[int, Data, int]]:
    if curve == "columns":
        return [(width, Wide(width), events) for width in COLUMNS]
    if curve == "per-key":
        return [(per_key, Wide(7, per_key), events) for per_key in PER_KEY]
    data = UNIFORM if curve == "uniform" else Orders()
    return [(million, data, million * 1_000_000) for million in MILLIONS if million * 1_000_000 <= most]
