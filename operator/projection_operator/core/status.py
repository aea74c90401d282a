"""`status` of a Projection: a view of the registry and the cluster, never a truth of its own."""

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import Field

from projector.spec.base import Model

Int64 = Annotated[int, Field(json_schema_extra={"format": "int64"})]


class ConditionType(StrEnum):
    """Types of conditions, by the kstatus conventions where they have one."""

    READY = "Ready"
    RECONCILING = "Reconciling"
    STALLED = "Stalled"
    LAG_KNOWN = "LagKnown"
    DEGRADED = "Degraded"
    REBUILDING = "Rebuilding"
    APPROVAL_REQUIRED = "ApprovalRequired"
    HELD = "Held"


class Phase(StrEnum):
    """One word for people; derived from the conditions, never read."""

    PENDING = "Pending"
    REPLAYING = "Replaying"
    INDEXING = "Indexing"
    CATCHING_UP = "CatchingUp"
    AWAITING_APPROVAL = "AwaitingApproval"
    SWAPPING = "Swapping"
    ROLLING_BACK = "RollingBack"
    LIVE = "Live"
    SUSPENDED = "Suspended"
    STALLED = "Stalled"
    DEGRADED = "Degraded"
    DELETING = "Deleting"


class Condition(Model):
    """A condition as in metav1."""

    type: Annotated[str, Field(max_length=63)]
    status: Literal["True", "False", "Unknown"]
    reason: Annotated[str, Field(max_length=63, description="One word of a closed list.")]
    message: Annotated[str, Field(max_length=4096, description="What is so, and what to do.")]
    observed_generation: Annotated[Int64, Field(description="Generation of the spec that this was seen for.")]
    last_transition_time: Annotated[
        str, Field(description="When status last changed.", json_schema_extra={"format": "date-time"})
    ]


class Candidate(Model):
    """The build on its way to be live."""

    version: str
    build: Int64
    step: Annotated[str, Field(description="Replaying, Indexing, CatchingUp, AwaitingApproval or Swapping.")]
    percent: Annotated[
        int, Field(ge=0, le=100, description="How much of the replay is done; with Indexing, of the indexes.")
    ]
    events_per_second: Annotated[Int64 | None, Field(description="Rate of the last half minute.")] = None
    eta: Annotated[
        str | None, Field(description="When the replay ends at this rate.", json_schema_extra={"format": "date-time"})
    ] = None


class Retained(Model):
    """A build that was live and is kept."""

    version: str
    build: Int64
    fed: Annotated[bool, Field(description="Whether projectors keep it as far as the live one.")]
    until: Annotated[str, Field(description="When it is dropped.", json_schema_extra={"format": "date-time"})]


Lines = Annotated[tuple[Annotated[str, Field(max_length=1024)], ...], Field(max_length=256)]


class PlanStatus(Model):
    """What the change that is asked for will do. Told before anything is created."""

    hash: Annotated[str, Field(description="For promotion.approvedPlan; another plan has another.")]
    kind: Annotated[Literal["Replay", "Rollback"], Field(description="Rollback: a kept table is shown again.")]
    from_version: str
    from_build: Int64
    to_version: str
    events: Annotated[Int64, Field(description="Events to read.")]
    seconds: Annotated[Int64 | None, Field(description="At the rate of the live build's own replay.")] = None
    bytes: Annotated[Int64 | None, Field(description="Disk that is needed besides: the live table with indexes.")] = (
        None
    )
    creates: Annotated[Lines, Field(description="What will be created.")] = ()
    drops: Annotated[Lines, Field(description="What will be dropped, and when.")] = ()
    columns: Annotated[Lines, Field(description="+ added, - removed, ~ of another type.")] = ()
    dependents: Annotated[Lines, Field(description="Objects that read the public view.")] = ()
    grants: Annotated[Lines, Field(description="Rights on the public view; they are kept.")] = ()
    unmanaged: Annotated[
        Lines, Field(description="What others made on the live table, and the new one will lack.")
    ] = ()
    warnings: Lines = ()


class LagStatus(Model):
    """How far the live build, or else the candidate, is behind its log. Absent where it is not known."""

    events: Annotated[Int64, Field(description="Records not yet in the read model.")]
    seconds: Annotated[Int64 | None, Field(description="Age of the oldest of them; 0 when there is none.")] = None


class IndexStatus(Model):
    """A secondary index of the live build, or else of the candidate."""

    columns: Annotated[tuple[str, ...], Field(max_length=16)]
    method: str
    state: Annotated[
        Literal["Valid", "Building", "Missing", "Dropping"], Field(description="Only a valid one serves queries.")
    ]
    percent: Annotated[int | None, Field(ge=0, le=100, description="How much of it is made.")] = None
    message: Annotated[str | None, Field(description="Why it could not be made, in the server's words.")] = None


class ParkedStatus(Model):
    """What the live build, or else the candidate, keeps aside. Absent where it is not known."""

    keys: Annotated[Int64, Field(description="Keys that wait behind an event that could not be applied.")]


class Status(Model):
    """The whole of it."""

    observed_generation: Annotated[
        Int64 | None, Field(description="Generation of the spec that this was made from.")
    ] = None
    phase: Annotated[Phase | None, Field(description="Summary for people; programs read the conditions.")] = None
    live_version: Annotated[str | None, Field(description="Version that the public name shows.")] = None
    live_build: Annotated[Int64 | None, Field(description="Build that the public name shows.")] = None
    candidate: Candidate | None = None
    retained: Annotated[tuple[Retained, ...], Field(max_length=64)] = ()
    plan: PlanStatus | None = None
    lag: LagStatus | None = None
    parked: ParkedStatus | None = None
    indexes: Annotated[tuple[IndexStatus, ...], Field(max_length=64)] = ()
    replicas: Annotated[int | None, Field(description="Projector pods of the build in work.")] = None
    selector: Annotated[str | None, Field(description="Label selector of these pods.")] = None
    conditions: Annotated[tuple[Condition, ...], Field(max_length=16)] = ()

    def to_dict(self) -> dict[str, Any]:
        """As sent to the API server; what is not known is absent."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)
