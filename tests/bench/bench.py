"""All contenders over the same logs, their rows compared with the fold, and the bounds that ours must keep."""

import sys
import time
from collections.abc import Callable, Sequence
from statistics import median, median_low
from typing import Any, TypeVar

import click

from sandbox import Sandbox
from tests.bench.data import Data, Orders, expected
from tests.bench.flow import LIVE
from tests.bench.hand import Job
from tests.bench.live import measure, quantile
from tests.bench.merge import merge
from tests.bench.product import Build, Replayed, replay, role_of
from tests.bench.report import LIMIT, MERGE, OURS, PLAIN, Report
from tests.bench.run import Result, by_hand
from tests.bench.tables import Tables
from tests.bench.topic import Topic
from tests.support.postgres import Database

SHARE_OF_LIMIT, CPU_S, MEMORY_MIB, GAP_S, FLAT = 0.75, 5.0, 512.0, 10.0, 0.8
"""A replay must keep these; the last is the rate of the log's last fifth over that of its second."""
LIVE_MS = {500: {0.5: 5.0, 0.99: 20.0}, 5_000: {0.99: 40.0}}
"""Events per second, and what the median and the 99th percentile of the latency may be."""
MERGE_ROWS = (20_000, 60_000, 200_000)
"""Batch sizes of COPY + MERGE alone; the fastest one is the limit."""
UNIFORM = Orders(spread=True)
WANTED, FOUND = "expected_rows", "found_rows"
R = TypeVar("R", bound=Result)


def say(text: str) -> None:
    """One line, at once."""
    click.echo(text)
    sys.stdout.flush()


