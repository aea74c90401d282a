"""Visits of a shop's visitors: a handler, since rules cannot split a path into its parts or compare with a table."""

from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

from projector.handlers import Change, Delete, Event, Meta, Upsert

CAMPAIGNS = {"spring": "Spring sale", "news": "Newsletter"}


def visits(event: Event, meta: Meta) -> Iterator[Change]:
    """One row per visitor."""
    if event.type == "VisitorForgotten":
        yield Delete(key={"visitor": event["visitor"]})
    elif event.type == "PageSeen":
        url = urlsplit(event["url"])
        campaign = parse_qs(url.query).get("campaign", [""])[0]
        first = {"campaign": CAMPAIGNS[campaign]} if campaign in CAMPAIGNS else {}
        yield Upsert(
            key={"visitor": event["visitor"]},
            set={"last_page": url.path, **first},
            increment={"pages": 1},
            max={"last_seen": meta.timestamp},
        )
