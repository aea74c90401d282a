"""Port of the registry: the truth about projections and builds, kept in the target beside the rows.

Used by the operator and by `projector run -f`. Synchronous; every call is one short transaction that may be repeated.
Calls that change something take the operator's epoch and raise `Deposed` where another operator has raised it since,
and `WrongState` where the build is not in a state that allows the step. Repeating a step that was done succeeds.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from projector.fold.delta import Delta, Key, Upsert
from projector.indexes import Indexes
from projector.ports import Ends, Partition, Stuck
from projector.spec.definition import Definition
from projector.spec.models import Index


class BuildState(StrEnum):
    """Where a build stands. Replaying → CatchingUp → Live ⇄ Warm; Abandoned → Retired is the way out.

    A warm build was live and is still fed, so that readers can be given it back.
    """

    REPLAYING = "Replaying"
    CATCHING_UP = "CatchingUp"
    LIVE = "Live"
    WARM = "Warm"
    ABANDONED = "Abandoned"
    RETIRED = "Retired"


class Ending(StrEnum):
    """Why a build was given up."""

    ABORTED = "Aborted"
    """A person stopped it: not begun again."""
    REJECTED = "Rejected"
    """A check spoke against it: not begun again."""
    SUPERSEDED = "Superseded"
    """Another version or token was asked for."""
    EXPIRED = "Expired"
    """It was live once, and kept for as long as was asked."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a projection is, for ever: the installation (uid of kube-system), namespace and name."""

    installation: str
    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class PublicName:
    """The name that readers query."""

    schema: str
    table: str

    def __str__(self) -> str:
        return f"{self.schema}.{self.table}"


@dataclass(frozen=True, slots=True)
class CheckpointView:
    """A checkpoint as the registry has it. `start` and `replay_end` were fixed when the build began."""

    partition: Partition
    next_offset: int
    start: int
    replay_end: int
    event_time: datetime | None
    moved_at: datetime
    stuck: Stuck | None


@dataclass(frozen=True, slots=True)
class BuildView:
    """A build as the registry has it. `token` is the rebuildToken that it was begun under.

    `parked_keys` counts the row keys whose events wait because one of them could not be applied. `changed_at` is when
    the state last changed, `replayed_at` when catching up was opened (None: not yet, or not known). `ending` is there
    once it was given up.
    """

    number: int
    version: str
    token: str
    state: BuildState
    epoch: int
    definition: Definition
    fingerprint: str
    table: str
    created_at: datetime
    published_at: datetime | None
    reason: str
    checkpoints: tuple[CheckpointView, ...]
    worker_role: str
    changed_at: datetime
    consumer_group: str
    replayed_at: datetime | None = None
    ending: Ending | None = None
    parked_keys: int = 0
    indexes: Indexes = field(default_factory=Indexes)


@dataclass(frozen=True, slots=True)
class EndedBuild:
    """A build that was given up, whether or not something is left of it."""

    number: int
    version: str
    token: str
    ending: Ending
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True)
class ProjectionView:
    """A projection as the registry has it.

    `builds` are those that are not retired, newest last; `ended` the last that were given up, newest first.
    """

    identity: Identity
    resource_uid: str
    public_name: PublicName
    live_build: int | None
    builds: tuple[BuildView, ...]
    ended: tuple[EndedBuild, ...] = ()


@dataclass(frozen=True, slots=True)
class Unmanaged:
    """What others made on a build's table (or the view), and a new one would lack. `ddl` makes it again."""

    kind: str
    name: str
    ddl: str


@dataclass(frozen=True, slots=True)
class Survey:
    """What a swap would meet. `rows` and `total_bytes` (with indexes) of the live table are the server's estimates.

    `dependents` are objects that read the public view (`view app.totals`), `grants` rights on it (`SELECT to web`).
    `blind`: what the role lacks to see other roles' transactions, as `GRANT ...`; empty where it sees them.
    """

    rows: int
    total_bytes: int
    dependents: tuple[str, ...]
    grants: tuple[str, ...]
    unmanaged: tuple[Unmanaged, ...]
    blind: str = ""


@dataclass(frozen=True, slots=True)
class SwapTerms:
    """How long a swap may hold others up.

    The live build's workers stand still for at most `gate_ms`, and readers for `view_ms`. `wait_for_snapshots`: not
    while a transaction is open whose next statement would look at the new build as it was some time ago. `ungated`:
    partitions of the live build that the log has lost, which no other build can pass.
    """

    gate_ms: int = 300
    view_ms: int = 20
    wait_for_snapshots: bool = True
    ungated: frozenset[Partition] = frozenset()


@dataclass(frozen=True, slots=True)
class ParkedKey:
    """A row key with waiting events. `text` is the key as a JSON array; `reason` is why its first event waits."""

    build: int
    partition: Partition
    text: str
    events: int
    first_offset: int
    reason: str
    since: datetime


@dataclass(frozen=True, slots=True)
class ParkedRecord:
    """A record of the log as it was kept; satisfies `projector.ports.Record`. `reason` is empty where it only waits."""

    reason: str
    parked_at: datetime
    of_topic: str
    of_partition: int
    at_offset: int
    of_time: tuple[int, int]
    key_bytes: bytes | None
    value_bytes: bytes | None
    header_list: tuple[tuple[str, bytes | None], ...]

    def topic(self) -> str:
        """Name of the topic."""
        return self.of_topic

    def partition(self) -> int:
        """Number of the partition."""
        return self.of_partition

    def offset(self) -> int:
        """Offset within the partition."""
        return self.at_offset

    def timestamp(self) -> tuple[int, int]:
        """(kind, milliseconds since the epoch)."""
        return self.of_time

    def key(self) -> bytes | None:
        """Record key."""
        return self.key_bytes

    def value(self) -> bytes | None:
        """Record value; None is a tombstone."""
        return self.value_bytes

    def headers(self) -> list[tuple[str, bytes | None]]:
        """Headers in the order of the producer."""
        return list(self.header_list)


