"""The Projections that `-f` names: files and directories."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import click

from projector.spec.load import KIND, load_document, projections
from projector.spec.models import ProjectionSpec
from projector.spec.problems import InvalidSpec, Problem

_SUFFIXES = frozenset({".yaml", ".yml"})
_MEANT = re.compile(rf"^kind:\s*{KIND}\b", re.MULTILINE)

option = click.option(
    "-f",
    "--file",
    "paths",
    type=click.Path(path_type=Path),
    required=True,
    multiple=True,
    help="YAML file with Projections, or a directory of such files; may be repeated.",
)


@dataclass(frozen=True, slots=True)
class Loaded:
    """A Projection and where it is; `spec` is what it says, or what is wrong with it."""

    path: Path
    name: str
    spec: ProjectionSpec | InvalidSpec

    def valid(self) -> ProjectionSpec:
        """The spec. Raises InvalidSpec."""
        if isinstance(self.spec, InvalidSpec):
            raise self.spec
        return self.spec


def loaded(paths: Iterable[Path]) -> Iterator[Loaded]:
    """All Projections. A named file holds one at least; of a directory, only the files that hold some are read."""
    for path in paths:
        if path.is_dir():
            for file in sorted(file for file in path.rglob("*") if file.suffix in _SUFFIXES and _meant(file)):
                yield from _in_file(file)
        else:
            yield from _in_file(path)


def _in_file(path: Path) -> Iterator[Loaded]:
    try:
        documents = projections(path)
    except InvalidSpec as error:
        yield Loaded(path, path.name, error)
        return
    if not documents:
        none = Problem(str(path), f"holds no document of kind {KIND}")
        yield Loaded(path, path.name, InvalidSpec((none,)))
    for document in documents:
        try:
            name, _, spec = load_document(document)
            yield Loaded(path, name, spec)
        except InvalidSpec as error:
            yield Loaded(path, _name(document.get("metadata")) or path.name, error)


def _name(metadata: object) -> str:
    return str(metadata.get("name") or "") if isinstance(metadata, dict) else ""


def _meant(path: Path) -> bool:
    return path.is_file() and bool(_MEANT.search(path.read_text(encoding="utf-8", errors="replace")))
