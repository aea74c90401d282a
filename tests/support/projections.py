"""Observations of the operator for tests: a projection in one of its states, with parts exchanged."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from projection_operator.core.manifests import Owner, Run, deployment
from projection_operator.core.observation import (
    HOLD_VERSION,
    Child,
    Desired,
    Observation,
    Resource,
    Site,
    SourceView,
    Unknown,
    WorkerAccess,
)
from projection_operator.core.reasons import Reason
from projector.indexes import Indexes
from projector.ports import Ends, Partition, Stuck
from projector.registry import BuildState, BuildView, CheckpointView, Identity, ProjectionView, PublicName, Survey
from projector.spec.definition import Definition
from projector.spec.load import load_spec
from projector.spec.models import ProjectionSpec
from projector.spec.problems import Problem
from tests.support.specs import spec_data

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
INSTALLATION = "11111111-2222-3333-4444-555555555555"
IDENTITY = Identity(INSTALLATION, "shop", "orders")
IMAGE = "projector:1.2.3"
PUBLIC = PublicName("public", "t")
P0, P1 = (Partition("orders", "topic-1", number) for number in range(2))
ROLE = WorkerAccess("read_db_worker")
TARGET_DOWN = Unknown(Reason.TARGET_UNAVAILABLE, "spec.target.postgresql.connectionSecretRef: db:5432/app: refused")
SOURCE_DOWN = Unknown(Reason.SOURCE_UNAVAILABLE, "spec.source.kafka.bootstrapServers: kafka:9092: no answer")
TOPIC_MISSING = Unknown(Reason.TOPIC_MISSING, "spec.source.kafka.topics[0]: topic 'orders' does not exist")
SURVEY = Survey(rows=1_000, total_bytes=65_536, dependents=(), grants=("SELECT to web",), unmanaged=())
NO_SECRET = Unknown(
    Reason.SECRET_MISSING, "spec.target.postgresql.connectionSecretRef: Secret shop/read-db does not exist"
)
INVALID = Desired(load_spec(spec_data()), (Problem("spec.rules[0].set.total", "expected bigint, found text", 3),))
UNREADABLE = Desired(None, (Problem("spec.rules", "is missing"),))


def spec(**changes: Any) -> ProjectionSpec:
    """The smallest spec, with top-level fields replaced."""
    return load_spec({**spec_data(), **changes})


def desired(**changes: Any) -> Desired:
    """The same, as observed."""
    return Desired(spec(**changes))


def resource(status: Mapping[str, Any] | None = None, **changes: Any) -> Resource:
    """The Projection shop/orders."""
    base = Resource(
        namespace="shop",
        name="orders",
        uid="uid-1",
        generation=3,
        deleting=False,
        finalizers=(),
        annotations={},
        delete_target=False,
        status=status or {},
    )
    return replace(base, **changes)


def checkpoint(
    partition: Partition, at: int, end: int = 100, stuck: str | None = None, start: int = 0
) -> CheckpointView:
    """A checkpoint of a replay from `start` to `end`."""
    event = None if stuck is None else Stuck(partition, at, stuck)
    return CheckpointView(partition, at, start, end, None, NOW, event)


def build(
    state: BuildState = BuildState.LIVE, at: tuple[int, ...] = (100, 100), number: int = 7, **changes: Any
) -> BuildView:
    """A build whose checkpoints of partitions 0, 1, … stand at `at`."""
    definition = changes.pop("definition", Definition.of(spec()))
    base = BuildView(
        number=number,
        version="1",
        token="",
        state=state,
        epoch=4,
        definition=definition,
        fingerprint=definition.fingerprint,
        table=f"t__b{number}",
        created_at=NOW,
        published_at=NOW if state in {BuildState.LIVE, BuildState.WARM} else None,
        reason="",
        checkpoints=tuple(checkpoint(Partition("orders", "topic-1", n), offset) for n, offset in enumerate(at)),
        worker_role=ROLE.role,
        changed_at=NOW,
        consumer_group=f"projections.11111111.shop.orders.b{number}",
        indexes=Indexes(analyzed_at=NOW),
    )
    return replace(base, **changes)


def view(*builds: BuildView, **changes: Any) -> ProjectionView:
    """The registry's entry with these builds."""
    live = next((one.number for one in builds if one.state is BuildState.LIVE), None)
    return replace(ProjectionView(IDENTITY, "uid-1", PUBLIC, live, builds), **changes)


def source(*ends: int, **changes: Any) -> SourceView:
    """A log whose partitions end there."""
    bounds = {Partition("orders", "topic-1", number): Ends(0, end) for number, end in enumerate(ends or (100, 100))}
    return replace(SourceView(bounds, {P0: int(NOW.timestamp() * 1000) - 8_500}), **changes)


def manifest(
    number: int = 7,
    replicas: int = 1,
    wanted: ProjectionSpec | None = None,
    version: str = "1",
    limit: str | None = None,
) -> dict[str, Any]:
    """The Deployment of a build."""
    owner = Owner("shop", "orders", "uid-1")
    return deployment(owner, wanted or spec(), Run(number, 4, version, replicas, IMAGE, limit))


def child(
    number: int = 7, ready: int = 1, replicas: int = 1, unavailable_since: datetime | None = None, **run: Any
) -> Child:
    """The same, as observed."""
    body = manifest(number, replicas, **run)
    return Child(body["metadata"]["name"], number, 4, replicas, ready, unavailable_since, body)


def observation(**changes: Any) -> Observation:
    """A live projection that is well."""
    base = Observation(
        site=Site(INSTALLATION, IMAGE),
        resource=resource(),
        desired=desired(),
        children=(child(),),
        worker=ROLE,
        registry=view(build()),
        source=source(),
    )
    return replace(base, **changes)


OTHER_RULES = [{"events": ["E"], "key": {"id": "event.id"}, "set": {"name": "event.other"}}]
OTHER_DEFINITION = desired(rules=OTHER_RULES)


def second(**changes: Any) -> Desired:
    """Version 2, with other rules."""
    return desired(**{"version": "2", "rules": OTHER_RULES, **changes})


def second_build(state: BuildState, at: tuple[int, ...] = (100, 100), **changes: Any) -> BuildView:
    """Build 8, of version 2."""
    return build(
        state, at, **{"number": 8, "version": "2", "definition": Definition.of(spec(rules=OTHER_RULES)), **changes}
    )


def beside(candidate: BuildView | None = None, **changes: Any) -> Observation:
    """Version 1 is live and version 2 asked for, with its build on its way, if any."""
    builds = (build(),) if candidate is None else (build(), candidate)
    children = (child(),) if candidate is None else (child(), child(8, version="2"))
    known = {"desired": second(), "survey": SURVEY, "registry": view(*builds), "children": children}
    return observation(**{**known, **changes})


def back(warm_at: tuple[int, ...] = (100, 100), **changes: Any) -> Observation:
    """Version 2 is live, and version 1, which it replaced, asked for."""
    builds = (build(BuildState.WARM, warm_at), second_build(BuildState.LIVE))
    known = {"registry": view(*builds), "survey": SURVEY, "children": (child(), child(8, version="2"))}
    return observation(**{**known, **changes})


def holding(version: str, **changes: Any) -> Resource:
    """The Projection with the annotation that holds a version."""
    return resource(annotations={HOLD_VERSION: version}, **changes)