@dataclass(frozen=True, slots=True)
class Waiting:
    """All events of a parked key in the order of the log, as they were read.

    `exists`: whether the row is there. `discarded`: offsets that someone decided to pass over.
    """

    parked: ParkedKey
    key: Key
    generation: int
    records: tuple[ParkedRecord, ...]
    exists: bool
    discarded: frozenset[int]


class RegistryError(Exception):
    """Base of what the registry refuses; the text is for the user."""


class Deposed(RegistryError):
    """Another operator took leadership of this registry; do nothing more here."""


class ForeignRegistry(RegistryError):
    """The registry belongs to another installation. `owner` is its id, for the take-over annotation."""

    def __init__(self, owner: str) -> None:
        self.owner = owner
        super().__init__(f"the registry in this database belongs to installation {owner}")


class TargetTaken(RegistryError):
    """The public name is something else's: another projection's, or an object that is not ours."""


class WrongState(RegistryError):
    """The build is not in a state that allows this step."""


class SwapWaiting(RegistryError):
    """Somebody holds the swap up, or the build is not as far as the live one; nothing was changed. Try again."""


class ParkedChanged(RegistryError):
    """What is parked under the key is not what was read; read it again."""


class NotPermitted(RegistryError):
    """The role lacks a right; the text names it."""


class Parking(Protocol):
    """What people do with parked events. Outages raise `projector.ports.StoreUnavailable`."""

    def keys(self, identity: Identity) -> Sequence[ParkedKey]:
        """Parked keys of all builds that are not given up, in the order in which they were parked."""
        ...

    def read(self, parked: ParkedKey) -> Waiting:
        """The events of a key. Raises ParkedChanged where it is not parked any more."""
        ...

    def replay(self, waiting: Waiting, delta: Upsert | Delta | None, staying: Sequence[tuple[int, str]]) -> None:
        """Apply what the key's events come to, and keep only those that stay (offset and reason).

        Raises ParkedChanged where the key is not as it was read, BadRow where the row does not fit.
        """
        ...

    def discard(self, waiting: Waiting, offsets: Collection[int], reason: str) -> None:
        """Pass over some of the key's events, in this build and all later ones. Raises ParkedChanged."""
        ...

    def close(self) -> None:
        """Release connections."""
        ...


class Registry(Protocol):
    """Acts on one database, for one installation. Outages raise `projector.ports.StoreUnavailable`."""

    def take_leadership(self, holder: str, take_over: str | None = None) -> int:
        """Install or migrate the registry, raise the operator's epoch and return it.

        Raises ForeignRegistry unless the registry is new, ours, or its owner's id is given as `take_over`.
        """
        ...

    def observe(self, identity: Identity) -> ProjectionView | None:
        """The projection, or None where the registry (or the projection in it) does not exist. One round trip."""
        ...

    def claim(self, epoch: int, identity: Identity, resource_uid: str, public_name: PublicName) -> None:
        """Register the projection and its public name, or adopt it for a new `resource_uid`. Raises TargetTaken."""
        ...

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
        """Create a build with its table, its checkpoints and the worker role's rights; return its number."""
        ...

    def admit_partitions(self, epoch: int, build: int, partitions: Collection[Partition]) -> None:
        """Let a build read partitions that were added to its topics, from offset 0; its replay's end stays as it is."""
        ...

    def admit_worker(self, epoch: int, build: int, worker_role: str) -> None:
        """Make a build another worker role's, with all rights; the former one can change nothing in it any more."""
        ...

    def build_indexes(
        self, epoch: int, build: int, wanted: Sequence[Index], needless: Sequence[Index], *, analyze: bool
    ) -> None:
        """Make and drop indexes, then the table's statistics. Takes its time: not for a thread that others wait for.

        At once where another session is at it. An index that cannot be made is no error: `observe` has the failure.
        """
        ...

    def open_catch_up(self, epoch: int, build: int) -> None:
        """Replaying → CatchingUp. WrongState while an index is being made, which at that state writers wait for."""
        ...

    def publish(self, epoch: int, build: int) -> None:
        """CatchingUp → Live for a first build: create the public view over its table. Raises TargetTaken."""
        ...

    def swap(self, epoch: int, build: int, terms: SwapTerms) -> None:
        """Show a build that catches up or is warm under the public name; the live one becomes warm.

        Readers do not go back: the build is as far as the live one in every partition when this happens. Raises
        SwapWaiting, or WrongState where it is not to be done: objects depend on columns that change, or the build has
        parked what the live one has not.
        """
        ...

    def survey(self, identity: Identity) -> Survey | None:
        """What a swap would meet; None where nothing is live."""
        ...

    def abandon(self, epoch: int, build: int, ending: Ending, reason: str) -> None:
        """Give a build up: its workers are fenced from this moment. Not for the live build."""
        ...

    def retire(self, epoch: int, build: int) -> None:
        """Abandoned → Retired: drop the table and the checkpoints; the row and the history stay."""
        ...

    def delete(self, epoch: int, identity: Identity) -> None:
        """Drop view, tables and all entries of a projection (deletionPolicy: Delete)."""
        ...

    def discard(self, partition: Partition, offset: int, identity: Identity, reason: str) -> None:
        """Record that an event is to be passed over, by this and later builds. No epoch: a person decides."""
        ...

    def close(self) -> None:
        """Release connections."""
        ...
