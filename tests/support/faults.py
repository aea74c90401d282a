"""Hurting processes of the cluster, watching how long work stands still, and keeping the record."""

import os
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from threading import Event, Thread
from typing import Self

import psycopg
from psycopg import sql

from tests.support import wait
from tests.support.shop import Shop


@dataclass
class Faults:
    """One row per fault: what was done at which step, how many rows differed afterwards, and how it ended."""

    rows: list[dict[str, object]] = field(default_factory=list)

    def check(
        self, step: str, fault: str, shop: Shop, all_of_it: bool = False, figures: Mapping[str, float] = {}
    ) -> None:
        """Wait until what is in the topic has been passed, compare with the independent fold, record, and assert.

        `figures` are further fields of the row.
        """
        row: dict[str, object] = {"step": step, "fault": fault, "rows_differ": None, "end": "not caught up", **figures}
        self.rows.append(row)
        began = time.monotonic()
        shop.wait_caught_up(timeout=120)
        comparison = shop.compare_all() if all_of_it else shop.compare_now()
        row.update(rows_differ=len(comparison.differing), rows=comparison.rows, seconds=_seconds(began))
        row["end"] = "not said to be well"
        assert comparison.differing == {}, list(comparison.details())
        # An operator that looked during an outage says so until it looks again.
        end = "Degraded" if shop.parked else "Live"
        row["end"] = wait.until(end, lambda: shop.projection()["status"]["phase"], lambda phase: phase == end, 60)


def _seconds(began: float) -> float:
    return round(time.monotonic() - began, 1)


def send_signal(pids: list[int], number: signal.Signals) -> None:
    """To all of a pod's processes; those that are gone already do not matter."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


@contextmanager
def stopped(pids: list[int]) -> Iterator[None]:
    """SIGSTOP for the time of the block, then SIGCONT."""
    send_signal(pids, signal.SIGSTOP)
    try:
        yield
    finally:
        send_signal(pids, signal.SIGCONT)


FREE_S = 15.0
"""What a stopped process held is free within so many seconds."""


@contextmanager
def stopped_holding_locks(shop: Shop, pod: str) -> Iterator[float]:
    """SIGSTOP while a commit of the pod certainly holds checkpoint locks; yields the seconds until they were free.

    A commit is one message, so at any other moment the server is nearly always done with it. Here the table is locked
    first: the commit has moved its checkpoints and waits. Our lock stays until the server has given up what the stopped
    process held, so only the limits of that session can have freed it.
    """
    address = shop.address(pod)
    with psycopg.connect(shop.uri) as blocker:
        table = sql.Identifier("public", f"order_summaries__b{shop.build()}")
        blocker.execute(sql.SQL("LOCK TABLE {} IN SHARE MODE").format(table))
        wait.true("a commit of the projector waits", lambda: _waits(shop, address), 30, pause=0.02)
        with stopped(shop.pids(pod)):
            began = time.monotonic()
            assert locks_held(shop, address) > 0, "the stopped projector holds nothing: the stop came too late"
            wait.until("its locks are free", lambda: locks_held(shop, address), lambda held: held == 0, FREE_S)
            freed = time.monotonic() - began
            blocker.rollback()
            yield freed


def _waits(shop: Shop, address: str) -> bool:
    query = """
        SELECT count(*) FROM pg_stat_activity WHERE client_addr = %s AND datname = %s AND wait_event_type = 'Lock'
    """
    with psycopg.connect(shop.uri) as connection:
        row = connection.execute(query, (address, shop.database)).fetchone()
    return row is not None and row[0] > 0


def locks_held(shop: Shop, address: str) -> int:
    """Locks in pg_locks of sessions from this address."""
    query = """
        SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid)
        WHERE a.client_addr = %s AND a.datname = %s AND l.granted AND l.locktype <> 'virtualxid'
    """
    with psycopg.connect(shop.uri) as connection:
        row = connection.execute(query, (address, shop.database)).fetchone()
    return 0 if row is None else int(row[0])


class Watch:
    """Notes in a thread when each partition's checkpoint moved, while events flow on all of them."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop
        self._end = Event()
        self._thread = Thread(target=self._run, name=f"watch-{shop.id}", daemon=True)
        self._moved: dict[int, float] = {}
        self._gaps: dict[int, float] = {}
        self._positions: Mapping[int, int] = {}

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()
        self._note(self._positions)

    def _run(self) -> None:
        while not self._end.wait(0.2):
            with suppress(psycopg.OperationalError):
                self._note(self._shop.positions())

    def _note(self, positions: Mapping[int, int]) -> None:
        now = time.monotonic()
        for partition, position in positions.items():
            gap = now - self._moved.setdefault(partition, now)
            self._gaps[partition] = max(self._gaps.get(partition, 0.0), gap)
            if position != self._positions.get(partition):
                self._moved[partition] = now
        self._positions = positions

    @property
    def longest(self) -> float:
        """Seconds for which the partition that stood still longest did so."""
        return max(self._gaps.values(), default=0.0)


def wait_new_pod(shop: Shop, without: str, timeout: float = 60) -> None:
    """Until another pod than `without` is ready."""
    wait.true("another projector is ready", lambda: any(name != without for name in shop.ready_pods()), timeout)
