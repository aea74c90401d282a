"""The definition of a version: the immutable part of a spec that decides what the rows are."""

import hashlib
import json

from projector.spec.models import Column, Model, ProjectionSpec, Rule


class Definition(Model):
    """What a build is made of. Everything else in a spec may change without a rebuild."""

    topics: tuple[str, ...]
    format: str
    type: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    rules: tuple[Rule, ...]

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
            rules=spec.rules,
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
