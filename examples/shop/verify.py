"""Checks the read model against the log: `python -m examples.shop.verify`.

It reads the whole topic, folds it in the plainest way there is, and compares every row with the table. It shares
nothing with the projector on purpose: two programs that were written apart and agree are worth more than one that
agrees with itself.
"""

import json
import sys
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import click
import psycopg
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition
from psycopg.rows import dict_row

Row = dict[str, object]
Rows = dict[str, Row]
Position = tuple[int, int]
"""(partition, offset)."""

_SILENCE_S = 30.0


@dataclass(frozen=True, slots=True)
class Entry:
    """One record of the topic."""

    position: Position
    type: str | None
    at: datetime
    value: bytes | None


def read(bootstrap_servers: str, topic: str, until: Mapping[int, int] | None = None) -> Iterator[Entry]:
    """Every record up to the ends of the partitions, or up to the offsets `until`, exclusive."""
    settings = {
        "bootstrap.servers": bootstrap_servers,
        "group.id": "verify",
        "log_level": 3,
        "enable.auto.commit": False,
        "isolation.level": "read_committed",
        "enable.partition.eof": True,
    }
    consumer = Consumer(settings)
    try:
        metadata = consumer.list_topics(topic, timeout=_SILENCE_S).topics[topic]
        if metadata.error is not None:
            raise KafkaException(metadata.error)
        unread = set(metadata.partitions)
        consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in unread])
        deadline = time.monotonic() + _SILENCE_S
        while unread:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{topic} stays silent before the end of partitions {sorted(unread)}")
            message = consumer.poll(1.0)
            # Other errors are news of a broker that is away; the client goes on by itself.
            if message is None or not _matters(message):
                continue
            deadline = time.monotonic() + _SILENCE_S
            partition, offset = message.partition() or 0, message.offset() or 0
            if message.error() is not None or (until is not None and offset >= until[partition]):
                unread.discard(partition)
            else:
                at = datetime.fromtimestamp(message.timestamp()[1] / 1000, UTC)
                yield Entry((partition, offset), _type(message), at, message.value())
    finally:
        consumer.close()


def _matters(message: Message) -> bool:
    error = message.error()
    return error is None or error.code() == KafkaError._PARTITION_EOF  # noqa: SLF001 - the client's public name


def _type(message: Message) -> str | None:
    headers = message.headers()
    values = (value for name, value in (headers if isinstance(headers, list) else []) if name == "ce_type")
    kind = next(values, None)
    return kind.decode() if isinstance(kind, bytes) else kind


def fold(
    bootstrap_servers: str,
    topic: str,
    until: Mapping[int, int] | None = None,
    discarded: Collection[Position] = (),
    parked: Collection[Position] = (),
    version: str = "1",
) -> Rows:
    """One row per order, as examples/shop/order-summaries.yaml (or -v2.yaml) says in its own language.

    What is `discarded` is passed over; what is `parked` is left out with all that comes later for its order.
    """
    rows: Rows = {}
    waiting: set[str] = set()
    for entry in read(bootstrap_servers, topic, until):
        if entry.value is None or entry.position in discarded:
            continue
        event = json.loads(entry.value)
        if entry.position in parked:
            waiting.add(event["order_id"])
        if event["order_id"] not in waiting:
            apply(rows, entry.type, event, entry.at, version)
    return rows


def apply(rows: Rows, kind: str | None, event: dict[str, object], at: datetime, version: str = "1") -> None:
    """What one event does."""
    second = version == "2"
    order_id = str(event["order_id"])
    if kind == "OrderPlaced":
        row = _row(rows, order_id, at, second)
        row["customer"] = event["customer"]
        row["status"] = "placed"
        row["placed_at"] = at
    elif kind == "ItemAdded" and _int(event["qty"]) > 0:
        row = _row(rows, order_id, at, second)
        price = _int(event["price_cents"])
        _add(row, _int(event["qty"]), price)
        size = _int(event["qty"]) * price if second else price
        largest = row["largest_item_cents"]
        if largest is None or size > _int(largest):
            row["largest_item_cents"] = size
    elif kind == "ItemRemoved" and order_id in rows:
        row = _row(rows, order_id, at, second)
        _add(row, -_int(event["qty"]), _int(event["price_cents"]))
        if second:
            row["removed_count"] = _int(row["removed_count"]) + _int(event["qty"])
    elif kind == "OrderPaid":
        _row(rows, order_id, at, second)["status"] = "paid"
    elif kind == "OrderShipped":
        _row(rows, order_id, at, second)["status"] = "shipped"
    elif kind == "OrderCancelled":
        rows.pop(order_id, None)


