"""The consumer that a team writes first: JSON, one statement per event, executemany and COMMIT per 1,000 events.

It is at least once: where it dies between COMMIT and the group's commit, counters count twice.
"""

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from psycopg import sql

from tests.bench.hand import Job, read

BATCH = 1_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# One statement for all types, so that executemany keeps the events' order. `del` and `new` say what an event may do.
_MERGE = sql.SQL("""
MERGE INTO {} t
USING (SELECT %s::text AS order_id, %s::boolean AS del, %s::boolean AS new, %s::text AS customer, %s::text AS status,
    %s::timestamptz AS placed_at, %s::bigint AS qty, %s::bigint AS cents, %s::bigint AS price, %s::timestamptz AS at) e
ON t.order_id = e.order_id
WHEN MATCHED AND e.del THEN DELETE
WHEN MATCHED THEN UPDATE SET customer = coalesce(e.customer, t.customer), status = coalesce(e.status, t.status),
    placed_at = coalesce(e.placed_at, t.placed_at), item_count = t.item_count + e.qty,
    total_cents = t.total_cents + e.cents, largest_item_cents = greatest(t.largest_item_cents, e.price),
    last_event_at = greatest(t.last_event_at, e.at)
WHEN NOT MATCHED AND e.new THEN INSERT VALUES (e.order_id, e.customer, e.status, e.placed_at, e.qty,
    e.cents, e.price, e.at)
""")


def plain(job: Job) -> int:
    """Read, and write each event; 0."""
    with psycopg.connect(job.uri) as connection:
        statement = _MERGE.format(sql.Identifier(job.table))
        for messages in read(job, BATCH):
            with connection.cursor() as cursor:
                cursor.executemany(statement, parameters(messages))
            connection.commit()
    return 0


def parameters(messages: Iterable[Any]) -> list[tuple[Any, ...]]:
    """Values of the statement for each event that does something."""
    found = []
    for message in messages:
        event = json.loads(message.value())
        kind = message.headers()[0][1].decode()
        given = _parameters(kind, event, _moment(message.timestamp()[1]))
        if given is not None:
            found.append(given)
    return found


def _parameters(kind: str, event: dict[str, Any], at: datetime) -> tuple[Any, ...] | None:
    key = event["order_id"]
    if kind == "OrderPlaced":
        return key, False, True, event["customer"], "placed", at, 0, 0, None, at
    if kind == "ItemAdded":
        qty, price = event["qty"], event["price_cents"]
        return (key, False, True, None, None, None, qty, qty * price, price, at) if qty > 0 else None
    if kind == "ItemRemoved":
        return key, False, False, None, None, None, -event["qty"], -event["qty"] * event["price_cents"], None, at
    if kind == "OrderCancelled":
        return key, True, False, None, None, None, 0, 0, None, at
    status = "paid" if kind == "OrderPaid" else "shipped"
    return key, False, True, None, status, None, 0, 0, None, at


def _moment(milliseconds: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=milliseconds)
