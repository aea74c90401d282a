"""The CustomResourceDefinition, generated from the models of spec and status: one truth for both.

What pydantic says of a field, the API server checks; what needs more than one field, or the old object, is in `RULES`.
"""

from typing import Any

import yaml
from pydantic import BaseModel

from projection_operator.core.manifests import GROUP, KIND, PLURAL, VERSION
from projection_operator.core.status import Status
from projector.spec.models import ProjectionSpec

Schema = dict[str, Any]

NAME_LIMIT = 50
"""Characters of a Projection's name: it is a label's value, and the names of Deployments and pods grow from it."""

_HEADER = "# Generated from the models by `make crds`.\n"

_BUILT = "has(oldSelf.status) && (has(oldSelf.status.liveBuild) || has(oldSelf.status.candidate))"
_NEW = "self.spec.version != oldSelf.spec.version || self.spec.rebuildToken != oldSelf.spec.rebuildToken"

DEFINITION_FIELDS = (
    "source.kafka.topics",
    "source.kafka.format",
    "source.kafka.type",
    "source.kafka.eventVersion",
    "ordering",
    "target.postgresql.columns",
    "target.postgresql.key",
    "rules",
    "handler",
    "accumulate",
    "projector.image",
)
"""What a version is made of (`projector.spec.definition`). Free until a build exists, so that a typo can be mended."""

_OPTIONAL = frozenset({"source.kafka.eventVersion", "rules", "handler", "accumulate", "projector.image"})
_ONLY_WITH_HANDLER = frozenset({"projector.image"})

FIXED_FIELDS = ("target.postgresql.schema", "target.postgresql.table")
"""What a Projection is for ever."""


_TOGETHER: tuple[Schema, ...] = (
    {
        "rule": "has(self.spec.rules) != has(self.spec.handler)",
        "message": "one of rules and handler is needed, and not both",
        "reason": "FieldValueInvalid",
        "fieldPath": ".spec.rules",
    },
    {
        "rule": "(self.spec.source.kafka.format == 'JSON') != has(self.spec.source.kafka.schemaRegistry)",
        "message": "schemaRegistry is needed with the formats Avro and Protobuf, and not possible with JSON",
        "reason": "FieldValueInvalid",
        "fieldPath": ".spec.source.kafka.schemaRegistry",
    },
    {
        "rule": "(self.spec.ordering.mode == 'Guarded') == has(self.spec.ordering.by)",
        "message": "by is needed with mode Guarded, and not possible with another",
        "reason": "FieldValueInvalid",
        "fieldPath": ".spec.ordering.by",
    },
    {
        "rule": "!has(self.spec.accumulate) || has(self.spec.handler)",
        "message": "accumulate is read only with a handler: rules tell themselves how columns accumulate",
        "reason": "FieldValueInvalid",
        "fieldPath": ".spec.accumulate",
    },
    {
        "rule": "!has(self.spec.handler) || has(self.spec.projector.image) && "
        "self.spec.projector.image.matches('@sha256:[0-9a-f]{64}$')",
        "message": "a handler needs the image that holds it, by its digest (…@sha256:…)",
        "reason": "FieldValueInvalid",
        "fieldPath": ".spec.projector.image",
    },
)
"""What fields of a spec mean to each other, where a word of the API server is worth more than one of the status."""


