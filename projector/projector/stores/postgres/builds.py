"""Builds in the registry: their steps, and what a worker has to know of one."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from psycopg import Cursor, errors

from projector.fold import SEMANTICS
from projector.ports import Ends, Partition
from projector.registry import BuildState, Ending, Identity, RegistryError, TargetTaken, WrongState
from projector.spec.definition import Definition
from projector.stores.postgres import indexing
from projector.stores.postgres.claims import drop, relation_kind
from projector.stores.postgres.definitions import create_table, create_view, parse
from projector.stores.postgres.grants import grant_worker
from projector.stores.postgres.history import record_build
from projector.stores.postgres.session import Session

_PROJECTION = """
SELECT id, public_schema, public_name FROM projections.projection
WHERE installation = %s AND namespace = %s AND name = %s FOR UPDATE
"""
_SAME = """
SELECT number, fingerprint FROM projections.build
WHERE projection = %s AND version = %s AND token = %s AND state IN ('Replaying', 'CatchingUp', 'Live', 'Warm')
"""
_NUMBER = "SELECT nextval('projections.build_number')"
_INSERT = """
INSERT INTO projections.build (number, projection, version, token, state, epoch, definition, fingerprint, semantics,
    consumer_group, worker_role, table_schema, table_name)
VALUES (%s, %s, %s, %s, 'Replaying', 1, %s, %s, %s, %s, %s, %s, %s)
"""
_CHECKPOINT = """
INSERT INTO projections.checkpoint
    (build, topic, topic_id, partition, start_offset, replay_end, next_offset, epoch, worker_role)
VALUES (%s, %s, %s, %s, %s, %s, %s, 1, %s)
"""
_ADMIT = """
INSERT INTO projections.checkpoint
    (build, topic, topic_id, partition, start_offset, replay_end, next_offset, epoch, worker_role)
SELECT b.number, %(topic)s, %(id)s, %(partition)s, 0, 0, 0, b.epoch, b.worker_role FROM projections.build b
WHERE b.number = %(build)s AND NOT EXISTS (
    SELECT FROM projections.checkpoint c
    WHERE c.build = b.number AND c.topic_id = %(id)s AND c.partition = %(partition)s
)
RETURNING partition
"""
_ROLE_OF_BUILD = (
    "UPDATE projections.build SET worker_role = %s WHERE number = %s AND worker_role <> %s RETURNING number"
)
_ROLE_OF_PARTS = (
    "UPDATE projections.checkpoint SET worker_role = %s WHERE build = %s",
    "UPDATE projections.parked_key SET worker_role = %s WHERE build = %s",
    "UPDATE projections.parked_event SET worker_role = %s WHERE build = %s",
)
_STATE = """
SELECT b.state, b.table_schema, b.table_name, b.definition, p.id, p.public_schema, p.public_name, p.live_build
FROM projections.build b JOIN projections.projection p ON p.id = b.projection
WHERE b.number = %s FOR UPDATE
"""
_SET_STATE = "UPDATE projections.build SET state = %s, changed_at = now() WHERE number = %s"
_REPLAYED = "UPDATE projections.build SET replayed_at = now() WHERE number = %s"
_PUBLISHED = "UPDATE projections.build SET published_at = now() WHERE number = %s"
_LIVE = "UPDATE projections.projection SET live_build = %s WHERE id = %s"
_END = "UPDATE projections.build SET epoch = epoch + 1, ending = %s, reason = %s, ended_at = now() WHERE number = %s"
_FENCE = "UPDATE projections.checkpoint SET epoch = epoch + 1 WHERE build = %s"
_SPEC = """
SELECT b.epoch, b.state, b.definition, b.consumer_group, b.worker_role::text, current_user::text, b.table_schema,
    b.table_name, array_agg(c.topic), array_agg(c.topic_id), array_agg(c.partition)
FROM projections.build b LEFT JOIN projections.checkpoint c ON c.build = b.number
WHERE b.number = %s GROUP BY b.number
"""


@dataclass(frozen=True, slots=True)
class Wish:
    """What `begin` is to make."""

    version: str
    token: str
    definition: Definition
    partitions: Mapping[Partition, Ends]
    worker_role: str


@dataclass(frozen=True, slots=True)
class BuildSpec:
    """What a worker has to know of its build. `partitions` are those that the build was begun on."""

    build: int
    epoch: int
    state: BuildState
    definition: Definition
    consumer_group: str
    schema: str
    table: str
    partitions: frozenset[Partition]


class NoSuchBuild(RegistryError):
    """The database has no registry, or the registry no such build, or the build is another role's."""


