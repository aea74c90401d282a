"""Parked events in PostgreSQL, for people: look at them, replay a key, pass events over.

Every change is one transaction that first locks the checkpoint of the key's partition. So no worker parks or applies
an event meanwhile; it is fenced by the raised generation where what it believes to be parked has changed.
"""

import base64
import json
from collections.abc import Collection, Sequence
from typing import Any

import psycopg
from psycopg import Cursor, errors
from psycopg.rows import namedtuple_row

from projector.fold.delta import Delta, Key, Upsert
from projector.ports import Partition
from projector.registry import Identity, ParkedChanged, ParkedKey, ParkedRecord, RegistryError, Waiting
from projector.spec.definition import Definition
from projector.stores.postgres import faults, statements
from projector.stores.postgres.connection import address
from projector.stores.postgres.definitions import parse
from projector.stores.postgres.encode import Encoder
from projector.stores.postgres.history import record_build
from projector.stores.postgres.keys import key_digest, key_of
from projector.stores.postgres.layout import Layout
from projector.stores.postgres.session import Session

_KEYS = """
SELECT k.build, k.topic, k.topic_id, k.partition, k.key, k.first_offset, k.reason, k.parked_at,
    (SELECT count(*) FROM projections.parked_event e WHERE e.build = k.build AND e.topic_id = k.topic_id
        AND e.partition = k.partition AND e.key_digest = k.key_digest) AS events
FROM projections.parked_key k
JOIN projections.build b ON b.number = k.build AND b.state IN ('Replaying', 'CatchingUp', 'Live', 'Warm')
JOIN projections.projection p ON p.id = b.projection
WHERE p.installation = %s AND p.namespace = %s AND p.name = %s
ORDER BY k.parked_at, k.first_offset
"""
_BUILD = "SELECT definition, table_schema, table_name, projection FROM projections.build WHERE number = %s"
_GENERATION = """
SELECT parked_generation FROM projections.checkpoint WHERE build = %s AND topic_id = %s AND partition = %s
"""
_EVENTS = """
SELECT e.*, e."offset" AS at_offset FROM projections.parked_event e
WHERE e.build = %s AND e.topic_id = %s AND e.partition = %s AND e.key_digest = %s ORDER BY e."offset"
"""
_DISCARDED = """
SELECT "offset" FROM projections.discarded WHERE projection = %s AND topic_id = %s AND partition = %s
    AND "offset" = ANY(%s)
"""
_RAISE = """
UPDATE projections.checkpoint SET parked_generation = parked_generation + 1
WHERE build = %s AND topic_id = %s AND partition = %s
"""
_GO = """
DELETE FROM projections.parked_event
WHERE build = %s AND topic_id = %s AND partition = %s AND key_digest = %s AND "offset" = ANY(%s)
"""
_STAY = """
UPDATE projections.parked_event SET reason = %s
WHERE build = %s AND topic_id = %s AND partition = %s AND key_digest = %s AND "offset" = %s
"""
_FREE = "DELETE FROM projections.parked_key WHERE build = %s AND topic_id = %s AND partition = %s AND key_digest = %s"
_FIRST = """
UPDATE projections.parked_key SET first_offset = %s, reason = %s
WHERE build = %s AND topic_id = %s AND partition = %s AND key_digest = %s
"""
_DISCARD = """
INSERT INTO projections.discarded (projection, topic, topic_id, partition, "offset", reason)
VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING
"""


class PostgresParking:
    """`projector.registry.Parking` on the database that `uri` names; the role must own the registry, or be its owner's.

    Calls raise `StoreUnavailable` for whatever passes by itself, and `NotPermitted`; no text holds the URI's password.
    """

    def __init__(self, uri: str) -> None:
        self._target = str(address(uri))
        self._session = Session(uri, application="projector parked")

    def keys(self, identity: Identity) -> Sequence[ParkedKey]:
        """Parked keys of all builds that are not given up, in the order in which they were parked."""
        names = (identity.installation, identity.namespace, identity.name)
        return self._session.run(lambda cursor: [_parked_key(row) for row in _named(cursor, _KEYS, names)])

    def read(self, parked: ParkedKey) -> Waiting:
        """The events of a key; raises ParkedChanged where it is not parked any more."""
        return self._session.run(lambda cursor: _read(cursor, parked))

    def replay(self, waiting: Waiting, delta: Upsert | Delta | None, staying: Sequence[tuple[int, str]]) -> None:
        """Apply what the key's events come to; keep those that stay. Raises ParkedChanged, BadRow."""
        self._session.run(lambda cursor: self._replay(cursor, waiting, delta, staying))

    def discard(self, waiting: Waiting, offsets: Collection[int], reason: str) -> None:
        """Pass over some of the key's events, in this build and all later ones. Raises ParkedChanged."""
        self._session.run(lambda cursor: _discard(cursor, waiting, offsets, reason))

    def close(self) -> None:
        """Release the connection."""
        self._session.close()

    def _replay(
        self, cursor: Cursor, waiting: Waiting, delta: Upsert | Delta | None, staying: Sequence[tuple[int, str]]
    ) -> None:
        _lock(cursor, waiting)
        if delta is not None:
            self._apply(cursor, waiting, delta)
        _keep(cursor, waiting, staying)
        applied = len(waiting.records) - len(staying)
        said = f"{applied} of {len(waiting.records)} events of key {waiting.parked.text}"
        record_build(cursor, waiting.parked.build, "ParkedReplayed", said)

    def _apply(self, cursor: Cursor, waiting: Waiting, delta: Upsert | Delta) -> None:
        definition, schema, name, _ = _build(cursor, waiting.parked.build)
        layout = Layout(definition)
        encoder = Encoder(layout)
        deltas = {waiting.key: delta}
        table = statements.Table(schema, name, layout)
        try:
            for arrays in encoder.arrays(encoder.rows(deltas), 1):
                source = statements.from_literals(layout, [array.decode() for array in arrays])
                cursor.execute(statements.write(table, source))
        except psycopg.Error as error:
            raise faults.translated(error, self._target, encoder, deltas, 0) from None


