"""The text of one commit: compare-and-set, parked events, rows. Names never come from a batch; values are quoted."""

import base64
import json
from collections.abc import Sequence
from datetime import UTC, datetime

from psycopg import sql

from projector.fold.record import Record
from projector.ports import Move, Park
from projector.stores.postgres.keys import key_digest, key_text

_MOVE = sql.SQL(
    "SELECT projections.move({build}, {epoch}, {topic_ids}::text[], {partitions}::integer[], {previous}::bigint[], "
    "{following}::bigint[], {event_times}::timestamptz[], {generations}::bigint[], {places}::tid[])"
)
_PARK = sql.SQL(
    "SELECT projections.park({build}, {most}, {topics}::text[], {topic_ids}::text[], {partitions}::integer[], "
    "{digests}::text[], {keys}::text[], {offsets}::bigint[], {reasons}::text[], {record_keys}::bytea[], "
    "{record_values}::bytea[], {headers}::text[], {time_kinds}::integer[], {times_ms}::bigint[])"
)


def move(build: int, epoch: int, moves: Sequence[Move], places: Sequence[str | None]) -> sql.Composed:
    """The compare-and-set; `places` are where the checkpoints were last seen, in the order of the moves."""
    return _MOVE.format(
        build=build,
        epoch=epoch,
        topic_ids=[m.partition.topic_id for m in moves],
        partitions=[m.partition.number for m in moves],
        previous=[m.previous for m in moves],
        following=[m.next for m in moves],
        event_times=[_moment(m.event_time_ms) for m in moves],
        generations=[m.generation for m in moves],
        places=list(places),
    )


def park(build: int, most: int, parked: Sequence[Park]) -> sql.Composed:
    """Insertion of parked events, refused where the build would have more than `most` parked keys."""
    keys = [key_text(one.key) for one in parked]
    records = [one.record for one in parked]
    return _PARK.format(
        build=build,
        most=most,
        topics=[one.partition.topic for one in parked],
        topic_ids=[one.partition.topic_id for one in parked],
        partitions=[one.partition.number for one in parked],
        digests=[key_digest(key) for key in keys],
        keys=keys,
        offsets=[record.offset() for record in records],
        reasons=[_sayable(one.reason) for one in parked],
        record_keys=[record.key() for record in records],
        record_values=[record.value() for record in records],
        headers=[headers_text(record) for record in records],
        time_kinds=[record.timestamp()[0] for record in records],
        times_ms=[record.timestamp()[1] for record in records],
    )


def headers_text(record: Record) -> str:
    """A record's headers as a JSON array of [name, value in base64 or null]."""
    pairs = [
        (name, None if content is None else base64.b64encode(content).decode())
        for name, content in record.headers() or ()
    ]
    return json.dumps(pairs, separators=(",", ":"))


def _sayable(text: str) -> str:
    """Words about an event may quote what PostgreSQL's text cannot hold."""
    return text.replace("\0", "\\0").encode(errors="backslashreplace").decode()


def _moment(milliseconds: int | None) -> datetime | None:
    return None if milliseconds is None else datetime.fromtimestamp(milliseconds / 1000, UTC)
