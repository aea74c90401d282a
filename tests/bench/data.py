"""What the contenders fold: logs that are a pure function of their size and a seed, and the rows they must become.

An event is a key number and an act. Acts are made once and used many times, so that a log of millions is made faster
than any contender reads it. Nothing here knows the product; the fold works on the acts, never on the JSON.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, count, islice
from random import Random
from typing import Any, NamedTuple, Protocol

DAY_ONE_MS = 1_767_225_600_000
"""2026-01-01T00:00Z. Event number n has the timestamp of n milliseconds later."""
PARTITIONS = 4
OPEN_ORDERS = 40
"""Orders under way at once where an order's events lie close together."""
SCRIPTS = 4_000

PLACED, ADDED, REMOVED, PAID, SHIPPED, CANCELLED = range(6)
TYPES = ("OrderPlaced", "ItemAdded", "ItemRemoved", "OrderPaid", "OrderShipped", "OrderCancelled")

Row = list[Any]
"""Values after the key in the order of `Data.columns`; a timestamptz is in milliseconds since the epoch."""
Rows = dict[int, Row]


class Act(NamedTuple):
    """What an event says besides its key. `body` is the JSON after the key's field, without the closing brace."""

    kind: int
    body: bytes
    customer: str = ""
    qty: int = 0
    price: int = 0
    values: tuple[int, ...] = ()


Event = tuple[int, Act]


class Data(Protocol):
    """A kind of log."""

    @property
    def name(self) -> str:
        """As tables and charts call it."""
        ...

    @property
    def columns(self) -> Sequence[tuple[str, str]]:
        """Name and type, the key first."""
        ...

    @property
    def types(self) -> Sequence[str]:
        """Event types by `Act.kind`."""
        ...

    def events(self, amount: int) -> Iterator[Event]:
        """The first `amount` events."""
        ...

    def fold(self, rows: Rows, key: int, act: Act, at: int) -> None:
        """What one event does."""
        ...


def key_text(key: int) -> str:
    """The key as events and rows have it."""
    return f"o-{key:09d}"


def value(event: Event, number: int) -> bytes:
    """The event as JSON, 220 bytes on average for orders."""
    return b'{"order_id":"o-%09d"%b,"event_id":"%032x"}' % (event[0], event[1].body, number)


def expected(data: Data, amount: int) -> Rows:
    """The rows that the log must become."""
    rows: Rows = {}
    fold = data.fold
    for at, (key, act) in enumerate(data.events(amount), DAY_ONE_MS):
        fold(rows, key, act, at)
    return rows


@dataclass(frozen=True)
class Orders:
    """The example's events. `spread`: the keys of all orders come evenly over the whole log, about ten times each."""

    seed: int = 1
    spread: bool = False
    cancels: bool = True
    columns: Sequence[tuple[str, str]] = (
        ("order_id", "text"),
        ("customer", "text"),
        ("status", "text"),
        ("placed_at", "timestamptz"),
        ("item_count", "bigint"),
        ("total_cents", "bigint"),
        ("largest_item_cents", "bigint"),
        ("last_event_at", "timestamptz"),
    )
    types: Sequence[str] = TYPES

    @property
    def name(self) -> str:
        """As tables and charts call it."""
        return "uniform keys" if self.spread else "order-like"

    def events(self, amount: int) -> Iterator[Event]:
        """See `Data`."""
        random = Random(self.seed)  # noqa: S311 - repeatable on purpose
        scripts = [_script(random, self.cancels) for _ in range(SCRIPTS)]
        return _spread(random, scripts, amount) if self.spread else islice(_close(random, scripts), amount)

    @staticmethod
    def fold(rows: Rows, key: int, act: Act, at: int) -> None:
        """As examples/shop/order-summaries.yaml says in its own language."""
        kind = act.kind
        if kind == CANCELLED:
            rows.pop(key, None)
            return
        row = rows.get(key)
        if (kind == ADDED and act.qty <= 0) or (kind == REMOVED and row is None):
            return
        if row is None:
            row = rows[key] = [None, None, None, 0, 0, None, at]
        if kind == ADDED:
            row[3] += act.qty
            row[4] += act.qty * act.price
            if row[5] is None or act.price > row[5]:
                row[5] = act.price
        elif kind == REMOVED:
            row[3] -= act.qty
            row[4] -= act.qty * act.price
        elif kind == PLACED:
            row[0], row[1], row[2] = act.customer, "placed", at
        else:
            row[1] = "paid" if kind == PAID else "shipped"
        row[6] = max(row[6], at)


