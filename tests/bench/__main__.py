"""`make bench`: the engine beside its limits, on the sandbox's Kafka and PostgreSQL. See docs/benchmarks.md."""

import os
import platform
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import click

from sandbox import Sandbox
from tests.bench.bench import UNIFORM, Bench, say
from tests.bench.curves import CURVES, draw
from tests.bench.data import Orders
from tests.bench.docs import write
from tests.bench.report import FOLDER, Report, markdown
from tests.bench.tables import RowsDiffer
from tests.bench.usage import machine_busy

ENGINE, GROWTH = FOLDER / "engine.json", FOLDER / "engine-curves.json"
PARTS = ("order-like", "uniform", "live")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Measure the engine."""


@main.command()
@click.option("--events", type=click.IntRange(1_000), default=6_000_000, show_default=True, help="Order-like events.")
@click.option(
    "--uniform-events", type=click.IntRange(1_000), default=2_000_000, show_default=True, help="Events of uniform keys."
)
@click.option(
    "--repeat", type=click.IntRange(1), default=3, show_default=True, help="Runs, of which the median counts."
)
@click.option("--live-seconds", type=float, default=20, show_default=True, help="How long each latency is measured.")
@click.option("--snapshot-seconds", type=float, default=60, show_default=True, help="The same with a snapshot held.")
@click.option("--part", "parts", type=click.Choice(PARTS), multiple=True, help="Only these; default: all.")
@click.option("--plain/--no-plain", default=True, help="With the plain consumer, which takes the longest.")
@click.option("--strict", is_flag=True, help="Exit code 1 where a bound is missed.")
def run(
    events: int,
    uniform_events: int,
    repeat: int,
    live_seconds: float,
    snapshot_seconds: float,
    parts: tuple[str, ...],
    plain: bool,
    strict: bool,
) -> None:
    """All contenders side by side; rows that differ from the fold always fail."""
    wanted = parts or PARTS
    report = Report(ENGINE)
    with _bench(report, repeat) as bench:
        if "order-like" in wanted:
            bench.replays(Orders(), events, plain)
        if "uniform" in wanted:
            bench.replays(UNIFORM, uniform_events, plain)
        if "live" in wanted:
            for rate in (500, 5_000):
                bench.live(rate, live_seconds, snapshot=False)
            bench.live(5_000, snapshot_seconds, snapshot=True)
    missed = [entry["name"] for entry in report.entries if not entry["holds"]]
    say(f"bounds missed: {'; '.join(missed) or 'none'}")
    sys.exit(1 if strict and missed else 0)


@main.command()
@click.option(
    "--events", type=click.IntRange(1_000), default=1_000_000, show_default=True, help="Events of each point."
)
@click.option(
    "--most", type=click.IntRange(1_000), default=20_000_000, show_default=True, help="Events of the longest log."
)
@click.option("--curve", "curves", type=click.Choice(list(CURVES)), multiple=True, help="Only these; default: all.")
def curves(events: int, most: int, curves: tuple[str, ...]) -> None:
    """How cost grows with columns, events per key and events."""
    with _bench(Report(GROWTH), repeat=1) as bench:
        for name in curves or CURVES:
            draw(bench, name, events, most)


@main.command()
def docs() -> None:
    """Write the tables and charts of docs/benchmarks.md from the reports."""
    write(ENGINE, GROWTH)


@contextmanager
def _bench(report: Report, repeat: int) -> Iterator[Bench]:
    """Start what is needed, and write the report whatever happens."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was made is removed
    sandbox = Sandbox()
    sandbox.up("postgres", "kafka")
    _describe(report)
    bench = Bench(sandbox, report, repeat)
    try:
        yield bench
    except RowsDiffer as error:
        report.at_most("rows that differ", error.count, "rows", 0, where=str(error))
        say(f"FAILED: {error}")
        sys.exit(1)
    finally:
        report.write()
        bench.close()
        say(f"\n{markdown(report)}\n\nreport: {report.path}")


def _describe(report: Report) -> None:
    """The machine, and how busy others keep it: figures of a busy one are worth little."""
    before = machine_busy()
    time.sleep(2)
    busy = (machine_busy() - before) / 2
    report.add("cores", os.cpu_count() or 0, "")
    report.add("cores that others kept busy before the start", busy, "")
    say(f"{os.cpu_count()} cores, of which others keep {busy:.1f} busy; Python {platform.python_version()}")


if __name__ == "__main__":
    main()
