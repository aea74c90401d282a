"""The CustomResourceDefinition of records, `ProjectionRebuild`, generated from their models."""

from projection_operator.core.manifests import GROUP, RECORD_KIND, RECORD_PLURAL, VERSION
from projection_operator.core.record import RecordSpec, RecordStatus
from projection_operator.crd import Schema, column, structural, text

_DESCRIPTION = (
    "The record of one build of a Projection: what it was built from, and what became of it. The operator writes it, "
    "and nothing reads it but people: to create, change or delete one does nothing to the Projection. One that is "
    "deleted comes back while the registry has its build."
)


def record_crd() -> Schema:
    """The CustomResourceDefinition as a dictionary."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{RECORD_PLURAL}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": RECORD_KIND,
                "listKind": f"{RECORD_KIND}List",
                "plural": RECORD_PLURAL,
                "singular": RECORD_KIND.lower(),
                "shortNames": ["prb"],
            },
            "versions": [_version()],
        },
    }


def record_crd_yaml() -> str:
    """The same as text; equal models give equal text."""
    return text(record_crd())


def _version() -> Schema:
    return {
        "name": VERSION,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": _root()},
        "subresources": {"status": {}},
        "additionalPrinterColumns": [
            column("Projection", ".spec.projection"),
            column("Version", ".spec.version"),
            column("Build", ".spec.build", "integer"),
            column("Step", ".status.step"),
            column("Percent", ".status.percent", "integer"),
            column("Started", ".status.startedAt", "date"),
            column("Finished", ".status.finishedAt", "date"),
            column("From", ".spec.fromVersion", wide=True),
            column("Events", ".status.events", "integer", wide=True),
            column("Message", ".status.message", wide=True),
        ],
    }


def _root() -> Schema:
    return {
        "type": "object",
        "description": _DESCRIPTION,
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": structural(RecordSpec) | {"x-kubernetes-validations": [_FIXED]},
            "status": structural(RecordStatus),
        },
    }


_FIXED = {
    "rule": "self == oldSelf",
    "message": "a record is not changed; what is to be built is said in the Projection",
    "reason": "FieldValueForbidden",
}
