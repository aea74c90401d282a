"""YAML or a mapping to a `ProjectionSpec`, with every problem in words and under the path that the user wrote."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from projector.spec.check_cases import check_cases
from projector.spec.checks import check
from projector.spec.models import ProjectionSpec
from projector.spec.problems import InvalidSpec, Problem
from projector.spec.shape import problems_of

API_VERSION = "projections.dev/v1alpha1"
KIND = "Projection"


def load_spec(data: Mapping[str, Any]) -> ProjectionSpec:
    """The spec that `data` (what stands under `spec:`) describes. Raises InvalidSpec with all problems found.

    Expressions are not looked at here; see `projector.fold.validate`.
    """
    keys = tuple(_boolean_keys(data, "spec"))
    try:
        spec = ProjectionSpec.model_validate(_without_boolean_keys(data))
    except ValidationError as error:
        raise InvalidSpec((*keys, *problems_of(error))) from None
    if problems := (*keys, *check(spec)):
        raise InvalidSpec(problems)
    return spec


def load_file(path: Path) -> tuple[str, str, ProjectionSpec]:
    """Name, namespace and spec of the one Projection in a YAML file, its tests checked too. Raises InvalidSpec."""
    found = projections(path)
    if len(found) != 1:
        raise InvalidSpec((Problem(str(path), f"holds {len(found)} documents of kind {KIND}; one is needed"),))
    return load_document(found[0])


def projections(path: Path) -> list[dict[Any, Any]]:
    """The documents of kind Projection in a YAML file, not looked at further. Raises InvalidSpec."""
    return [document for document in _documents(path) if isinstance(document, dict) and document.get("kind") == KIND]


def load_document(document: Mapping[Any, Any]) -> tuple[str, str, ProjectionSpec]:
    """Name, namespace and spec of a Projection, its tests checked too. Raises InvalidSpec."""
    if document.get("apiVersion") != API_VERSION:
        raise InvalidSpec((Problem("apiVersion", f"must be {API_VERSION}"),))
    metadata = document.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    if not isinstance(metadata, dict) or not isinstance(name, str) or not name:
        raise InvalidSpec((Problem("metadata.name", "is missing"),))
    if not isinstance(document.get("spec"), dict):
        raise InvalidSpec((Problem("spec", "is missing"),))
    spec = load_spec(document["spec"])
    if problems := tuple(check_cases(spec.tests, spec)):
        raise InvalidSpec(problems)
    return name, str(metadata.get("namespace", "default")), spec


def _documents(path: Path) -> list[Any]:
    try:
        return list(yaml.load_all(path.read_text(encoding="utf-8"), _AsKubectl))
    except OSError as error:
        raise InvalidSpec((Problem(str(path), f"cannot be read: {error.strerror}"),)) from None
    except UnicodeDecodeError:
        raise InvalidSpec((Problem(str(path), "is not UTF-8 text"),)) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise InvalidSpec((Problem(f"{path}{where}", f"is not YAML: {error.problem}"),)) from None
    except yaml.YAMLError as error:
        raise InvalidSpec((Problem(str(path), f"is not YAML: {error}"),)) from None


class _AsKubectl(yaml.SafeLoader):
    """A loader that leaves dates and times text, as kubectl does, and refuses a key given twice, as YAML asks."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Refuse a second key of the same text."""
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(None, None, f"key {key.value!r} twice", key.start_mark)
                seen.add(key.value)
        return super().construct_mapping(node, deep)


_AsKubectl.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _boolean_keys(data: object, path: str) -> Iterator[Problem]:
    if isinstance(data, Mapping):
        for key, value in data.items():
            if isinstance(key, bool):
                word = "true" if key else "false"
                yield Problem(
                    path,
                    f"a name was read as {word}: YAML 1.1 takes on, off, yes, no, true and false for truth values; "
                    "quote the name",
                )
            else:
                yield from _boolean_keys(value, f"{path}.{key}")
    elif isinstance(data, list | tuple):
        for index, item in enumerate(data):
            yield from _boolean_keys(item, f"{path}[{index}]")


def _without_boolean_keys(data: Any) -> Any:
    if isinstance(data, Mapping):
        return {key: _without_boolean_keys(value) for key, value in data.items() if not isinstance(key, bool)}
    if isinstance(data, list | tuple):
        return [_without_boolean_keys(item) for item in data]
    return data
