"""Observing: each read has its time limit, and what could not be read is Unknown."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError

from projection_operator.core import lag
from projection_operator.core.case import Case
from projection_operator.core.manifests import BUILD_LABEL, EPOCH_ANNOTATION, MANAGED_BY, PROJECTION_LABEL
from projection_operator.core.observation import (
    TAKE_OVER,
    Child,
    Desired,
    Observation,
    Resource,
    Site,
    SourceView,
    Topics,
    Unknown,
    WorkerAccess,
)
from projection_operator.core.reasons import Reason
from projection_operator.kube.client import Refused, Unavailable
from projection_operator.loop.ports import Cluster, Databases, Key, Logs, Object
from projection_operator.loop.rates import Rates
from projection_operator.loop.records import RecordReader
from projection_operator.targets.databases import Database
from projector.fold.validate import validate
from projector.ports import Ends, Partition
from projector.registry import BuildView, Identity, ProjectionView
from projector.spec.load import load_spec
from projector.spec.models import CredentialsRef, KafkaSource, ProjectionSpec, SecretRef
from projector.spec.problems import InvalidSpec

TARGET = "spec.target.postgresql"
SCHEMA_REGISTRY = "spec.source.kafka.schemaRegistry.credentialsSecretRef"


@dataclass(frozen=True, slots=True)
class Seen:
    """An observation, and what acting on it needs: `admin` is None where it could not be read."""

    body: Object
    observation: Observation
    identity: Identity
    admin: Database | None
    take_over: str | None


class Observer:
    """Reads all that a decision needs."""

    def __init__(self, cluster: Cluster, databases: Databases, logs: Logs, site: Site) -> None:
        self._cluster, self._databases, self._logs, self._site = cluster, databases, logs, site
        self._specs: dict[Key, tuple[object, Desired]] = {}
        self._admins: dict[Key, Database] = {}
        self._rebuilding: set[Key] = set()
        self._rates = Rates(time.monotonic)
        self._records = RecordReader(cluster)

    def forget(self, key: Key) -> None:
        """The Projection is gone."""
        self._specs.pop(key, None)
        self._admins.pop(key, None)
        self._rebuilding.discard(key)

    async def observe(self, body: Object) -> Seen:
        """See everything about one Projection."""
        resource = Resource.of(body)
        desired = self._desired(resource, body["spec"])
        children, admin, worker, records = await asyncio.gather(
            self._children(resource),
            self._admin(resource, desired.spec),
            self._worker(resource, desired.spec),
            self._records.read(resource),
        )
        identity = Identity(self._site.installation, resource.namespace, resource.name)
        registry, access = await asyncio.gather(self._registry(admin, identity), self._access(worker))
        draft = Observation(self._site, resource, desired, children, access, registry, _NOT_READ, records=records)
        draft = await self._logs_of(draft)
        draft = await self._change(draft, admin, identity)
        return Seen(
            body=body,
            observation=replace(draft, rates=self._rates.look(_case(draft).candidate), rebuilding=self._others(draft)),
            identity=identity,
            admin=admin if isinstance(admin, Database) else None,
            take_over=resource.annotations.get(TAKE_OVER),
        )

    def _desired(self, resource: Resource, raw: Mapping[str, Any]) -> Desired:
        key, mark = (resource.namespace, resource.name), (resource.uid, resource.generation)
        known = self._specs.get(key)
        if known is None or known[0] != mark:
            known = (mark, read_spec(raw))
            self._specs[key] = known
        return known[1]

    async def _children(self, resource: Resource) -> tuple[Child, ...] | Unknown:
        try:
            labels = f"{MANAGED_BY},{PROJECTION_LABEL}={resource.name}"
            found = await self._cluster.deployments(resource.namespace, labels)
        except (Unavailable, Refused) as error:
            return Unknown(Reason.CLUSTER_UNAVAILABLE, str(error))
        return tuple(_child(item) for item in found if _owned(item, resource.uid))

    async def _admin(self, resource: Resource, spec: ProjectionSpec | None) -> Database | Unknown:
        key = (resource.namespace, resource.name)
        if spec is None:
            return _NO_SPEC
        target = spec.target.postgresql
        field = "adminSecretRef" if target.admin_secret_ref else "connectionSecretRef"
        found = await self._database(resource, field, target.admin_secret_ref or target.connection_secret_ref)
        if isinstance(found, Database):
            self._admins[key] = found
        elif resource.deleting:
            # A namespace that is being deleted may lose its Secrets before its Projections.
            return self._admins.get(key, found)
        return found

    async def _worker(self, resource: Resource, spec: ProjectionSpec | None) -> Database | Unknown:
        if spec is None:
            return _NO_SPEC
        registry = spec.source.kafka.schema_registry
        if registry is not None and registry.credentials_secret_ref is not None:
            found = await self._secret(resource, SCHEMA_REGISTRY, registry.credentials_secret_ref)
            if isinstance(found, Unknown):
                return found
        return await self._database(resource, "connectionSecretRef", spec.target.postgresql.connection_secret_ref)

    async def _database(self, resource: Resource, field: str, ref: SecretRef) -> Database | Unknown:
        found = await self._secret(resource, f"{TARGET}.{field}", ref)
        if isinstance(found, Unknown):
            return found
        return _uri(found, f"{TARGET}.{field}: Secret {resource.namespace}/{ref.name}, key {ref.key}")

    async def _secret(self, resource: Resource, field: str, ref: SecretRef | CredentialsRef) -> bytes | Unknown:
        where = f"{field}: Secret {resource.namespace}/{ref.name}"
        try:
            data = await self._cluster.secret(resource.namespace, ref.name)
        except (Unavailable, Refused) as error:
            return Unknown(Reason.CLUSTER_UNAVAILABLE, f"{where} cannot be read: {error}")
        if data is None:
            return Unknown(Reason.SECRET_MISSING, f"{where} does not exist")
        if ref.key not in data:
            keys = f"it has: {', '.join(sorted(data))}" if data else "it is empty"
            return Unknown(Reason.SECRET_KEY_MISSING, f"{where} has no key {ref.key!r} ({keys})")
        return data[ref.key]

    async def _registry(self, admin: Database | Unknown, identity: Identity) -> ProjectionView | Unknown | None:
        return admin if isinstance(admin, Unknown) else await self._databases.observe(admin, identity)

    async def _access(self, worker: Database | Unknown) -> WorkerAccess | Unknown:
        return worker if isinstance(worker, Unknown) else await self._databases.worker(worker)

    async def _logs_of(self, draft: Observation) -> Observation:
        """Read the log of the current build, and those of other builds whose topics are others."""
        spec = draft.desired.spec
        if spec is None:
            return replace(draft, source=_NO_SPEC)
        if isinstance(draft.registry, Unknown):
            return replace(draft, source=draft.registry)
        case = _case(draft)
        kafka, current = spec.source.kafka, case.current
        topics = kafka.topics if current is None else current.definition.topics
        others = {kafka.topics, *(build.definition.topics for build in case.kept)} - {topics}
        first, *rest = await asyncio.gather(
            self._log(kafka, topics, current), *(self._log(kafka, other, None) for other in others)
        )
        return replace(draft, source=first, logs=dict(zip(others, rest, strict=True)))

    async def _log(self, kafka: KafkaSource, topics: Topics, build: BuildView | None) -> SourceView | Unknown:
        def unread(ends: Mapping[Partition, Ends]) -> Mapping[Partition, int]:
            if build is None or lag.source_changed(build, SourceView(ends)):
                return {}
            return lag.unread(build, ends)

        return await self._logs.describe(kafka.bootstrap_servers, topics, unread)

    async def _change(self, draft: Observation, admin: Database | Unknown, identity: Identity) -> Observation:
        """Read what only a change of version has to know."""
        case = _case(draft)
        if case.spec is None or isinstance(admin, Unknown) or case.view is None:
            return draft
        if case.live is not None and case.asked(case.live):
            return draft
        survey = None if case.live is None else await self._databases.survey(admin, identity)
        if case.candidate is not None or isinstance(case.log_of_spec, Unknown):
            return replace(draft, survey=survey)
        kafka = case.spec.source.kafka
        compacted = await self._logs.compacted(kafka.bootstrap_servers, kafka.topics)
        return replace(draft, survey=survey, compacted=compacted)

    def _others(self, draft: Observation) -> int:
        """How many other projections have a candidate beside their live build; takes in how it is with this one."""
        key, case = (draft.resource.namespace, draft.resource.name), _case(draft)
        others = len(self._rebuilding - {key})
        if isinstance(draft.registry, Unknown):
            # What ran goes on running while its registry is silent.
            return others
        self._rebuilding.discard(key)
        if case.live is not None and case.candidate is not None:
            self._rebuilding.add(key)
        return others


_NOT_READ = Unknown(Reason.SOURCE_UNAVAILABLE, "not read yet")
_NO_SPEC = Unknown(Reason.INVALID_SPEC, "the spec cannot be read")


def read_spec(raw: Mapping[str, Any]) -> Desired:
    """The spec with all its problems; without its shape where even that is wrong."""
    try:
        spec = load_spec(raw)
        validate(spec)
    except InvalidSpec as invalid:
        return Desired(_shape(raw), invalid.problems)
    return Desired(spec)


def _shape(raw: Mapping[str, Any]) -> ProjectionSpec | None:
    try:
        return ProjectionSpec.model_validate(raw)
    except ValidationError:
        return None


def _case(draft: Observation) -> Case:
    # `Case` knows which builds count; its time plays no part in that.
    return Case(draft, datetime.min.replace(tzinfo=UTC))


def _uri(value: bytes, where: str) -> Database | Unknown:
    try:
        text = value.decode().strip()
    except UnicodeDecodeError:
        return Unknown(Reason.SECRET_INVALID, f"{where}: is not text")
    if not text:
        return Unknown(Reason.SECRET_INVALID, f"{where}: is empty")
    return Database(text, where)


def _owned(item: Object, uid: str) -> bool:
    return any(owner.get("uid") == uid for owner in item["metadata"].get("ownerReferences") or ())


def _child(item: Object) -> Child:
    # Items of a list come without these two.
    item |= {"apiVersion": "apps/v1", "kind": "Deployment"}
    meta, status = item["metadata"], item.get("status") or {}
    return Child(
        name=meta["name"],
        build=_number(meta["labels"].get(BUILD_LABEL)),
        epoch=_number((meta.get("annotations") or {}).get(EPOCH_ANNOTATION)),
        replicas=status.get("replicas", 0),
        ready=status.get("readyReplicas", 0),
        unavailable_since=_unavailable_since(status),
        manifest=item,
    )


def _unavailable_since(status: Mapping[str, Any]) -> datetime | None:
    for condition in status.get("conditions") or ():
        if condition["type"] == "Available" and condition["status"] != "True":
            return datetime.fromisoformat(condition["lastTransitionTime"])
    return None


def _number(text: str | None) -> int:
    return int(text) if text and text.isdecimal() else 0
