"""What a stopped worker held is free within 15 s, and when it wakes it changes nothing."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from random import Random

import psycopg
import pytest

from projector.fold.delta import Delta
from projector.ports import Fenced, Place, StoreUnavailable
from tests.contract.store_contract import FIRST, commit, counted, move
from tests.support.postgres import PostgresBuild
from tests.support.wait import until

SCRIPT = Path(__file__).with_name("stopped_worker.py")
ROOT = SCRIPT.parents[3]
FREE_WITHIN = 15.0
FENCED, UNAVAILABLE = 3, 4

Start = Callable[[str, int], "subprocess.Popen[str]"]


@pytest.fixture
def start(build: PostgresBuild) -> Iterator[Start]:
    """Starts a worker that writes in the given way."""
    started: list[subprocess.Popen[str]] = []

    def make(way: str, copy_from: int) -> subprocess.Popen[str]:
        uri = build.database.uri(build.worker)
        argv = [sys.executable, str(SCRIPT), uri, str(build.spec.build), way, str(copy_from)]
        paths = os.pathsep.join([str(ROOT), str(ROOT / "projector")])
        process = subprocess.Popen(
            argv, stdout=subprocess.PIPE, text=True, cwd=ROOT, env={**os.environ, "PYTHONPATH": paths}
        )
        started.append(process)
        return process

    yield make
    for process in started:
        process.kill()
        process.wait(10)
        assert process.stdout is not None
        process.stdout.close()


def _said(process: "subprocess.Popen[str]") -> int:
    assert process.stdout is not None
    return int(process.stdout.readline())


def _stopped(process: "subprocess.Popen[str]") -> None:
    state = Path(f"/proc/{process.pid}/stat")
    until("it is stopped", lambda: state.read_text().split()[2], lambda letter: letter == "T", 5, 0.005)


def _take_over(build: PostgresBuild) -> float:
    """As a worker does that got the partition: read positions, commit, back off and try again. Seconds that it took."""
    began = time.monotonic()
    store = build.open()

    def committed() -> bool:
        try:
            position = store.positions([FIRST])[FIRST].offset
            commit(store, [move(position, position + 1)], counted("taken over"))
        except (StoreUnavailable, Fenced):
            # Fenced: what the stopped worker had sent was carried out only now.
            return False
        return True

    until("the partition is free", committed, bool, FREE_WITHIN + 10)
    return time.monotonic() - began


def _transactions(build: PostgresBuild) -> list[tuple[object, ...]]:
    return build.database.run(
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND xact_start IS NOT NULL"
        " AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
    )


def _wakes_and_ends(process: "subprocess.Popen[str]") -> int:
    os.kill(process.pid, signal.SIGCONT)
    return process.wait(20)


def test_a_checkpoint_locked_by_a_stopped_worker_is_free_in_time(build: PostgresBuild, start: Start) -> None:
    worker = start("idle", 1000)
    assert _said(worker) == 1
    _stopped(worker)
    assert _take_over(build) < FREE_WITHIN
    assert _wakes_and_ends(worker) != 0
    assert build.rows() == {("taken over",): {"name": "x", "total": 1}}


def test_the_operator_gives_a_stopped_workers_build_up_in_time(build: PostgresBuild, start: Start) -> None:
    """Its role may not end the worker's session; the session's own timeout does."""
    worker = start("idle", 1000)
    assert _said(worker) == 1
    _stopped(worker)

    def given_up() -> bool:
        try:
            build.give_up()
        except StoreUnavailable:
            return False
        return True

    until("the build is given up", given_up, bool, FREE_WITHIN)
    assert _wakes_and_ends(worker) != 0
    assert build.rows() == {}


def test_a_worker_stopped_in_a_copy_locks_nothing_and_is_ended(build: PostgresBuild, start: Start) -> None:
    worker = start("copying", 1)
    assert _said(worker) == 1
    _stopped(worker)
    assert _take_over(build) < 1
    store = build.open()

    def nothing_open() -> bool:
        store.positions([FIRST])
        return _transactions(build) == []

    until("its transaction is gone", nothing_open, bool, FREE_WITHIN)
    assert _wakes_and_ends(worker) == UNAVAILABLE
    assert build.rows() == {("taken over",): {"name": "x", "total": 1}}


def test_a_worker_stopped_with_a_batch_on_its_way_locks_nothing(build: PostgresBuild, start: Start) -> None:
    worker = start("between", 1000)
    assert _said(worker) == 1
    _stopped(worker)
    assert _take_over(build) < 2
    assert _transactions(build) == []
    assert _wakes_and_ends(worker) == 0
    rows = build.rows()
    assert rows["a",] == rows["taken over",] == {"name": "x", "total": 1}


@pytest.mark.parametrize("copy_from", [1, 10_000])
def test_stopped_anywhere(build: PostgresBuild, start: Start, copy_from: int) -> None:
    random = Random(copy_from)  # noqa: S311 - any moments do, the same ones again
    waits: list[float] = []
    for _ in range(8):
        worker = start("anywhere", copy_from)
        _said(worker)
        threading.Event().wait(random.uniform(0, 0.1))
        os.kill(worker.pid, signal.SIGSTOP)
        _stopped(worker)
        waits.append(_take_over(build))
        assert _wakes_and_ends(worker) in {FENCED, UNAVAILABLE}
    assert max(waits) < FREE_WITHIN
    rows = build.rows()
    taken = rows.pop(("taken over",))
    totals = {row["total"] for row in rows.values()}
    assert taken["total"] == 8
    assert totals == {build.open().positions([FIRST])[FIRST].offset - 8}
    assert len(rows) == 800


def test_a_stopped_array_commit_locks_nothing(build: PostgresBuild, start: Start) -> None:
    """The whole transaction is one message: the server has all of it or has not begun."""
    random = Random(7)  # noqa: S311 - any moments do, the same ones again
    for _ in range(5):
        worker = start("anywhere", 10_000)
        _said(worker)
        threading.Event().wait(random.uniform(0, 0.05))
        os.kill(worker.pid, signal.SIGSTOP)
        _stopped(worker)
        until("no transaction is open", lambda: _transactions(build), lambda rows: rows == [], 5)
        worker.kill()
        worker.wait(10)


def test_concurrent_workers_of_one_partition_add_up_to_one(build: PostgresBuild) -> None:
    """Two that both believe they own the partition: each step is counted once, whoever makes it."""
    failures: list[BaseException] = []

    def work() -> None:
        try:
            with closing(build.open()) as store:
                while (position := store.positions([FIRST])[FIRST].offset) < 150:
                    try:
                        commit(store, [move(position, position + 1)], counted("a") | counted(f"k{position}"))
                    except Fenced:
                        continue
        except BaseException as failure:
            failures.append(failure)
            raise

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rows = build.rows()
    assert failures == []
    assert rows["a",]["total"] == build.open().positions([FIRST])[FIRST].offset == 150
    assert all(rows[(f"k{number}",)]["total"] == 1 for number in range(150))


def test_a_lost_connection_is_an_outage_and_the_next_call_connects_again(build: PostgresBuild) -> None:
    store = build.open()
    commit(store, [move(0, 1)], counted("a"))
    build.database.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'projector b1'")
    with pytest.raises(StoreUnavailable):
        commit(store, [move(1, 2)], counted("a"))
    assert store.positions([FIRST]) == {FIRST: Place(1)}
    commit(store, [move(1, 2)], counted("a"))
    assert build.rows() == {("a",): {"name": "x", "total": 2}}


def test_a_lock_that_others_hold_is_an_outage(build: PostgresBuild) -> None:
    store = build.open()
    commit(store, [move(0, 1)], counted("a"))
    with psycopg.connect(build.database.uri()) as holder:
        holder.execute("SELECT FROM orders__b1 FOR UPDATE")
        with pytest.raises(StoreUnavailable, match="canceling statement due to lock timeout"):
            commit(store, [move(1, 2)], {("a",): Delta(None, None)})
    commit(store, [move(1, 2)], counted("a"))
    assert build.rows() == {("a",): {"name": "x", "total": 2}}
