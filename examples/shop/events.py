"""The shop's events, as a pure function of a seed: the same seed gives the same events for ever."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from random import Random

OPEN_ORDERS = 40
"""So many orders are under way at once; their events interleave."""

_DAY_ONE = datetime(2026, 1, 1, tzinfo=UTC)
_NAMES = (
    "Ada",
    "Bela",
    "Chen",
    "Dario",
    "Emre",
    "Fatou",
    "Greta",
    "Hugo",
    "Ines",
    "Jun",
    "Kofi",
    "Lena",
    "Zoë",
    "Đorđe",
)
_GOODS = (
    ("lamp-oak", "Desk lamp, oak and linen", 8900),
    ("mug-blue", "Mug, stoneware, blue glaze", 1450),
    ("chair-ash", "Chair, ash, woven seat", 24900),
    ("book-kites", "The Book of Kites, 2nd edition", 3200),
    ("tea-assam", "Assam tea, 250 g tin", 1190),
    ("rug-wool", "Wool rug, 140 x 200 cm", 18750),
)


@dataclass(frozen=True, slots=True)
class Event:
    """One event. `key` is the order's id, so that all events of an order lie in one partition, in order."""

    type: str
    key: str
    body: dict[str, object]

    @property
    def value(self) -> bytes:
        """The body as JSON, about 220 bytes."""
        return json.dumps(self.body, ensure_ascii=False, separators=(",", ":")).encode()


def events(seed: int, orders: int | None = None) -> Iterator[Event]:
    """All events of `orders` orders (None: of endlessly many), those of different orders mixed."""
    random = Random(seed)  # noqa: S311 - repeatable on purpose, nothing secret depends on it
    numbers = iter(count(1) if orders is None else range(1, orders + 1))
    open_orders: list[Iterator[Event]] = []
    clock = _DAY_ONE
    sequence = 0
    while True:
        while len(open_orders) < OPEN_ORDERS and (number := next(numbers, None)) is not None:
            open_orders.append(_order(random, f"o-{seed}-{number:07d}"))
        if not open_orders:
            return
        chosen = random.randrange(len(open_orders))
        event = next(open_orders[chosen], None)
        if event is None:
            open_orders[chosen] = open_orders[-1]
            open_orders.pop()
            continue
        sequence += 1
        clock += timedelta(milliseconds=random.randint(1, 400))
        event.body.update(event_id=f"{seed:08x}-{sequence:012x}", occurred_at=clock.isoformat(timespec="milliseconds"))
        yield event


NO_NUMBER: Mapping[str, object] = {"sku": "mug-blue", "qty": "many", "price_cents": 1450}
"""An item that no rule can apply."""


def spoiled(order_id: str, item: Mapping[str, object] = NO_NUMBER) -> Iterator[Event]:
    """The events of an order whose second item is `item`."""
    about: dict[str, object] = {"order_id": order_id}
    yield _event("OrderPlaced", about, customer="Ada 1815")
    yield _event("ItemAdded", about, sku="tea-assam", qty=1, price_cents=1190)
    yield _event("ItemAdded", about, **item)
    yield _event("ItemAdded", about, sku="lamp-oak", qty=2, price_cents=8900)
    yield _event("OrderPaid", about, method="card")


def _order(random: Random, order_id: str) -> Iterator[Event]:
    """The life of one order: placed, filled, sometimes thinned out, then paid and shipped, or cancelled."""
    customer = f"{random.choice(_NAMES)} {random.randint(1, 9999)}"
    about: dict[str, object] = {"order_id": order_id, "channel": random.choice(("web", "app", "phone"))}
    yield _event("OrderPlaced", about, customer=customer, note="please ring twice; leave it with the neighbour")
    for _ in range(random.randint(1, 9)):
        sku, title, price = random.choice(_GOODS)
        item: dict[str, object] = {"sku": sku, "title": title, "price_cents": price + random.randint(-100, 100)}
        # A basket may be asked for nothing: such an event exists and must not count.
        qty = random.choice((0, 1, 1, 1, 2, 2, 3, 12))
        yield _event("ItemAdded", about, **item, qty=qty)
        if qty and _chance(random, percent=15):
            yield _event("ItemRemoved", about, **item, qty=random.randint(1, qty))
    if _chance(random, percent=12):
        yield from _cancelled(random, about)
        return
    yield _event("OrderPaid", about, method=random.choice(("card", "transfer", "voucher")), note="paid in full")
    if _chance(random, percent=90):
        yield _event("OrderShipped", about, carrier="Blue Van Parcel", tracking=f"BV{random.getrandbits(64):016X}")


def _cancelled(random: Random, about: dict[str, object]) -> Iterator[Event]:
    """Cancelled, and now and then something still arrives afterwards."""
    yield _event("OrderCancelled", about, reason=random.choice(("changed my mind", "too slow", "found it cheaper")))
    if _chance(random, percent=30):
        yield _event("ItemRemoved", about, sku="mug-blue", title="Mug", price_cents=1450, qty=1)
    if _chance(random, percent=10):
        yield _event("OrderPlaced", about, customer="Same Again", note="ordered once more under the same number")


def _chance(random: Random, percent: int) -> bool:
    return random.randrange(100) < percent


def _event(kind: str, about: dict[str, object], **more: object) -> Event:
    return Event(kind, str(about["order_id"]), {**about, **more})