class Bench:
    """One run: a database and topics of its own on the sandbox."""

    def __init__(self, sandbox: Sandbox, report: Report, repeat: int) -> None:
        self.sandbox, self.report, self.repeat = sandbox, report, repeat
        self.servers = sandbox.endpoints.kafka
        self.database = Database(sandbox.endpoints.postgres_uri)
        self.database.create()
        self.worker = role_of(self.database)
        self.tables = Tables(self.database.uri())
        self._topics: list[Topic] = []

    def close(self) -> None:
        """Remove what it made."""
        self.tables.close()
        self.database.drop()
        for topic in self._topics:
            topic.delete()

    def topic(self, kind: str) -> Topic:
        """A new topic."""
        topic = Topic(self.servers, f"bench-{kind}-{self.database.name[2:]}")
        topic.create()
        self._topics.append(topic)
        return topic

    def remove(self, topic: Topic) -> None:
        """Delete a topic before the end."""
        self._topics.remove(topic)
        topic.delete()

    def fill(self, data: Data, amount: int) -> tuple[Topic, list[int]]:
        """A topic with the log, and a table with the rows that it must become."""
        topic = self.topic(f"t{len(self._topics)}")
        began = time.monotonic()
        ends = topic.fill(data, amount)
        sent = time.monotonic() - began
        self.tables.fill(WANTED, data, expected(data, amount))
        say(f"\n{data.name}: {amount:,} events sent, {amount / sent:,.0f}/s")
        return topic, ends

    def by_hand(self, name: str, data: Data, topic: Topic, ends: list[int], processes: int = 1) -> Result:
        """Run a program of `hand` or `plain`; its rows must be right if it writes any."""
        self.tables.create(FOUND, data)
        self.tables.settle()
        job = Job(self.servers, topic.name, [], 0, self.database.uri(), FOUND)
        result = by_hand(self.sandbox, name, job, ends, processes)
        if name in {"limit", "plain"}:
            self.tables.compare(FOUND, WANTED, data)
        return result

    def ours(self, data: Data, topic: Topic, processes: int) -> Replayed:
        """Run the product; its rows must be right."""
        build = Build.begin(self.database, self.worker, self.servers, data, topic.name)
        self.tables.settle()
        result = replay(self.sandbox, build, processes)
        self.tables.compare(build.table, WANTED, data)
        build.give_up()
        return result

    def median(self, contender: str, data: Data, processes: int, once: Callable[[], R]) -> R:
        """Run so often as asked; the run of the median rate goes into the report."""
        return self.told(contender, data, processes, [once() for _ in range(self.repeat)])

    def told(self, contender: str, data: Data, processes: int, runs: Sequence[R]) -> R:
        """The run of the median rate goes into the report."""
        middle = median_low([run.rate for run in runs])
        result = next(run for run in runs if run.rate == middle)
        self.report.run(contender, data.name, processes, result)
        rates = ", ".join(f"{run.rate:,.0f}" for run in runs)
        say(f"  {contender}, {processes} process{'es' if processes > 1 else ''}: {rates} events/s")
        return result

    def replays(self, data: Orders, amount: int, plain: bool) -> None:
        """All contenders over one log."""
        topic, ends = self.fill(data, amount)
        for name in ("consume", "decode"):
            title = {"consume": "consume only", "decode": "consume + decode"}[name]
            self.median(title, data, 1, lambda name=name: self.by_hand(name, data, topic, ends))  # type: ignore[misc]
        self.merge(data, amount)
        for processes in (1, 2):
            # In turns: a machine that others use, too, is not equally fast at all times.
            turns = [
                (self.by_hand("limit", data, topic, ends, processes), self.ours(data, topic, processes))
                for _ in range(self.repeat)
            ]
            self.told(LIMIT, data, processes, [limit for limit, _ in turns])
            ours = self.told(OURS, data, processes, [ours for _, ours in turns])
            self.judge(data, processes, ours, median(ours.rate / limit.rate for limit, ours in turns))
        if plain:
            result = self.by_hand("plain", data, topic, ends)
            self.report.run(PLAIN, data.name, 1, result)
            say(f"  {PLAIN}: {result.rate:,.0f} events/s")

    def merge(self, data: Orders, amount: int) -> None:
        """COPY + MERGE alone, at each batch size that is small beside the table."""
        third = amount // 30
        for rows in [size for size in MERGE_ROWS if size <= third] or [third]:
            self.tables.create(FOUND, data)
            self.tables.settle()
            merged = merge(self.database.uri(), FOUND, data, amount, rows)
            self.tables.compare(FOUND, WANTED, data)
            more = {"data": data.name, "events_per_second": round(merged.rate), "batch_rows": rows}
            name = f"{MERGE}, {data.name}, {rows:,} rows a batch"
            self.report.add(name, merged.rows_per_second, "rows/s", **more)
            say(f"  {name}: {merged.rows_per_second:,.0f} rows/s, that is {merged.rate:,.0f} events/s")

    def judge(self, data: Data, processes: int, ours: Replayed, share: float) -> None:
        """The bounds of a replay; `share` of the hand-tuned limit."""
        report, of = self.report, f"{data.name}, {processes} process{'es' if processes > 1 else ''}"
        about: dict[str, Any] = {"data": data.name, "processes": processes, "events": ours.events}
        self._judge_rate(data, processes, share, f"share of the limit, {of}", about)
        report.at_most(f"rows that differ, {of}", 0, "rows", 0, **about)
        report.at_most(f"CPU of the worker, {of}", ours.cpu / ours.events * 1e6, "s per million events", CPU_S, **about)
        report.at_most(f"peak memory of a worker, {of}", ours.peak_mib, "MiB", MEMORY_MIB, **about)
        report.at_most(f"longest time without a checkpoint, {of}", ours.longest_gap, "s", GAP_S, **about)
        report.add(f"first checkpoint after the start, {of}", ours.first_checkpoint, "s", **about)
        report.add(f"rate after the first checkpoint, {of}", ours.steady_rate, "events/s", **about)
        flat = ours.rate_between(0.8, 1) / ours.rate_between(0.2, 0.4)
        report.at_least(f"rate of the last fifth to the second, {of}", flat, "", FLAT, **about)

    def _judge_rate(self, data: Data, processes: int, share: float, name: str, about: dict[str, Any]) -> None:
        """Order-like data against the hand-tuned program, uniform keys against what one session merges at best."""
        report, rate = self.report, self.report.rate(OURS, data.name, processes)
        if data.name != UNIFORM.name:
            report.at_least(name, share, "", SHARE_OF_LIMIT, **about)
            return
        merged = [e for e in report.entries if e["name"].startswith(MERGE) and e["data"] == data.name]
        share = rate / max(entry["events_per_second"] for entry in merged)
        name = name.replace("the limit", f"{MERGE} in one session")
        if processes == 1:
            report.at_least(name, share, "", SHARE_OF_LIMIT, **about)
        else:
            report.add(name, share, "", **about)

    def live(self, rate: int, seconds: float, snapshot: bool) -> None:
        """Latency at a rate."""
        topic = self.topic(f"live{rate}{'s' if snapshot else ''}")
        build = Build.begin(self.database, self.worker, self.servers, LIVE, topic.name)
        self.tables.settle()
        latency, rows = measure(self.sandbox, build, rate, seconds, snapshot)
        self.tables.fill(WANTED, LIVE, rows)
        self.tables.compare(build.table, WANTED, LIVE)
        build.give_up()
        of = f"{rate:,} events/s" + (f", a snapshot held open for {seconds:.0f} s" if snapshot else "")
        for share, word in ((0.5, "p50"), (0.95, "p95"), (0.99, "p99"), (1.0, "max")):
            self._judge_latency(f"latency {word} at {of}", latency.at(share), LIVE_MS[rate].get(share))
        if snapshot:
            self.report.add(f"latency p99 at {of}, last quarter", latency.at(0.99, first=0.75), "ms")
        median, slow = latency.resolution
        self.report.add(f"reader's turn p50 at {of}", median, "ms")
        self.report.add(f"reader's turn p99 at {of}", slow, "ms")
        self.report.add(f"producer's delay p99 at {of}", quantile(latency.late, 0.99) * 1000, "ms")
        figures = ", ".join(
            f"{word} {latency.at(share):.1f}" for share, word in ((0.5, "p50"), (0.99, "p99"), (1, "max"))
        )
        say(f"live, {of}: {figures} ms; a turn of the reader {median:.1f} (p99 {slow:.1f}) ms")

    def _judge_latency(self, name: str, value: float, bound: float | None) -> None:
        if bound is None:
            self.report.add(name, value, "ms")
        else:
            self.report.at_most(name, value, "ms", bound)
