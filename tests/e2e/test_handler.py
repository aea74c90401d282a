"""A Python function in a team's own image: from its Dockerfile to rows, and what goes wrong in it."""

import json
from collections.abc import Callable, Iterator
from datetime import datetime
from random import Random

import psycopg

from examples.shop import verify
from examples.shop.generator import Feed
from tests.support import wait
from tests.support.cluster import ROOT, Cluster
from tests.support.shop import Shop

FOLDER = ROOT / "examples" / "handler"
SHOP = "https://shop.example.com"
Row = tuple[str, str | None, str, int, datetime]
"""visitor, campaign, last_page, pages, last_seen."""


def test_a_handler_in_its_own_image_folds_as_rules_do(cluster: Cluster, new_shop: Callable[..., Shop]) -> None:
    shop = new_shop(FOLDER / "projection.yaml")
    image = cluster.sandbox.image(FOLDER, PROJECTOR=cluster.images.projector)
    assert "@sha256:" in image
    send(shop, 1_000, seed=1)
    # Text with NUL fits no column: the row is known, so the event is parked.
    unfit = shop.put("v-unfit", page("v-unfit", "/a\0b"), "PageSeen")
    shop.put("v-unfit", page("v-unfit", "/after"), "PageSeen")
    # The function raises: nobody knows of which row the event is.
    raising = shop.put("v-1", json.dumps({"visitor": "v-1"}).encode(), "PageSeen")
    send(shop, 1_000, seed=2)
    shop.apply(projector={"image": image})

    stuck = shop.wait_condition("Degraded", "True", "PartitionsStuck")["message"]
    assert f"partition {raising[0]}, offset {raising[1]}:" in stuck
    assert "KeyError: 'url'" in stuck
    assert "visits.py" in stuck
    shop.in_pod = True
    shop.discard_as_told(stuck, raising)
    shop.wait_ready()
    shop.wait_caught_up()
    shop.parked.add(unfit)
    assert rows(shop) == fold(shop)

    message = shop.wait_condition("Degraded", "True", "ParkedKeys")["message"]
    (listed,) = shop.parked_as_told(message)
    assert (listed["key"], listed["events"]) == (["v-unfit"], 2)
    assert "last_page" in listed["reason"]
    shop.let_go_as_told(message, listed)
    wait.until("the rows are the fold", lambda: rows(shop) ^ fold(shop), lambda differing: not differing, 30)
    pods = cluster.list_all("pods", shop.namespace)
    assert {container["image"] for pod in pods for container in pod["spec"]["containers"]} == {image}
    # In CI a team runs its tests in the image.
    exec_there = ("exec", "-i", "-n", shop.namespace, shop.ready_pods()[0], "--", "projector")
    tested = cluster.kubectl(*exec_there, "test", "-f", "/dev/stdin", stdin=(FOLDER / "projection.yaml").read_text())
    assert tested.splitlines()[-1] == "2 tests, 0 failed"


def page(visitor: str, path: str) -> bytes:
    return json.dumps({"visitor": visitor, "url": f"{SHOP}{path}"}).encode()


def send(shop: Shop, count: int, seed: int) -> None:
    """Pages that visitors see, with and without a campaign; now and then one is forgotten."""
    random = Random(seed)  # noqa: S311 - repeatable on purpose
    feed = Feed(shop.kafka, shop.topic)
    for _ in range(count):
        visitor = f"v-{random.randrange(60)}"
        if random.random() < 0.05:
            feed.put_raw(visitor.encode(), json.dumps({"visitor": visitor}).encode(), "VisitorForgotten")
            continue
        path = random.choice(("/", "/tea", "/cart")) + random.choice(("", "?campaign=spring", "?x=1&campaign=none"))
        feed.put_raw(visitor.encode(), page(visitor, path), "PageSeen")
    feed.flush()


def fold(shop: Shop) -> set[Row]:
    """What visits.py says, said again in the plainest way, over the whole topic."""
    found: dict[str, Row] = {}
    for visitor, entry in _left(shop):
        if entry.type == "VisitorForgotten":
            found.pop(visitor, None)
            continue
        path, _, query = json.loads(entry.value or b"")["url"].removeprefix(SHOP).partition("?")
        _, campaign, _, pages, seen = found.get(visitor, (visitor, None, "", 0, entry.at))
        campaign = "Spring sale" if "campaign=spring" in query else campaign
        found[visitor] = (visitor, campaign, path, pages + 1, max(seen, entry.at))
    return set(found.values())


def _left(shop: Shop) -> Iterator[tuple[str, verify.Entry]]:
    """Without what was discarded, and what waits behind parked events."""
    waiting: set[str] = set()
    for entry in verify.read(shop.kafka, shop.topic):
        if entry.position in shop.discarded:
            continue
        visitor = json.loads(entry.value or b"")["visitor"]
        if entry.position in shop.parked:
            waiting.add(visitor)
        if visitor not in waiting:
            yield visitor, entry


def rows(shop: Shop) -> set[Row]:
    with psycopg.connect(shop.uri) as connection:
        return set(connection.execute("SELECT visitor, campaign, last_page, pages, last_seen FROM visits"))
