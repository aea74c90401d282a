"""Actions as values. Each may be repeated without harm; none is taken for done before it was observed."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from projector.ports import Ends, Partition
from projector.registry import Ending, PublicName, SwapTerms
from projector.spec.definition import Definition
from projector.spec.models import Index


@dataclass(frozen=True, slots=True)
class EnsureDeployment:
    """Make the Deployment of a build look like `manifest`."""

    build: int
    manifest: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RemoveDeployment:
    """Delete a Deployment of ours."""

    name: str


@dataclass(frozen=True, slots=True)
class Claim:
    """Register the projection and its public name, or adopt it."""

    public_name: PublicName


@dataclass(frozen=True, slots=True)
class BeginBuild:
    """Create a build: table, checkpoints, rights of the workers' role."""

    version: str
    token: str
    definition: Definition
    partitions: Mapping[Partition, Ends]
    worker_role: str


@dataclass(frozen=True, slots=True)
class AdmitPartitions:
    """Let a build read partitions that were added to its topics."""

    build: int
    partitions: tuple[Partition, ...]


@dataclass(frozen=True, slots=True)
class AdmitWorker:
    """Hand a build over to the role that the workers log in as now."""

    build: int
    worker_role: str


@dataclass(frozen=True, slots=True)
class BuildIndexes:
    """Begin to make and drop indexes of a build, and its statistics after them; nothing waits for the end of that.

    `in_use`: its table is written, so that transactions of others may hold that up for long.
    """

    build: int
    in_use: bool
    wanted: tuple[Index, ...]
    needless: tuple[Index, ...]
    analyze: bool


@dataclass(frozen=True, slots=True)
class OpenCatchUp:
    """Let a build that has replayed everything follow the log."""

    build: int


@dataclass(frozen=True, slots=True)
class Publish:
    """Show a first build under the public name."""

    build: int


@dataclass(frozen=True, slots=True)
class Swap:
    """Show a build under the public name in the place of the live one, which stays warm."""

    build: int
    terms: SwapTerms


@dataclass(frozen=True, slots=True)
class Abandon:
    """Give a build up; its workers are fenced from then on."""

    build: int
    ending: Ending
    reason: str


@dataclass(frozen=True, slots=True)
class RemoveGroup:
    """Let Kafka forget the consumer group of a build that was given up."""

    servers: tuple[str, ...]
    group: str


@dataclass(frozen=True, slots=True)
class Retire:
    """Drop what an abandoned build left."""

    build: int


@dataclass(frozen=True, slots=True)
class DeleteProjection:
    """Drop view, tables and registry entries."""


@dataclass(frozen=True, slots=True)
class AddFinalizer:
    """Let deletion wait for `DeleteProjection`."""


@dataclass(frozen=True, slots=True)
class RemoveFinalizer:
    """Let deletion go on."""


@dataclass(frozen=True, slots=True)
class ApplyRecord:
    """Write the status of a build's record, and before that the record itself where it is not there (`manifest`)."""

    name: str
    manifest: Mapping[str, Any] | None
    status: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RemoveRecord:
    """Delete a record."""

    name: str


BuildAction = AdmitPartitions | AdmitWorker | OpenCatchUp | Publish | Swap | Abandon | Retire
RegistryAction = Claim | BeginBuild | BuildAction | BuildIndexes | DeleteProjection
ClusterAction = EnsureDeployment | RemoveDeployment | AddFinalizer | RemoveFinalizer
Action = RegistryAction | ClusterAction | RemoveGroup
RecordAction = ApplyRecord | RemoveRecord
"""Done after everything else: records are for people, and nothing waits for them."""
