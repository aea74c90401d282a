"""Programs written by hand for these events and no others: what Python on this machine can do at best.

The limit has no checkpoints, no fence, no plan for bad events, and all rows in memory. Like the product it gets the
event's type from a header and reads only the fields that its rules use.
"""

import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import msgspec
import psycopg
from confluent_kafka import Consumer
from psycopg import sql

from tests.bench.topic import partitions

_FETCH = 500
"""Records of one list: few stay in the CPU's cache. Lists of 20,000 cost a third more CPU time."""
_SETTINGS = {
    "group.id": "bench",
    "log_level": 3,
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "auto.offset.reset": "error",
    "queued.min.messages": 100_000,
    "queued.max.messages.kbytes": 131_072,
    "fetch.max.bytes": 33_554_432,
    "max.partition.fetch.bytes": 8_388_608,
    "fetch.queue.backoff.ms": 5,
}
# PostgreSQL counts microseconds from its own epoch.
_POSTGRES_EPOCH_MS = 946_684_800_000
_COPY_HEAD = b"PGCOPY\n\xff\r\n\0" + struct.pack(">ii", 0, 0)
_COPY_BLOCK = 5_000


@dataclass(frozen=True)
class Job:
    """What one process is to do."""

    servers: str
    topic: str
    partitions: Sequence[int]
    amount: int
    uri: str = ""
    table: str = ""


class Named(msgspec.Struct, gc=False):
    """What is used of an event that only needs its key."""

    order_id: str


class Placed(msgspec.Struct, gc=False):
    """What is used of OrderPlaced."""

    order_id: str
    customer: str


class Item(msgspec.Struct, gc=False):
    """What is used of ItemAdded and ItemRemoved."""

    order_id: str
    qty: int
    price_cents: int


_FORMS = {b"OrderPlaced": Placed, b"ItemAdded": Item, b"ItemRemoved": Item}
_NAMED = (b"OrderPaid", b"OrderShipped", b"OrderCancelled")
_DECODERS: dict[bytes, Callable[[bytes], Any]] = {
    **{name: msgspec.json.Decoder(form).decode for name, form in _FORMS.items()},
    **{name: msgspec.json.Decoder(Named).decode for name in _NAMED},
}

Rows = dict[str, list[Any]]


def read(job: Job, most: int = _FETCH) -> Iterator[list[Any]]:
    """All records of the job's partitions, in lists of confluent_kafka.Message (Any: its types allow None)."""
    consumer = Consumer({"bootstrap.servers": job.servers, **_SETTINGS})
    consumer.assign(partitions(job.topic, job.partitions))
    left = job.amount
    while left:
        messages = consumer.consume(min(left, most), 10.0)
        if not messages:
            raise TimeoutError(f"{job.topic}: {left} records are missing")
        left -= len(messages)
        yield messages
    consumer.close()


def consume(job: Job) -> int:
    """Read."""
    for messages in read(job):
        for message in messages:
            message.value()
    return 0


def decode(job: Job) -> int:
    """Read and decode by type."""
    decoders = _DECODERS
    for messages in read(job):
        for message in messages:
            decoders[message.headers()[0][1]](message.value())
    return 0


def limit(job: Job) -> int:
    """Read, decode, fold, one COPY; the number of rows."""
    rows: Rows = {}
    for messages in read(job):
        fold(rows, messages)
    copy(job, rows)
    return len(rows)


def fold(rows: Rows, messages: Sequence[Any]) -> None:  # noqa: C901, PLR0912 - one loop without calls is the point
    """The example's rules."""
    decoders = _DECODERS
    get = rows.get
    for message in messages:
        kind = message.headers()[0][1]
        event = decoders[kind](message.value())
        key = event.order_id
        at = message.timestamp()[1]
        row = get(key)
        if kind == b"ItemAdded":
            qty = event.qty
            if qty <= 0:
                continue
            price = event.price_cents
            if row is None:
                rows[key] = [None, None, None, qty, qty * price, price, at]
                continue
            row[3] += qty
            row[4] += qty * price
            if row[5] is None or price > row[5]:
                row[5] = price
        elif kind == b"OrderPlaced":
            if row is None:
                rows[key] = [event.customer, "placed", at, 0, 0, None, at]
                continue
            row[0] = event.customer
            row[1] = "placed"
            row[2] = at
        elif kind == b"ItemRemoved":
            if row is None:
                continue
            row[3] -= event.qty
            row[4] -= event.qty * event.price_cents
        elif kind == b"OrderCancelled":
            if row is not None:
                del rows[key]
            continue
        else:
            status = "paid" if kind == b"OrderPaid" else "shipped"
            if row is None:
                rows[key] = [None, status, None, 0, 0, None, at]
                continue
            row[1] = status
        if at > row[6]:  # noqa: PLR1730 - a call of max takes twice as long
            row[6] = at


def copy(job: Job, rows: Rows) -> None:
    """All rows by one binary COPY."""
    statement = sql.SQL("COPY {} FROM STDIN (FORMAT binary)").format(sql.Identifier(job.table))
    with psycopg.connect(job.uri) as connection, connection.cursor() as cursor, cursor.copy(statement) as target:
        target.write(_COPY_HEAD)
        packed = []
        for key, row in rows.items():
            packed.append(_packed(key, row))
            if len(packed) == _COPY_BLOCK:
                target.write(b"".join(packed))
                packed.clear()
        target.write(b"".join(packed) + b"\xff\xff")


def _packed(key: str, row: list[Any]) -> bytes:
    """A row in the binary form, each field behind its length."""
    customer, status, placed, items, total, largest, last = row
    if customer is None or placed is None or largest is None:
        fields = [_text(key), _text(customer), _text(status), _moment(placed)]
        return b"".join([b"\x00\x08", *fields, _int(items), _int(total), _int(largest), _moment(last)])
    one, two, three = key.encode(), customer.encode(), status.encode()
    sizes = len(one), len(two), len(three)
    pack = _whole(*sizes)
    # fmt: off
    return pack(
        8, sizes[0], one, sizes[1], two, sizes[2], three, 8, (placed - _POSTGRES_EPOCH_MS) * 1000,
        8, items, 8, total, 8, largest, 8, (last - _POSTGRES_EPOCH_MS) * 1000,
    )
    # fmt: on


@lru_cache(maxsize=1000)
def _whole(key: int, customer: int, status: int) -> Callable[..., bytes]:
    return struct.Struct(f">hi{key}si{customer}si{status}siqiqiqiqiq").pack


_pack_length = struct.Struct(">i").pack
_pack_int = struct.Struct(">iq").pack
_NULL = _pack_length(-1)


def _text(value: Any) -> bytes:
    if value is None:
        return _NULL
    data = str(value).encode()
    return _pack_length(len(data)) + data


def _int(value: Any) -> bytes:
    return _NULL if value is None else _pack_int(8, value)


def _moment(value: Any) -> bytes:
    return _NULL if value is None else _pack_int(8, (value - _POSTGRES_EPOCH_MS) * 1000)