def _named(cursor: Cursor, query: str, values: Sequence[Any]) -> list[Any]:
    with cursor.connection.cursor(row_factory=namedtuple_row) as named:
        try:
            return list(named.execute(query.encode(), values).fetchall())
        except (errors.UndefinedTable, errors.InvalidSchemaName):
            raise RegistryError("the registry in this database knows no parked events yet") from None


def _parked_key(row: Any) -> ParkedKey:
    partition = Partition(row.topic, row.topic_id, row.partition)
    return ParkedKey(row.build, partition, row.key, row.events, row.first_offset, row.reason, row.parked_at)


def _place(parked: ParkedKey) -> tuple[int, str, int]:
    return parked.build, parked.partition.topic_id, parked.partition.number


def _read(cursor: Cursor, parked: ParkedKey) -> Waiting:
    # One snapshot for all that is read.
    cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    definition, schema, name, projection = _build(cursor, parked.build)
    row = cursor.execute(_GENERATION, _place(parked)).fetchone()
    records = _records(cursor, parked)
    if row is None or not records:
        raise ParkedChanged(f"key {parked.text} is not parked any more")
    layout = Layout(definition)
    key = key_of(parked.text, [column.type for column in layout.key])
    offsets = [record.at_offset for record in records]
    discarded = cursor.execute(_DISCARDED, (projection, *_place(parked)[1:], offsets)).fetchall()
    return Waiting(
        parked=parked,
        key=key,
        generation=row[0],
        records=records,
        exists=_exists(cursor, statements.Table(schema, name, layout), key),
        discarded=frozenset(offset for (offset,) in discarded),
    )


def _records(cursor: Cursor, parked: ParkedKey) -> tuple[ParkedRecord, ...]:
    rows = _named(cursor, _EVENTS, (*_place(parked), key_digest(parked.text)))
    return tuple(_record(parked.partition, row) for row in rows)


def _record(partition: Partition, row: Any) -> ParkedRecord:
    headers = row.record_headers if isinstance(row.record_headers, list) else json.loads(row.record_headers)
    return ParkedRecord(
        reason=row.reason,
        parked_at=row.parked_at,
        of_topic=partition.topic,
        of_partition=partition.number,
        at_offset=row.at_offset,
        of_time=(row.record_time_kind, row.record_time_ms),
        key_bytes=row.record_key,
        value_bytes=row.record_value,
        header_list=tuple((name, None if text is None else base64.b64decode(text)) for name, text in headers),
    )


def _build(cursor: Cursor, build: int) -> tuple[Definition, str, str, int]:
    row = cursor.execute(_BUILD, (build,)).fetchone()
    if row is None:
        raise ParkedChanged(f"there is no build {build} any more")
    return parse(row[0]), row[1], row[2], row[3]


def _exists(cursor: Cursor, table: statements.Table, key: Key) -> bool:
    cursor.execute(statements.existing(table), [[value] for value in key])
    return cursor.fetchone() is not None


def _lock(cursor: Cursor, waiting: Waiting) -> None:
    """Hold the checkpoint, and make sure that nothing changed since `waiting` was read."""
    parked = waiting.parked
    row = cursor.execute(_GENERATION + " FOR UPDATE", _place(parked)).fetchone()
    offsets = [record.at_offset for record in _records(cursor, parked)]
    if row != (waiting.generation,) or offsets != [record.at_offset for record in waiting.records]:
        raise ParkedChanged(f"what is parked under key {parked.text} has changed meanwhile; try again")


def _keep(cursor: Cursor, waiting: Waiting, staying: Sequence[tuple[int, str]]) -> None:
    """Keep only these events of the key, and fence the worker that knows of others."""
    parked = waiting.parked
    place = (*_place(parked), key_digest(parked.text))
    if staying:
        kept = {offset for offset, _ in staying}
        going = [record.at_offset for record in waiting.records if record.at_offset not in kept]
        cursor.execute(_GO, (*place, going))
        before = {record.at_offset: record.reason for record in waiting.records}
        changed = [(reason, *place, offset) for offset, reason in staying if before[offset] != reason]
        cursor.executemany(_STAY, changed)
        cursor.execute(_FIRST, (*staying[0], *place))
    else:
        cursor.execute(_FREE, place)
    cursor.execute(_RAISE, _place(parked))


def _discard(cursor: Cursor, waiting: Waiting, offsets: Collection[int], reason: str) -> None:
    _lock(cursor, waiting)
    parked, partition = waiting.parked, waiting.parked.partition
    *_, projection = _build(cursor, parked.build)
    rows = [(projection, partition.topic, partition.topic_id, partition.number, at, reason) for at in sorted(offsets)]
    cursor.executemany(_DISCARD, rows)
    staying = [(record.at_offset, record.reason) for record in waiting.records if record.at_offset not in offsets]
    _keep(cursor, waiting, staying)
    said = f"{partition.topic}-{partition.number} offsets {', '.join(map(str, sorted(offsets)))}: {reason}"
    record_build(cursor, parked.build, "ParkedDiscarded", said)
