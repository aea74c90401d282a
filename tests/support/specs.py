"""Specs for tests: the smallest that is right, with parts exchanged."""

from collections.abc import Mapping, Sequence
from typing import Any

from projector.spec.definition import Definition
from projector.spec.load import load_spec
from projector.spec.problems import InvalidSpec

COLUMNS: tuple[Mapping[str, Any], ...] = (
    {"name": "id", "type": "text"},
    {"name": "name", "type": "text"},
    {"name": "total", "type": "bigint", "default": "0"},
    {"name": "amount", "type": "numeric"},
    {"name": "ratio", "type": "double precision"},
    {"name": "small", "type": "smallint"},
    {"name": "flag", "type": "boolean"},
    {"name": "at", "type": "timestamptz"},
    {"name": "day", "type": "date"},
    {"name": "ref", "type": "uuid"},
    {"name": "data", "type": "jsonb"},
)
RULE: Mapping[str, Any] = {"events": ["E"], "key": {"id": "event.id"}, "set": {"name": "event.name"}}


def spec_data(
    rules: Sequence[Mapping[str, Any]] = (RULE,),
    columns: Sequence[Mapping[str, Any]] = COLUMNS,
    event_type: str = "header.ce_type",
    event_version: str | None = None,
    ordering: Mapping[str, Any] | None = None,
    **target: Any,
) -> dict[str, Any]:
    """What stands under `spec:`, as YAML gives it."""
    kafka = {"bootstrapServers": ["kafka:9092"], "topics": ["orders"], "type": event_type}
    return {
        "version": "1",
        "source": {"kafka": kafka if event_version is None else {**kafka, "eventVersion": event_version}},
        **({} if ordering is None else {"ordering": dict(ordering)}),
        "target": {
            "postgresql": {
                "connectionSecretRef": {"name": "db"},
                "table": "t",
                "columns": list(columns),
                "key": ["id"],
                **target,
            }
        },
        "rules": list(rules),
    }


def definition(*rules: Mapping[str, Any], **parts: Any) -> Definition:
    """The definition of a right spec with these rules."""
    return Definition.of(load_spec(spec_data(rules or (RULE,), **parts)))


def problems(data: Mapping[str, Any]) -> list[str]:
    """Texts of the problems that loading a spec finds."""
    try:
        load_spec(data)
    except InvalidSpec as error:
        return [str(problem) for problem in error.problems]
    return []
