"""Reads of the registry: a projection with its builds and checkpoints, in one statement."""

from collections.abc import Iterable
from typing import Any

from psycopg import Cursor
from psycopg.rows import namedtuple_row

from projector.ports import Partition, Stuck
from projector.registry import (
    BuildState,
    BuildView,
    CheckpointView,
    EndedBuild,
    Ending,
    Identity,
    ProjectionView,
    PublicName,
)
from projector.stores.postgres import indexes
from projector.stores.postgres.definitions import parse
from projector.stores.postgres.indexes import OBSERVED

# Columns of migration 0004 are asked by way of JSON, where a missing one is NULL: an operator has to see what an older
# release left, or it would never come to an act, and only with the first act does it migrate. Columns are named one by
# one, since a migration must not change the type of what a prepared statement gives.
_PROJECTION = f"""
SELECT p.resource_uid, p.public_schema, p.public_name, p.live_build, e.*, b.number, b.version, b.token, b.state,
    b.epoch, b.definition, b.fingerprint, b.table_name, b.created_at, b.published_at, b.changed_at, b.reason,
    b.worker_role, b.consumer_group, {OBSERVED}, (to_jsonb(b) ->> 'replayed_at')::timestamptz AS replayed_at,
    CASE b.state WHEN 'Abandoned' THEN coalesce(to_jsonb(b) ->> 'ending', 'Superseded') END AS ending, c.*,
    (SELECT count(*) FROM projections.parked_key k WHERE k.build = b.number) AS parked_keys
FROM projections.projection p
CROSS JOIN LATERAL (
    SELECT array_agg(number ORDER BY number DESC) AS ended_numbers,
        array_agg(version ORDER BY number DESC) AS ended_versions,
        array_agg(token ORDER BY number DESC) AS ended_tokens,
        array_agg(coalesce(to_jsonb(o) ->> 'ending', 'Superseded') ORDER BY number DESC) AS endings,
        array_agg(reason ORDER BY number DESC) AS ended_reasons,
        array_agg(coalesce((to_jsonb(o) ->> 'ended_at')::timestamptz, changed_at) ORDER BY number DESC) AS ended_ats
    FROM (
        SELECT * FROM projections.build
        WHERE projection = p.id AND state IN ('Abandoned', 'Retired') ORDER BY number DESC LIMIT 20
    ) o
) e
LEFT JOIN projections.build b ON b.projection = p.id AND b.state <> 'Retired'
LEFT JOIN LATERAL (
    SELECT array_agg(topic ORDER BY topic_id, partition) AS topics,
        array_agg(topic_id ORDER BY topic_id, partition) AS topic_ids,
        array_agg(partition ORDER BY topic_id, partition) AS partitions,
        array_agg(start_offset ORDER BY topic_id, partition) AS starts,
        array_agg(replay_end ORDER BY topic_id, partition) AS replay_ends,
        array_agg(next_offset ORDER BY topic_id, partition) AS next_offsets,
        array_agg(event_time ORDER BY topic_id, partition) AS event_times,
        array_agg(moved_at ORDER BY topic_id, partition) AS moved_ats,
        array_agg(stuck_offset ORDER BY topic_id, partition) AS stuck_offsets,
        array_agg(stuck_message ORDER BY topic_id, partition) AS stuck_messages
    FROM projections.checkpoint WHERE build = b.number
) c ON true
WHERE p.installation = %s AND p.namespace = %s AND p.name = %s
ORDER BY b.number
"""  # noqa: S608 - of constants


def projection(cursor: Cursor, identity: Identity) -> ProjectionView | None:
    """The projection as the registry has it, None where it has none."""
    with cursor.connection.cursor(row_factory=namedtuple_row) as named:
        rows: list[Any] = named.execute(
            _PROJECTION, (identity.installation, identity.namespace, identity.name)
        ).fetchall()
    if not rows:
        return None
    return ProjectionView(
        identity=identity,
        resource_uid=rows[0].resource_uid,
        public_name=PublicName(rows[0].public_schema, rows[0].public_name),
        live_build=rows[0].live_build,
        builds=tuple(_build(row) for row in rows if row.number is not None),
        ended=tuple(_ended(rows[0])),
    )


def _build(row: Any) -> BuildView:
    return BuildView(
        number=row.number,
        version=row.version,
        token=row.token,
        state=BuildState(row.state),
        epoch=row.epoch,
        definition=parse(row.definition),
        fingerprint=row.fingerprint,
        table=row.table_name,
        created_at=row.created_at,
        published_at=row.published_at,
        reason=row.reason,
        checkpoints=tuple(_checkpoints(row)),
        worker_role=row.worker_role,
        changed_at=row.changed_at,
        consumer_group=row.consumer_group,
        replayed_at=row.replayed_at,
        ending=None if row.ending is None else Ending(row.ending),
        parked_keys=row.parked_keys,
        indexes=indexes.parse(row),
    )


def _ended(row: Any) -> Iterable[EndedBuild]:
    columns = (row.ended_numbers, row.ended_versions, row.ended_tokens, row.endings, row.ended_reasons, row.ended_ats)
    for number, version, token, ending, reason, at in zip(*(one or () for one in columns), strict=True):
        yield EndedBuild(number, version, token, Ending(ending), reason, at)


def _checkpoints(row: Any) -> Iterable[CheckpointView]:
    for index, (topic, topic_id, number) in enumerate(
        zip(row.topics or (), row.topic_ids or (), row.partitions or (), strict=True)
    ):
        partition = Partition(topic, topic_id, number)
        offset, message = row.stuck_offsets[index], row.stuck_messages[index]
        yield CheckpointView(
            partition=partition,
            next_offset=row.next_offsets[index],
            start=row.starts[index],
            replay_end=row.replay_ends[index],
            event_time=row.event_times[index],
            moved_at=row.moved_ats[index],
            stuck=None if offset is None else Stuck(partition, offset, message),
        )
