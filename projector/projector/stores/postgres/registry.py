"""The registry in PostgreSQL: schema `projections` of the target database.

Every act is one transaction that first holds the operator's row in share mode under its epoch: whoever takes leadership
updates that row, so an act of a deposed operator either ends before the take-over or does not begin.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TypeVar

from psycopg import Cursor, errors

from projector.ports import Ends, Partition
from projector.registry import (
    Deposed,
    Ending,
    ForeignRegistry,
    Identity,
    ProjectionView,
    PublicName,
    RegistryError,
    Survey,
    SwapTerms,
)
from projector.spec.definition import Definition
from projector.spec.models import Index
from projector.stores.postgres import builds, claims, indexing, migrate, observe, survey, swapping
from projector.stores.postgres.history import record
from projector.stores.postgres.session import Session

T = TypeVar("T")

_LEADS = "SELECT FROM projections.operator WHERE epoch = %s AND installation = %s FOR SHARE"
_OWNER = "SELECT installation FROM projections.operator FOR UPDATE"
_FIRST = "INSERT INTO projections.operator (installation, epoch, holder) VALUES (%s, 1, %s) RETURNING epoch"
_NEXT = """
UPDATE projections.operator SET epoch = epoch + 1, installation = %s, holder = %s, taken_at = now() RETURNING epoch
"""
_DISCARD = """
INSERT INTO projections.discarded (projection, topic, topic_id, partition, "offset", reason)
SELECT id, %(topic)s, %(topic_id)s, %(partition)s, %(offset)s, %(reason)s FROM projections.projection
WHERE installation = %(installation)s AND namespace = %(namespace)s AND name = %(name)s
ON CONFLICT (projection, topic_id, partition, "offset") DO UPDATE SET reason = discarded.reason
RETURNING projection
"""


class PostgresRegistry:
    """`projector.registry.Registry` on the database that `uri` names, for one installation.

    Calls may come from several threads. Besides what the port says, calls raise `StoreUnavailable` for whatever passes
    by itself or by mending the Secret, and `NotPermitted`; no text holds the URI's password.
    """

    def __init__(self, uri: str, installation: str) -> None:
        self._uri, self._installation = uri, installation
        self._session = Session(uri, application="projection operator")

    def take_leadership(self, holder: str, take_over: str | None = None) -> int:
        """Install or migrate the registry, raise the operator's epoch and return it."""
        return self._session.run(lambda cursor: self._take(cursor, holder, take_over))

    def observe(self, identity: Identity) -> ProjectionView | None:
        """The projection, or None where the registry (or the projection in it) does not exist."""
        try:
            return self._session.run(lambda cursor: _present(lambda: observe.projection(cursor, identity)))
        except _NoRegistry:
            return None

    def survey(self, identity: Identity) -> Survey | None:
        """What a swap would meet; None where nothing is live."""
        try:
            return self._session.run(lambda cursor: _present(lambda: survey.survey(cursor, identity)))
        except _NoRegistry:
            return None

    def claim(self, epoch: int, identity: Identity, resource_uid: str, public_name: PublicName) -> None:
        """Register the projection and its public name, or adopt it for a new `resource_uid`."""
        self._act(epoch, lambda cursor: claims.claim(cursor, identity, resource_uid, public_name))

    def begin(
        self,
        epoch: int,
        identity: Identity,
        version: str,
        token: str,
        definition: Definition,
        partitions: Mapping[Partition, Ends],
        worker_role: str,
    ) -> int:
        """Create a build; the number of the one that is there already for this version and token."""
        wish = builds.Wish(version, token, definition, partitions, worker_role)
        return self._act(epoch, lambda cursor: builds.begin(cursor, identity, wish))

    def admit_partitions(self, epoch: int, build: int, partitions: Collection[Partition]) -> None:
        """Checkpoints at offset 0 for partitions that were added."""
        self._act(epoch, lambda cursor: builds.admit_partitions(cursor, build, partitions))

    def admit_worker(self, epoch: int, build: int, worker_role: str) -> None:
        """Build, checkpoints and what is parked become another role's."""
        self._act(epoch, lambda cursor: builds.admit_worker(cursor, build, worker_role))

    def build_indexes(
        self, epoch: int, build: int, wanted: Sequence[Index], needless: Sequence[Index], *, analyze: bool
    ) -> None:
        """In a session of its own, without a limit of time; other calls do not wait for it."""
        wish = indexing.Wish(build, wanted, needless, analyze)
        indexing.build_indexes(self._uri, wish, lambda cursor: self._lead(cursor, epoch))

    def open_catch_up(self, epoch: int, build: int) -> None:
        """Replaying → CatchingUp."""
        self._act(epoch, lambda cursor: builds.open_catch_up(cursor, build))

    def publish(self, epoch: int, build: int) -> None:
        """CatchingUp → Live for a first build."""
        self._act(epoch, lambda cursor: builds.publish(cursor, build))

    def swap(self, epoch: int, build: int, terms: SwapTerms) -> None:
        """CatchingUp or Warm → Live, Live → Warm; one statement that commits by itself."""
        swapping.swap(self._session, self._installation, epoch, build, terms)

    def abandon(self, epoch: int, build: int, ending: Ending, reason: str) -> None:
        """Give a build up; its workers are fenced when this returns."""
        self._act(epoch, lambda cursor: builds.abandon(cursor, build, ending, reason))

    def retire(self, epoch: int, build: int) -> None:
        """Abandoned → Retired."""
        self._act(epoch, lambda cursor: builds.retire(cursor, build))

    def delete(self, epoch: int, identity: Identity) -> None:
        """Drop view, tables and all entries of a projection."""
        self._act(epoch, lambda cursor: claims.delete(cursor, identity))

    def discard(self, partition: Partition, offset: int, identity: Identity, reason: str) -> None:
        """Record that an event is to be passed over; the first reason given stays."""
        self._session.run(lambda cursor: _discard(cursor, partition, offset, identity, reason))

    def close(self) -> None:
        """Release the connection."""
        self._session.close()

    def _act(self, epoch: int, act: Callable[[Cursor], T]) -> T:
        def led(cursor: Cursor) -> T:
            self._lead(cursor, epoch)
            return act(cursor)

        return self._session.run(led)

    def _lead(self, cursor: Cursor, epoch: int) -> None:
        """Hold the operator's row; Deposed where the epoch is another."""
        try:
            cursor.execute(_LEADS, (epoch, self._installation))
        except (errors.UndefinedTable, errors.InvalidSchemaName):
            raise Deposed("the registry is not there any more") from None
        if cursor.fetchone() is None:
            raise Deposed(f"another operator leads this registry since epoch {epoch}")

    def _take(self, cursor: Cursor, holder: str, take_over: str | None) -> int:
        migrate.lock(cursor)
        owner = _owner(cursor)
        if owner not in {None, self._installation, take_over}:
            raise ForeignRegistry(str(owner))
        migrate.migrate(cursor)
        if owner is None:
            cursor.execute(_FIRST, (self._installation, holder))
        else:
            cursor.execute(_NEXT, (self._installation, holder))
        (epoch,) = cursor.fetchone() or (0,)
        if owner not in {None, self._installation}:
            claims.rename_installation(cursor, str(owner), self._installation)
        record(cursor, self._installation, "LeadershipTaken", f"epoch {epoch}, by {holder}")
        return int(epoch)


