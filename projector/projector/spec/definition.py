"""The definition of a version: the immutable part of a spec that decides what the rows are."""

import hashlib
import json

from projector.spec.base import Model
from projector.spec.models import Accumulate, Column, Ordering, ProjectionSpec, Rule


class Definition(Model):
    """What a build is made of. Everything else in a spec may change without a rebuild.

    Every field that came after the first release has a default and is not in `canonical` where it holds it, so that
    the builds of older releases keep their fingerprints.
    """

    topics: tuple[str, ...]
    format: str
    type: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    rules: tuple[Rule, ...]
    event_version: str | None = None
    ordering: Ordering = Ordering()
    handler: str | None = None
    image: str | None = None
    """Only with `handler`: the function is what this image holds."""
    accumulate: Accumulate | None = None
    """Only with `handler`: rules tell themselves how columns accumulate."""

    @classmethod
    def of(cls, spec: ProjectionSpec) -> "Definition":
        """The definition that `spec` asks for."""
        kafka, table = spec.source.kafka, spec.target.postgresql
        return cls(
            topics=kafka.topics,
            format=kafka.format,
            type=kafka.type,
            columns=table.columns,
            key=table.key,
            rules=spec.rules or (),
            event_version=kafka.event_version,
            ordering=spec.ordering,
            handler=spec.handler,
            image=spec.projector.image if spec.handler else None,
            accumulate=spec.accumulate,
        )

    @property
    def canonical(self) -> str:
        """JSON text that is equal for equal definitions; the registry keeps it."""
        data = self.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False)

    @property
    def fingerprint(self) -> str:
        """First 16 hex digits of the SHA-256 of `canonical`."""
        return hashlib.sha256(self.canonical.encode()).hexdigest()[:16]
