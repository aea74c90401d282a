"""Latency from produce to visible, seen by a reader that asks for the rows of the events under way.

The reader asks by key, as an application would, and goes on asking: what it sees of an event is when its row was first
found with the event's timestamp in it, after the answer has arrived. How long a turn of it takes is the method's
resolution; it is reported.
"""

import subprocess
import sys
import tempfile
import time
from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql

from sandbox import Sandbox
from tests.bench.data import ADDED, Rows, key_text
from tests.bench.flow import LIVE, Clock
from tests.bench.product import Broken, Build, Worker, workers

WARM_S = 3.0
_TURN_S = 0.001
_LOST_S = 30.0
_ROWS = sql.SQL("SELECT order_id, (extract(epoch FROM last_event_at) * 1000)::bigint FROM {} WHERE order_id = ANY(%s)")


@dataclass(frozen=True)
class Latency:
    """Seconds from produce to visible, in the order of the events; of the reader's turns; of the producer's delay."""

    seconds: Sequence[float]
    turns: Sequence[float]
    late: Sequence[float]

    def at(self, share: float, first: float = 0.0) -> float:
        """Milliseconds within which this share of the events was visible; only events from `first` of the flow on."""
        return quantile(self.seconds[int(len(self.seconds) * first) :], share) * 1000

    @property
    def resolution(self) -> tuple[float, float]:
        """Milliseconds of a turn: median and 99th percentile."""
        return quantile(self.turns, 0.5) * 1000, quantile(self.turns, 0.99) * 1000


def quantile(values: Sequence[float], share: float) -> float:
    """The value that this share of all does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def measure(sandbox: Sandbox, build: Build, rate: int, seconds: float, snapshot: bool) -> tuple[Latency, Rows]:
    """One worker, events at a rate; `snapshot`: somebody holds one open from before the first until after the last."""
    amount = int(rate * (seconds + WARM_S))
    servers = sandbox.endpoints.kafka
    with tempfile.TemporaryDirectory(prefix="bench-") as name, workers(build, servers, 1) as running:
        clock = Clock(Path(name) / "clock", amount, create=True)
        running[0].until_started()
        _until_assigned(running[0])
        with _held(build, snapshot):
            command = [sys.executable, "-m", "tests.bench.flow", servers, build.topic, str(Path(name) / "clock")]
            flow = subprocess.Popen([*command, str(amount), str(rate)])
            try:
                latencies, turns = _watched(build, clock, amount, running[0])
            except BaseException:
                flow.kill()
                raise
            if flow.wait(60):
                raise Broken(f"the producer ended with code {flow.returncode}")
        warm = int(rate * WARM_S)
        seen = [latency for latency in latencies[warm:] if latency]
        late = [clock.sent[number] - clock.began[0] - number / rate for number in range(warm, amount)]
        return Latency(seen, turns, late), _rows(clock, amount)


def _until_assigned(worker: Worker) -> None:
    deadline = time.monotonic() + _LOST_S
    while "partitions assigned" not in worker.log():
        worker.require_alive()
        if time.monotonic() > deadline:
            raise Broken(f"the worker got no partitions:\n{worker.log()[-2000:]}")
        time.sleep(0.05)


@contextmanager
def _held(build: Build, snapshot: bool) -> Iterator[None]:
    """Hold a snapshot that vacuum must respect."""
    if not snapshot:
        yield
        return
    with psycopg.connect(build.database.uri()) as holder:
        holder.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        holder.execute("SELECT count(*) FROM projections.checkpoint")
        yield


def _watched(build: Build, clock: Clock, amount: int, worker: Worker) -> tuple[list[float], list[float]]:
    """Ask until all events were seen: seconds of each (0 where it leaves no trace), and of the reader's turns."""
    waiting: dict[str, deque[int]] = defaultdict(deque)
    # An item that nobody wanted leaves no trace.
    keys = ["" if act.kind == ADDED and act.qty == 0 else key_text(key) for key, act in LIVE.events(amount)]
    latencies = [0.0] * amount
    turns: list[float] = []
    query = _ROWS.format(sql.Identifier(*build.table.split(".")))
    known = 0
    quiet = time.monotonic() + _LOST_S
    with psycopg.connect(build.database.uri(), autocommit=True) as reader:
        while known < amount or waiting:
            began = time.monotonic()
            while known < amount and clock.sent[known]:
                if keys[known]:
                    waiting[keys[known]].append(known)
                known += 1
            rows = reader.execute(query, [list(waiting)], prepare=True).fetchall() if waiting else []
            now = time.monotonic()
            if _note(rows, waiting, clock, latencies, now):
                quiet = now + _LOST_S
            worker.require_alive()
            if now > quiet:
                raise Broken(f"{len(waiting)} orders are not up to date after {_LOST_S} s:\n{worker.log()[-3000:]}")
            time.sleep(_TURN_S)
            if rows:
                turns.append(time.monotonic() - began)
    return latencies, turns


def _note(
    rows: Sequence[tuple[str, int]], waiting: dict[str, deque[int]], clock: Clock, latencies: list[float], now: float
) -> bool:
    """Take down what the rows show; whether that was anything."""
    seen = False
    for key, stamp in rows:
        events = waiting[key]
        while events and clock.stamps[events[0]] <= stamp:
            number = events.popleft()
            latencies[number] = now - clock.sent[number]
            seen = True
        if not events:
            del waiting[key]
    return seen


def _rows(clock: Clock, amount: int) -> Rows:
    """The fold of what was sent, by the timestamps that it was sent with."""
    rows: Rows = {}
    for number, (key, act) in enumerate(LIVE.events(amount)):
        LIVE.fold(rows, key, act, int(clock.stamps[number]))
    return rows
