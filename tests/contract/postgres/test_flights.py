"""What becomes of a batch between `submit` and `settle` when connection, server or worker fail."""

import socket
import threading
from collections.abc import Callable, Iterator

import psycopg
import pytest

from projector.fold.delta import Upsert
from projector.ports import BadRow, Batch, Fenced, StoreUnavailable
from projector.stores.postgres import PostgresStore, wire
from tests.contract.store_contract import COUNTED, FIRST, commit, counted, move, places
from tests.support.deltas import upsert
from tests.support.postgres import Database, PostgresBuild, begin
from tests.support.wait import until

MANY = {key: delta for number in range(1500) for key, delta in counted(f"{number}").items()}


@pytest.fixture(params=[1, 10_000], ids=["copy", "arrays"])
def build(database: Database, request: pytest.FixtureRequest) -> Iterator[PostgresBuild]:
    made = begin(database, COUNTED, [FIRST], database.role("worker"), copy_from=request.param)
    yield made
    made.close()


@pytest.fixture
def store(build: PostgresBuild) -> PostgresStore:
    opened = build.open()
    commit(opened, [move(0, 1)], counted("a"))
    return opened


def end_sessions(build: PostgresBuild) -> None:
    build.database.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'projector b1'")


def test_submit_returns_while_the_server_waits_for_a_lock(build: PostgresBuild, store: PostgresStore) -> None:
    with psycopg.connect(build.database.uri()) as holder:
        holder.execute("SELECT FROM orders__b1 FOR UPDATE")
        store.submit(Batch([move(1, 2)], counted("a")))
        assert not store.ready()
        holder.rollback()
    until("the outcome is known", store.ready, bool, 5, 0.005)
    store.settle()
    assert build.rows() == {("a",): {"name": "x", "total": 2}}


def test_a_connection_killed_before_the_outcome_rolls_back(build: PostgresBuild, store: PostgresStore) -> None:
    with psycopg.connect(build.database.uri()) as holder:
        holder.execute("SELECT FROM orders__b1 FOR UPDATE")
        store.submit(Batch([move(1, 2)], MANY | counted("a")))
        end_sessions(build)
        until("the outcome is known", store.ready, bool, 5, 0.005)
        with pytest.raises(StoreUnavailable):
            store.settle()
        holder.rollback()
    assert store.positions([FIRST]) == places(first=1)
    commit(store, [move(1, 2)], counted("a"))
    assert build.rows() == {("a",): {"name": "x", "total": 2}}


def test_a_connection_killed_after_the_outcome_has_committed(build: PostgresBuild, store: PostgresStore) -> None:
    store.submit(Batch([move(1, 2)], counted("a")))
    until("it was committed", lambda: build.rows()["a",]["total"], lambda total: total == 2, 5, 0.005)
    end_sessions(build)
    store.settle()
    with pytest.raises(StoreUnavailable):
        commit(store, [move(2, 3)], counted("a"))
    assert store.positions([FIRST]) == places(first=2)


def test_the_build_is_given_up_while_a_batch_is_on_its_way(build: PostgresBuild, store: PostgresStore) -> None:
    with psycopg.connect(build.database.uri()) as holder:
        holder.execute("SELECT FROM projections.checkpoint FOR UPDATE")
        store.submit(Batch([move(1, 2)], counted("a")))
        holder.execute("UPDATE projections.checkpoint SET epoch = epoch + 1")
    with pytest.raises(Fenced):
        store.settle()
    assert build.rows() == {("a",): {"name": "x", "total": 1}}


def test_a_bad_batch_leaves_nothing_that_the_next_one_would_write(build: PostgresBuild, store: PostgresStore) -> None:
    unfit: list[Upsert] = [upsert("b", "x", 2**63), upsert("b", "\0", 1), upsert("b", "\ud800", 1)]
    for bad in unfit:
        with pytest.raises(BadRow, match=r"key \('b',\)"):
            commit(store, [move(1, 2)], MANY | {("b",): bad})
    commit(store, [move(1, 2)], counted("c"))
    assert build.rows() == {(key,): {"name": "x", "total": 1} for key in "ac"}


class Silent:
    """Carries bytes to the server and back until it is told to say nothing more."""

    def __init__(self, target: tuple[str, int]) -> None:
        self.silent = threading.Event()
        self._target = target
        self._server = socket.create_server(("127.0.0.1", 0))
        self._server.settimeout(0.05)
        self._open: list[socket.socket] = []
        self._over = threading.Event()
        self._threads = [self._start(self._accept)]

    @property
    def port(self) -> int:
        return int(self._server.getsockname()[1])

    def close(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()
        for one in [self._server, *self._open]:
            one.close()

    def _start(self, run: Callable[..., None], *arguments: object) -> threading.Thread:
        thread = threading.Thread(target=run, args=arguments)
        thread.start()
        return thread

    def _accept(self) -> None:
        while not self._over.is_set():
            try:
                client, _ = self._server.accept()
            except TimeoutError:
                continue
            server = socket.create_connection(self._target)
            self._open += [client, server]
            self._threads += [self._start(self._carry, *pair) for pair in ((client, server), (server, client))]

    def _carry(self, one: socket.socket, other: socket.socket) -> None:
        one.settimeout(0.05)
        while not self._over.is_set():
            try:
                data = one.recv(65536)
            except TimeoutError:
                continue
            except OSError:
                return
            if not data:
                return
            if not self.silent.is_set():
                other.sendall(data)


def test_a_server_that_vanishes_is_an_outage(build: PostgresBuild, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "PATIENCE", 0.5)
    host, port = build.database.uri().split("@")[1].split("/")[0].split(":")
    proxy = Silent((host, int(port)))
    try:
        uri = build.database.uri(build.worker, host="127.0.0.1", port=proxy.port)
        store = PostgresStore(lambda: uri, build.spec, 1, copy_from=build.copy_from)
        commit(store, [move(0, 1)], counted("a"))
        proxy.silent.set()
        with pytest.raises(StoreUnavailable, match="no answer within"):
            commit(store, [move(1, 2)], counted("a"))
        proxy.silent.clear()
        assert store.positions([FIRST]) == places(first=1)
        proxy.silent.set()
        with pytest.raises(StoreUnavailable, match="no answer within"):
            store.positions([FIRST])
        store.close()
    finally:
        proxy.close()