@dataclass(frozen=True, slots=True)
class _Build:
    state: BuildState
    table_schema: str
    table_name: str
    definition: str
    projection: int
    public_schema: str
    public_name: str
    live_build: int | None


def begin(cursor: Cursor, identity: Identity, wish: Wish) -> int:
    """Create build, table, checkpoints and rights; or find the one that was begun before an answer got lost."""
    row = cursor.execute(_PROJECTION, (identity.installation, identity.namespace, identity.name)).fetchone()
    if row is None:
        raise WrongState(f"projection {identity.namespace}/{identity.name} is not registered")
    projection, schema, name = row
    same = cursor.execute(_SAME, (projection, wish.version, wish.token)).fetchone()
    if same is not None:
        return _already(same[0], same[1], wish)
    (number,) = cursor.execute(_NUMBER).fetchone() or (0,)
    table = f"{name}__b{number}"
    group = f"projections.{identity.installation[:8]}.{identity.namespace}.{identity.name}.b{number}"
    _insert(cursor, number, projection, wish, group, schema, table)
    _create(cursor, schema, table, wish)
    record_build(cursor, number, "Begun", f"version {wish.version}, table {schema}.{table}")
    return int(number)


def _already(number: int, fingerprint: str, wish: Wish) -> int:
    if fingerprint != wish.definition.fingerprint:
        raise WrongState(f"version {wish.version} is build {number}, of another definition; choose another version")
    return number


def _insert(cursor: Cursor, number: int, projection: int, wish: Wish, group: str, schema: str, table: str) -> None:
    definition = wish.definition
    what = (number, projection, wish.version, wish.token, definition.canonical, definition.fingerprint, SEMANTICS)
    cursor.execute(_INSERT, (*what, group, wish.worker_role, schema, table))
    cursor.executemany(
        _CHECKPOINT,
        [
            (number, p.topic, p.topic_id, p.number, ends.start, ends.end, ends.start, wish.worker_role)
            for p, ends in sorted(wish.partitions.items())
        ],
    )


def _create(cursor: Cursor, schema: str, table: str, wish: Wish) -> None:
    if len(table.encode()) > 63:  # noqa: PLR2004 - PostgreSQL cuts longer names without a word
        raise RegistryError(f"the table name {table} is longer than PostgreSQL's 63 bytes")
    try:
        cursor.execute(create_table(schema, table, wish.definition))
    except errors.DuplicateTable:
        raise TargetTaken(f"{schema}.{table} is a table that is not managed here") from None
    grant_worker(cursor, wish.worker_role, schema, table)


def open_catch_up(cursor: Cursor, build: int) -> None:
    """Replaying → CatchingUp."""
    indexing.undisturbed(cursor, build)
    found = _get(cursor, build)
    if found.state in {BuildState.CATCHING_UP, BuildState.LIVE, BuildState.WARM}:
        return
    _require(build, found, BuildState.REPLAYING)
    cursor.execute(_SET_STATE, (BuildState.CATCHING_UP, build))
    cursor.execute(_REPLAYED, (build,))
    record_build(cursor, build, "CatchUpOpened")


def admit_partitions(cursor: Cursor, build: int, partitions: Collection[Partition]) -> None:
    """Add checkpoints at offset 0 for partitions that have none.

    At 0 and not at the partition's start: where retention was faster than we are, that is to be seen.
    """
    _require_kept(build, _get(cursor, build))
    for partition in sorted(partitions):
        lane = {"topic": partition.topic, "id": partition.topic_id, "partition": partition.number}
        cursor.execute(_ADMIT, {**lane, "build": build})
        if cursor.fetchone() is not None:
            record_build(cursor, build, "PartitionAdmitted", f"{partition.topic}/{partition.number}")


def admit_worker(cursor: Cursor, build: int, worker_role: str) -> None:
    """Hand the build over to another role."""
    found = _get(cursor, build)
    _require_kept(build, found)
    grant_worker(cursor, worker_role, found.table_schema, found.table_name)
    if cursor.execute(_ROLE_OF_BUILD, (worker_role, build, worker_role)).fetchone() is None:
        return
    for statement in _ROLE_OF_PARTS:
        cursor.execute(statement, (worker_role, build))
    record_build(cursor, build, "WorkerAdmitted", worker_role)


