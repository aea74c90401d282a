"""`ProjectionRebuild`: spec and status of the record of one run of a build. For people; no decision reads it."""

from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field

from projection_operator.core.status import Int64
from projector.spec.base import Model

MESSAGE_LIMIT = 4096

Time = {"format": "date-time"}


class End(StrEnum):
    """Steps of a run that is over; before that it has those of `status.candidate`."""

    LIVE = "Live"
    REPLACED = "Replaced"
    ROLLED_BACK = "RolledBack"
    RETIRED = "Retired"
    ABORTED = "Aborted"
    REJECTED = "Rejected"
    SUPERSEDED = "Superseded"


class RecordSpec(Model):
    """What was built. It never changes."""

    projection: Annotated[str, Field(max_length=253, description="Name of the Projection.")]
    version: Annotated[str, Field(max_length=40, description="spec.version that was asked for.")]
    build: Annotated[Int64, Field(description="Number of the build; table, Deployment and consumer group carry it.")]
    rebuild_token: Annotated[str, Field(max_length=100, description="spec.rebuildToken that was asked for.")] = ""
    from_version: Annotated[
        str | None,
        Field(max_length=40, description="Version that was live. Absent where none was, or where it is not known."),
    ] = None
    from_build: Annotated[Int64 | None, Field(description="Build that was live; absent as fromVersion is.")] = None
    plan: Annotated[
        str | None, Field(max_length=64, description="status.plan.hash that it was begun under; absent likewise.")
    ] = None

    def to_dict(self) -> dict[str, Any]:
        """As sent to the API server; what is not known is absent."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


class RecordStatus(Model):
    """How the run went. A view of the registry, like that of a Projection."""

    step: Annotated[
        str,
        Field(
            max_length=63,
            description="On the way as status.candidate.step. Then Live; Replaced (another took its place, its table "
            "is kept), RolledBack (an older one took its place) and Retired (its table is gone); or Aborted, Rejected "
            "or Superseded, where it was never shown.",
        ),
    ]
    percent: Annotated[int | None, Field(ge=0, le=100, description="How much of the replay is done.")] = None
    events: Annotated[Int64 | None, Field(description="Events of the replay: from the log's start to its end.")] = None
    started_at: Annotated[str | None, Field(description="When it was begun.", json_schema_extra=Time)] = None
    finished_at: Annotated[
        str | None, Field(description="When it was first shown to readers, or given up.", json_schema_extra=Time)
    ] = None
    message: Annotated[str, Field(max_length=MESSAGE_LIMIT, description="What is so, and why.")] = ""

    def to_dict(self) -> dict[str, Any]:
        """As sent to the API server; what is not known is absent."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)
