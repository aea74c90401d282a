"""The committed CRD is the generated one, in the chart too, and structural."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from projection_operator.crd import DEFINITION_FIELDS, crd, crd_yaml
from projector.spec.definition import Definition

ROOT = Path(__file__).resolve().parents[3]
NAME = "projections.projections.dev.yaml"


def test_committed_and_shipped_as_generated() -> None:
    for path in (ROOT / "crds" / NAME, ROOT / "helm" / "projection-operator" / "files" / NAME):
        assert path.read_text() == crd_yaml(), f"write {path} anew: make crds"


def schemas(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, schema
    for name, part in schema.get("properties", {}).items():
        yield from schemas(part, f"{path}.{name}")
    for name in ("items", "additionalProperties"):
        if name in schema:
            yield from schemas(schema[name], f"{path}[]")


def root() -> dict[str, Any]:
    (version,) = crd()["spec"]["versions"]
    whole: dict[str, Any] = version["schema"]["openAPIV3Schema"]
    return whole


def test_structural_bounded_and_described() -> None:
    free = {".apiVersion", ".kind", ".metadata"}
    anything = {".spec.tests[].given[].value"}
    for path, schema in schemas(root()):
        if path in anything:
            assert schema["x-kubernetes-preserve-unknown-fields"]
            assert "type" not in schema
            continue
        assert schema["type"] in {"object", "array", "string", "integer", "boolean"}, path
        if schema["type"] == "array":
            assert schema["maxItems"], path
        if schema["type"] == "string" and path.startswith(".spec"):
            assert "maxLength" in schema or "enum" in schema, path
        if path not in free and "anyOf" in schema:
            raise AssertionError(path)


def test_every_field_of_a_definition_is_guarded_by_version_or_token() -> None:
    names = {field.alias or name for name, field in Definition.model_fields.items()}
    assert {field.rsplit(".", 1)[-1] for field in DEFINITION_FIELDS} == names


def test_a_field_that_may_be_absent_is_compared_only_where_it_is_there() -> None:
    known = root()["x-kubernetes-validations"]
    rules = {rule["fieldPath"]: rule["rule"] for rule in known if "together with version" in rule["message"]}
    for path, schema in schemas(root()):
        required = schema.get("required", [])
        for name, part in schema.get("properties", {}).items():
            field = f"{path}.{name}"
            if field.removeprefix(".spec.") in DEFINITION_FIELDS and name not in required and "default" not in part:
                assert f"has(oldSelf{field})" in rules[field], field


def test_free_parts_of_tests_stay_as_they_are_written() -> None:
    tests = root()["properties"]["spec"]["properties"]["tests"]["items"]["properties"]
    assert tests["then"]["items"]["x-kubernetes-preserve-unknown-fields"]
    assert "x-kubernetes-validations" not in tests["given"]["items"]["properties"]["headers"], "its cost is too high"


def test_no_field_name_that_yaml_reads_as_a_boolean() -> None:
    names = {path.rsplit(".", 1)[-1].lower() for path, _ in schemas(root())}
    assert not names & {"on", "off", "yes", "no", "y", "n", "true", "false"}