def _require_kept(build: int, found: _Build) -> None:
    if found.state in {BuildState.ABANDONED, BuildState.RETIRED}:
        raise WrongState(f"build {build} is {found.state}")


def publish(cursor: Cursor, build: int) -> None:
    """CatchingUp → Live where nothing is live yet; creates the public view."""
    found = _get(cursor, build)
    if found.state is BuildState.LIVE:
        return
    _require(build, found, BuildState.CATCHING_UP)
    if found.live_build is not None:
        raise WrongState(f"build {found.live_build} is live")
    _show(cursor, found)
    cursor.execute(_SET_STATE, (BuildState.LIVE, build))
    cursor.execute(_PUBLISHED, (build,))
    cursor.execute(_LIVE, (build, found.projection))
    record_build(cursor, build, "Published", f"{found.public_schema}.{found.public_name}")


def _show(cursor: Cursor, found: _Build) -> None:
    public = f"{found.public_schema}.{found.public_name}"
    if relation_kind(cursor, found.public_schema, found.public_name) is not None:
        raise TargetTaken(f"{public} is a table that is not managed here")
    table = (found.table_schema, found.table_name)
    try:
        cursor.execute(create_view(found.public_schema, found.public_name, *table, parse(found.definition)))
    except errors.DuplicateTable:
        raise TargetTaken(f"{public} is a table that is not managed here") from None


def abandon(cursor: Cursor, build: int, ending: Ending, reason: str) -> None:
    """Raise the epoch of the build and its checkpoints, so that no transaction of its workers ends after this one.

    The first ending and reason stay.
    """
    found = _get(cursor, build)
    if found.state in {BuildState.ABANDONED, BuildState.RETIRED}:
        return
    if found.live_build == build:
        raise WrongState(f"build {build} is live")
    cursor.execute(_END, (ending, reason, build))
    cursor.execute(_FENCE, (build,))
    indexing.stop(cursor, build)
    cursor.execute(_SET_STATE, (BuildState.ABANDONED, build))
    record_build(cursor, build, ending, reason)


def retire(cursor: Cursor, build: int) -> None:
    """Abandoned → Retired: table, checkpoints and parked events go."""
    found = _get(cursor, build)
    if found.state is BuildState.RETIRED:
        return
    _require(build, found, BuildState.ABANDONED)
    indexing.stop(cursor, build)
    drop(cursor, "TABLE", found.table_schema, found.table_name)
    cursor.execute("DELETE FROM projections.checkpoint WHERE build = %s", (build,))
    cursor.execute("DELETE FROM projections.parked_key WHERE build = %s", (build,))
    cursor.execute(_SET_STATE, (BuildState.RETIRED, build))
    record_build(cursor, build, "Retired", f"{found.table_schema}.{found.table_name}")


def _get(cursor: Cursor, build: int) -> _Build:
    row = cursor.execute(_STATE, (build,)).fetchone()
    if row is None:
        raise WrongState(f"there is no build {build}")
    return _Build(BuildState(row[0]), *row[1:])


def _require(build: int, found: _Build, state: BuildState) -> None:
    if found.state is not state:
        raise WrongState(f"build {build} is {found.state}, not {state}")


def load_build(uri: str, build: int) -> BuildSpec:
    """Read a build for its worker.

    Raises NoSuchBuild with words for the user, StoreUnavailable, NotPermitted.
    """
    session = Session(uri, application=f"projector b{build}")
    try:
        return session.run(lambda cursor: _spec(cursor, build))
    finally:
        session.close()


def _spec(cursor: Cursor, build: int) -> BuildSpec:
    try:
        row = cursor.execute(_SPEC, (build,)).fetchone()
    except (errors.UndefinedTable, errors.InvalidSchemaName):
        raise NoSuchBuild("there is no registry in this database") from None
    if row is None:
        raise NoSuchBuild(f"the registry in this database has no build {build}")
    epoch, state, definition, group, owner, role, schema, table, topics, ids, numbers = row
    partitions = frozenset(
        Partition(topic, topic_id, number)
        for topic, topic_id, number in zip(topics, ids, numbers, strict=True)
        if topic is not None
    )
    if not partitions and owner != role and state != BuildState.RETIRED:
        raise NoSuchBuild(f"build {build} was begun for role {owner}, but the worker logs in as {role}")
    return BuildSpec(build, epoch, BuildState(state), parse(definition), group, schema, table, partitions)