class _NoRegistry(Exception):
    """The schema is not installed."""


def _present(look: Callable[[], T]) -> T:
    try:
        return look()
    except (errors.UndefinedTable, errors.InvalidSchemaName) as error:
        # A registry that an older release made is there, and what it says must not be taken for nothing.
        if "parked_key" in str(error):
            raise RegistryError(
                "the registry in this database is of an older release, its operator updates it"
            ) from None
        raise _NoRegistry from None


def _owner(cursor: Cursor) -> str | None:
    row = cursor.execute("SELECT to_regclass('projections.operator') IS NOT NULL").fetchone()
    if row is None or not row[0]:
        return None
    row = cursor.execute(_OWNER).fetchone()
    return None if row is None else str(row[0])


def _discard(cursor: Cursor, partition: Partition, offset: int, identity: Identity, reason: str) -> None:
    values = {
        "topic": partition.topic,
        "topic_id": partition.topic_id,
        "partition": partition.number,
        "offset": offset,
        "reason": reason,
        "installation": identity.installation,
        "namespace": identity.namespace,
        "name": identity.name,
    }
    try:
        cursor.execute(_DISCARD, values)
    except (errors.UndefinedTable, errors.InvalidSchemaName):
        raise RegistryError("there is no registry in this database") from None
    if cursor.fetchone() is None:
        raise RegistryError(f"there is no projection {identity.namespace}/{identity.name} in this registry")
    where = f"{partition.topic}-{partition.number} offset {offset}: {reason}"
    record(cursor, identity.installation, "EventDiscarded", where, identity)