def crd() -> Schema:
    """The CustomResourceDefinition as a dictionary."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{PLURAL}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": KIND,
                "listKind": f"{KIND}List",
                "plural": PLURAL,
                "singular": KIND.lower(),
                "shortNames": ["proj"],
                "categories": [PLURAL],
            },
            "versions": [_version()],
        },
    }


def crd_yaml() -> str:
    """The same as text; equal models give equal text."""
    return text(crd())


def text(schema: Schema) -> str:
    """A generated CustomResourceDefinition as a file."""
    return _HEADER + yaml.safe_dump(schema, sort_keys=False, width=110, allow_unicode=True)


def _version() -> Schema:
    return {
        "name": VERSION,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": _root()},
        "subresources": {
            "status": {},
            "scale": {
                "specReplicasPath": ".spec.scaling.replicas",
                "statusReplicasPath": ".status.replicas",
                "labelSelectorPath": ".status.selector",
            },
        },
        "additionalPrinterColumns": [
            column("Version", ".spec.version"),
            column("Live", ".status.liveVersion"),
            column("Phase", ".status.phase"),
            column("Lag", ".status.lag.events", "integer"),
            column("Lag-S", ".status.lag.seconds", "integer"),
            column("Replicas", ".status.replicas", "integer"),
            column("Progress", ".status.candidate.percent", "integer"),
            column("Ready", '.status.conditions[?(@.type=="Ready")].status'),
            column("Age", ".metadata.creationTimestamp", "date"),
            column("Topic", ".spec.source.kafka.topics[0]", wide=True),
            column("Target", ".spec.target.postgresql.table", wide=True),
            column("Reason", '.status.conditions[?(@.type=="Ready")].reason', wide=True),
        ],
    }


def column(name: str, path: str, kind: str = "string", *, wide: bool = False) -> Schema:
    """A column of `kubectl get`, or only of `--output=wide`."""
    return {"name": name, "type": kind, "jsonPath": path, "priority": 1 if wide else 0}


def _root() -> Schema:
    return {
        "type": "object",
        "description": "A read model: the fold of a log into a table.",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": structural(ProjectionSpec),
            "status": _with_condition_keys(structural(Status)),
        },
        "x-kubernetes-validations": [
            _name_rule(),
            *map(_version_rule, DEFINITION_FIELDS),
            *map(_fixed, FIXED_FIELDS),
            *_TOGETHER,
        ],
    }


def _name_rule() -> Schema:
    return {
        "rule": f"size(self.metadata.name) <= {NAME_LIMIT}",
        "message": f"metadata.name may have at most {NAME_LIMIT} characters",
        "reason": "FieldValueInvalid",
    }


def _version_rule(field: str) -> Schema:
    name = field.rsplit(".", 1)[-1]
    free = "!has(self.spec.handler) || " if field in _ONLY_WITH_HANDLER else ""
    return {
        "rule": f"!({_BUILT}) || {_NEW} || {free}{_same(field)}",
        "message": f"{name} may change only together with version (or rebuildToken)",
        "reason": "FieldValueForbidden",
        "fieldPath": f".spec.{field}",
    }


def _same(field: str) -> str:
    new, old = f"self.spec.{field}", f"oldSelf.spec.{field}"
    if field not in _OPTIONAL:
        return f"{new} == {old}"
    return f"(has({new}) ? has({old}) && {new} == {old} : !has({old}))"


def _fixed(field: str) -> Schema:
    name = field.rsplit(".", 1)[-1]
    return {
        "rule": f"self.spec.{field} == oldSelf.spec.{field}",
        "message": f"{name} can not be changed; another read model is another Projection",
        "reason": "FieldValueForbidden",
        "fieldPath": f".spec.{field}",
    }


def _with_condition_keys(schema: Schema) -> Schema:
    schema["properties"]["conditions"] |= {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]}
    return schema


def structural(model: type[BaseModel]) -> Schema:
    """A structural schema of `model`: references inlined, nothing that the API server does not know."""
    whole = model.model_json_schema(by_alias=True)
    return _structural(whole, whole.get("$defs", {}))


_KEPT = (
    "type", "format", "description", "enum", "default", "minimum", "maximum", "minLength", "maxLength", "pattern",
    "minItems", "maxItems", "minProperties", "maxProperties", "required",
)  # fmt: skip


def _structural(schema: Schema, defs: Schema) -> Schema:
    schema = _flat(schema, defs)
    if not schema.keys() - {"description", "default", "title"}:
        return _anything(schema)
    out = {name: _without_nulls(schema[name]) for name in _KEPT if schema.get(name) is not None}
    if "const" in schema:
        out["enum"] = [schema["const"]]
    if "properties" in schema:
        out["properties"] = {name: _structural(part, defs) for name, part in schema["properties"].items()}
    if "items" in schema:
        out["items"] = _structural(schema["items"], defs)
    return out | _map(schema, defs)


def _anything(schema: Schema) -> Schema:
    """Any JSON value: the one thing that needs no type."""
    described = {"description": schema["description"]} if "description" in schema else {}
    return {**described, "x-kubernetes-preserve-unknown-fields": True}


def _flat(schema: Schema, defs: Schema) -> Schema:
    """Follow references, and take `X or null` for X: absent and null are one to the API server."""
    while "$ref" in schema or "anyOf" in schema:
        if "$ref" in schema:
            target = defs[schema["$ref"].rsplit("/", 1)[-1]]
        else:
            (target,) = (part for part in schema["anyOf"] if part.get("type") != "null")
        schema = target | {name: value for name, value in schema.items() if name not in {"$ref", "anyOf"}}
    return schema


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: part for name, part in value.items() if part is not None}
    return value


def _map(schema: Schema, defs: Schema) -> Schema:
    values = schema.get("additionalProperties", False)
    if values is False:
        return {}
    if values is True:
        return {"x-kubernetes-preserve-unknown-fields": True}
    mapping = {"additionalProperties": _structural(values, defs)}
    if "propertyNames" not in schema:
        return mapping
    names = schema["propertyNames"]
    low, high = names["minLength"], names["maxLength"]
    rule = {
        "rule": f"self.all(name, size(name) >= {low} && size(name) <= {high})",
        "message": f"names have {low} to {high} characters",
    }
    return mapping | {"x-kubernetes-validations": [rule]}