def _row(rows: Rows, order_id: str, at: datetime, second: bool) -> Row:
    if order_id not in rows:
        rows[order_id] = {
            "order_id": order_id,
            "customer": None,
            "status": None,
            "placed_at": None,
            "item_count": 0,
            "total_cents": 0,
            "largest_item_cents": None,
            "last_event_at": at,
            **({"removed_count": 0} if second else {}),
        }
    row = rows[order_id]
    # Record timestamps are the producers' and may go back within a partition.
    if isinstance(row["last_event_at"], datetime) and at > row["last_event_at"]:
        row["last_event_at"] = at
    return row


def _add(row: Row, qty: int, price: int) -> None:
    row["item_count"] = _int(row["item_count"]) + qty
    row["total_cents"] = _int(row["total_cents"]) + qty * price


def _int(value: object) -> int:
    if not isinstance(value, int):
        raise TypeError(f"{value!r} is not a whole number")
    return value


def table(connection: psycopg.Connection, name: str) -> Rows:
    """The read model as a reader sees it; `name` may have a schema before it."""
    with connection.cursor(row_factory=dict_row) as cursor:
        cursor.execute(psycopg.sql.SQL("SELECT * FROM {}").format(psycopg.sql.Identifier(*name.split("."))))
        return {str(row["order_id"]): row for row in cursor}


def passed_over(connection: psycopg.Connection, topic: str) -> set[Position]:
    """What people decided to pass over, as the registry has it."""
    query = 'SELECT partition, "offset" FROM projections.discarded WHERE topic = %s'
    return set(connection.execute(query, (topic,)))


@dataclass(frozen=True)
class Comparison:
    """Rows of both sides and the orders at which they are not equal, with what each side has."""

    rows: int
    differing: Mapping[str, tuple[Row | None, Row | None]]

    @property
    def summary(self) -> str:
        """One line for people."""
        return f"{len(self.differing)} of {self.rows} rows differ"

    def details(self, limit: int = 10) -> Iterator[str]:
        """A line for each of the first differing rows: only the columns that differ."""
        for order_id, (expected, found) in list(self.differing.items())[:limit]:
            if expected is None or found is None:
                yield f"{order_id}: " + ("is in the table, not in the log" if found else "is missing in the table")
                continue
            pairs = ((name, expected[name], found.get(name)) for name in expected)
            wrong = (f"{name} is {has}, should be {should}" for name, should, has in pairs if has != should)
            yield f"{order_id}: {'; '.join(wrong)}"


def compare(expected: Rows, found: Rows) -> Comparison:
    """Every row of either side against the other."""
    keys = expected.keys() | found.keys()
    pairs = {key: (expected.get(key), found.get(key)) for key in sorted(keys)}
    return Comparison(len(keys), {key: pair for key, pair in pairs.items() if pair[0] != pair[1]})


@click.command()
@click.option("--bootstrap-servers", default="127.0.0.1:29092", show_default=True)
@click.option("--topic", default="orders", show_default=True)
@click.option("--uri", envvar="SHOP_URI", required=True, help="PostgreSQL URI of a reader; or SHOP_URI.")
@click.option("--discarded", is_flag=True, help="Leave out what `projector discard` passed over.")
@click.option("--version", default="1", type=click.Choice(["1", "2"]), help="Which of the two YAML files is live.")
@click.option("--table", "name", default="public.order_summaries", show_default=True)
def main(bootstrap_servers: str, topic: str, uri: str, discarded: bool, version: str, name: str) -> None:
    """Compare the table with a fold of the whole topic; exit code 1 if a row differs."""
    with psycopg.connect(uri, autocommit=True) as connection:
        left_out = passed_over(connection, topic) if discarded else ()
        result = compare(fold(bootstrap_servers, topic, None, left_out, version=version), table(connection, name))
    for line in result.details():
        print(line)
    print(result.summary)
    sys.exit(1 if result.differing else 0)


if __name__ == "__main__":
    main()
