"""`projector run -f` on real servers: killed, stopped and restarted, its table equals the independent fold."""

import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

import psycopg
import pytest

from examples.shop import verify
from examples.shop.events import events
from examples.shop.generator import Feed
from sandbox import Sandbox
from tests.support import wait
from tests.support.kafka import KafkaBench
from tests.support.postgres import Database
from tests.support.projector import Start, example, projector

TABLE = "public.order_summaries"
EVENTS = 20_000


@pytest.fixture
def orders(postgres: str) -> Iterator[KafkaBench]:
    """A topic of four partitions."""
    assert postgres
    sandbox = Sandbox()
    sandbox.up("kafka")
    made = KafkaBench(sandbox.endpoints.kafka, partitions=4)
    yield made
    made.close()


@pytest.fixture
def arguments(tmp_path: Path, orders: KafkaBench, database: Database) -> list[str]:
    file = example(tmp_path, orders.topic)
    return ["run", "-f", str(file), "--target-uri", database.uri(), "--bootstrap-servers", orders.servers]


def feed(orders: KafkaBench, count: int, seed: int = 1) -> None:
    flow = events(seed)
    Feed(orders.servers, orders.topic).send((next(flow) for _ in range(count)), None)


def published(database: Database) -> bool:
    return database.run("SELECT to_regclass(%s) IS NOT NULL", TABLE) == [(True,)]


def progress(database: Database) -> int:
    """Offsets passed since the build began."""
    if database.run("SELECT to_regclass('projections.checkpoint') IS NOT NULL") == [(False,)]:
        return 0
    return int(database.run("SELECT coalesce(sum(next_offset), 0) FROM projections.checkpoint")[0][0])


def differing(orders: KafkaBench, database: Database) -> verify.Comparison:
    with psycopg.connect(database.uri()) as connection:
        return verify.compare(verify.fold(orders.servers, orders.topic), verify.table(connection, TABLE))


def test_the_table_survives_every_kill(
    start: Start, orders: KafkaBench, database: Database, arguments: list[str]
) -> None:
    random = Random(3)  # noqa: S311 - moments of a test
    for turn in range(6):
        feed(orders, EVENTS // 6, turn)
        running = start(arguments)
        before = progress(database)
        wait.true("it goes on", lambda before=before: progress(database) > before, 40, 0.02)  # type: ignore[misc]
        time.sleep(random.uniform(0, 0.3))  # the moment of the kill is the test's subject
        running.kill()
    feed(orders, 1_000, 6)
    before = progress(database)
    running = start(arguments)
    wait.true("the last one works, and so can be told to stop", lambda: progress(database) > before, 40)
    wait.true("the view is there", lambda: published(database), 60)
    wait.until("it has caught up", lambda: differing(orders, database).differing, lambda d: not d, 60)
    assert running.stop() == 0
    result = differing(orders, database)
    assert (result.rows > 1000, list(result.details())) == (True, [])


def test_a_stop_is_quick_and_leaves_the_group(
    start: Start, orders: KafkaBench, database: Database, arguments: list[str]
) -> None:
    feed(orders, 2_000)
    running = start(arguments)
    wait.true("the view is there", lambda: published(database), 60)
    began = time.monotonic()
    assert running.stop() == 0
    assert time.monotonic() - began < 5
    running = start(arguments)
    running.until("resuming")
    running.until("partitions assigned", timeout=5)  # at once: nobody waits for a session to time out
    assert running.stop() == 0


def test_a_bad_event_stands_in_the_way_until_it_is_discarded(
    start: Start, orders: KafkaBench, database: Database, arguments: list[str]
) -> None:
    orders.produce(2, [b'{"customer": "Ada"}'], headers=[("ce_type", b"OrderPlaced")])
    orders.produce(2, [b'{"order_id": "o-1", "customer": "Ada"}'], headers=[("ce_type", b"OrderPlaced")])
    running = start(arguments)
    running.until("partition stands still", "event.order_id is missing")
    target = {"PROJECTOR_TARGET_URI": database.uri()}
    refused = projector(
        "discard",
        "-f",
        arguments[2],
        "--partition",
        f"{orders.topic}/9",
        "--offset",
        "0",
        "--reason",
        "x",
        environment=target,
    )
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert f"--partition {orders.topic}/9: there are {orders.topic}/0, " in refused.stderr
    done = projector(
        "discard",
        "-f",
        arguments[2],
        "--partition",
        f"{orders.topic}/2",
        "--offset",
        "0",
        "--reason",
        "test",
        environment=target,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{orders.topic}/2 offset 0 of shop/order-summaries will be passed over\n"
    wait.true("the view is there", lambda: published(database), 60)
    wait.until(
        "it goes on", lambda: database.run("SELECT order_id FROM public.order_summaries"), lambda r: r == [("o-1",)], 30
    )
    assert running.stop() == 0


def test_a_row_that_does_not_fit_is_found_and_reported(
    start: Start, orders: KafkaBench, database: Database, arguments: list[str]
) -> None:
    item = b'{"order_id": "%s", "qty": 1, "price_cents": %d}'
    values = [item % (b"o-%d" % number, 5) for number in range(300)]
    values[200] = item % (b"o-full", 2**63 - 1)
    values[201] = item % (b"o-full", 1)
    orders.produce(1, values, headers=[("ce_type", b"ItemAdded")])
    running = start(arguments)
    running.until("event parked", "total_cents")
    wait.true("the view is there", lambda: published(database), 60)
    wait.until("all is passed", lambda: progress(database), lambda offsets: offsets == len(values), 10)
    parked = 'SELECT e."offset" FROM projections.parked_event e JOIN projections.parked_key k USING (key_digest)'
    assert database.run(f"{parked} WHERE k.key = %s ORDER BY 1", '["o-full"]') == [(201,)]
    full = f"SELECT total_cents FROM {TABLE} WHERE order_id = 'o-full'"  # noqa: S608 - no name from outside
    assert database.run(full) == [(2**63 - 1,)]
    assert running.stop() == 0