@dataclass(frozen=True)
class Wide:
    """Rows of `width` counters, half added up and half set, from `per_key` events each that lie close together."""

    width: int
    per_key: int = 10
    seed: int = 1
    types: Sequence[str] = ("Counted",)

    @property
    def name(self) -> str:
        """As tables and charts call it."""
        return f"{self.width} columns, {self.per_key} events per key"

    @property
    def columns(self) -> Sequence[tuple[str, str]]:
        """See `Data`."""
        return [("order_id", "text"), *((f"c{number}", "bigint") for number in range(self.width))]

    def events(self, amount: int) -> Iterator[Event]:
        """See `Data`."""
        random = Random(self.seed)  # noqa: S311 - repeatable on purpose
        acts = [_counted(random, self.width) for _ in range(SCRIPTS)]
        scripts = [random.choices(acts, k=self.per_key) for _ in range(SCRIPTS)]
        return islice(_close(random, scripts), amount)

    @staticmethod
    def fold(rows: Rows, key: int, act: Act, at: int) -> None:
        """Even columns add up, odd ones are set."""
        del at
        row = rows.setdefault(key, [None if number % 2 else 0 for number in range(len(act.values))])
        for number, counted in enumerate(act.values):
            row[number] = counted if number % 2 else row[number] + counted


def _close(random: Random, scripts: Sequence[Sequence[Act]]) -> Iterator[Event]:
    """Endlessly many keys, each with one script; `OPEN_ORDERS` of them take turns at random."""
    numbers = count(1)
    turns = chain.from_iterable(random.choices(range(OPEN_ORDERS), k=10_000) for _ in count())
    opened = [(next(numbers), iter(random.choice(scripts))) for _ in range(OPEN_ORDERS)]
    for turn in turns:
        key, script = opened[turn]
        act = next(script, None)
        if act is None:
            key, script = opened[turn] = next(numbers), iter(random.choice(scripts))
            act = next(script)
        yield key, act


def _spread(random: Random, scripts: Sequence[Sequence[Act]], amount: int) -> Iterator[Event]:
    """The same acts as often, in any order, of keys that are all equally likely at any time."""
    acts = list(chain.from_iterable(scripts))
    keys = range(1, max(2, amount // 10))
    for first in range(0, amount, 10_000):
        some = min(10_000, amount - first)
        yield from zip(random.choices(keys, k=some), random.choices(acts, k=some), strict=True)


def _script(random: Random, cancels: bool) -> list[Act]:
    """The life of one order, the odds being those of examples/shop/events.py."""
    customer = f"Customer Ines {random.randint(1, 9999)}"
    note = ',"channel":"web","note":"please ring twice; leave it with the neighbour or in the shed at the back'
    acts = [_act(PLACED, f',"customer":"{customer}"{note}"', customer=customer)]
    for _ in range(random.randint(1, 11)):
        qty, price = random.choice((0, 1, 1, 1, 2, 2, 3, 12)), random.randint(900, 25_000)
        acts.append(_item(ADDED, qty, price))
        if qty and random.random() < 0.15:
            acts.append(_item(REMOVED, random.randint(1, qty), price))
    if cancels and random.random() < 0.12:
        return [*acts, *_cancelled(random, customer, note)]
    acts.append(_act(PAID, f',"method":"card"{note}; paid in full and with thanks"'))
    if random.random() < 0.9:
        parcel = f',"carrier":"Blue Van Parcel","tracking":"BV{random.getrandbits(64):016X}"'
        acts.append(_act(SHIPPED, f'{parcel}{note}"'))
    return acts


def _cancelled(random: Random, customer: str, note: str) -> Iterator[Act]:
    yield _act(CANCELLED, f',"reason":"found it cheaper"{note}"')
    if random.random() < 0.3:
        yield _item(REMOVED, 1, 1450)
    if random.random() < 0.1:
        yield _act(PLACED, f',"customer":"{customer}"{note}"', customer=customer)


def _item(kind: int, qty: int, price: int) -> Act:
    goods = ',"sku":"chair-ash-woven-seat","title":"Chair, ash, woven seat, the third of its series, with a cushion"'
    body = f',"channel":"web"{goods},"price_cents":{price},"qty":{qty}'
    return _act(kind, body, qty=qty, price=price)


def _counted(random: Random, width: int) -> Act:
    values = tuple(random.randint(1, 999) for _ in range(width))
    return Act(0, "".join(f',"c{n}":{v}' for n, v in enumerate(values)).encode(), values=values)


def _act(kind: int, body: str, customer: str = "", qty: int = 0, price: int = 0) -> Act:
    return Act(kind, body.encode(), customer, qty, price)
