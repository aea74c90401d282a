"""What a pass saw. Each part is a value or `Unknown`; unknown is not zero, and not missing."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from projection_operator.core.reasons import Reason
from projector.ports import Ends, Partition
from projector.registry import ProjectionView, Survey
from projector.spec.definition import Definition
from projector.spec.models import ProjectionSpec
from projector.spec.problems import Problem

FINALIZER = "projections.dev/cleanup"
TAKE_OVER = "projections.dev/take-over"
"""Annotation whose value is the id of the installation whose registry is to be taken over."""

HOLD_VERSION = "projections.dev/hold-version"
"""Annotation whose value is the version to serve whatever the spec says: for emergencies, without Git."""

Topics = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Unknown:
    """Something could not be read (or done). `message` names the field and what is wrong, without advice."""

    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class Resource:
    """The Projection as the API server has it."""

    namespace: str
    name: str
    uid: str
    generation: int
    deleting: bool
    finalizers: tuple[str, ...]
    annotations: Mapping[str, str]
    delete_target: bool
    status: Mapping[str, Any]

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> "Resource":
        """From the object's dictionary."""
        meta = body["metadata"]
        return cls(
            namespace=meta["namespace"],
            name=meta["name"],
            uid=meta["uid"],
            generation=meta["generation"],
            deleting=meta.get("deletionTimestamp") is not None,
            finalizers=tuple(meta.get("finalizers") or ()),
            annotations=dict(meta.get("annotations") or {}),
            delete_target=body.get("spec", {}).get("deletionPolicy") == "Delete",
            status=body.get("status") or {},
        )


@dataclass(frozen=True, slots=True)
class Desired:
    """The spec, as far as it could be read. `spec` is None where not even its shape is right."""

    spec: ProjectionSpec | None
    problems: tuple[Problem, ...] = ()

    @property
    def definition(self) -> Definition | None:
        """The definition asked for; None where the spec is not valid."""
        return None if self.spec is None or self.problems else Definition.of(self.spec)


@dataclass(frozen=True, slots=True)
class Child:
    """A Deployment of ours. `manifest` is the whole object; `unavailable_since` is when it last lacked ready pods."""

    name: str
    build: int
    epoch: int
    replicas: int
    ready: int
    unavailable_since: datetime | None
    manifest: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Recorded:
    """The record of a build as the API server has it."""

    name: str
    build: int
    spec: Mapping[str, Any]
    status: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class WorkerAccess:
    """The workers' Secret opens the target, as `role`."""

    role: str


@dataclass(frozen=True, slots=True)
class SourceView:
    """The log, read after the registry, so that no checkpoint can be beyond an end that is only old.

    `oldest` has the timestamp in ms of the first unread event of each partition; None or empty: not known.
    `unsettled` says since when an open transaction has been seen to hold a partition's end where it is.
    """

    ends: Mapping[Partition, Ends]
    oldest: Mapping[Partition, int] | None = None
    unsettled: Mapping[Partition, datetime] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Site:
    """What is the same for all resources: who we are, and the image of the projector."""

    installation: str
    projector_image: str
    max_rebuilds: int = 4
    """Rebuilds beside live builds that may run at the same time."""


@dataclass(frozen=True, slots=True)
class Observation:
    """All that a decision rests on. `refused` is why the last act of this very pass failed.

    `source` is the log of the current build (or of the spec, where there is none), `logs` those of other topics.
    `compacted`: topics of the spec whose old records are dropped by key. `survey`: None where nothing is live or no
    change is asked for. `rates`: events per second that a build has made lately. `rebuilding`: how many other
    projections have a candidate beside their live build.
    """

    site: Site
    resource: Resource
    desired: Desired
    children: tuple[Child, ...] | Unknown
    worker: WorkerAccess | Unknown
    registry: ProjectionView | Unknown | None
    source: SourceView | Unknown
    refused: Unknown | None = field(default=None)
    logs: Mapping[Topics, SourceView | Unknown] = field(default_factory=dict)
    compacted: frozenset[str] | Unknown = frozenset()
    survey: Survey | Unknown | None = None
    rates: Mapping[int, float] = field(default_factory=dict)
    rebuilding: int = 0
    records: tuple[Recorded, ...] | Unknown = Unknown(Reason.CLUSTER_UNAVAILABLE, "not read")
