"""What the documentation shows can be used as it stands: every YAML block loads, lints, and passes its tests."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from projector.cli import main
from projector.fold.validate import validate
from projector.spec.load import load_document
from projector.spec.models import ProjectionSpec
from projector.testkit.run import Runner

ROOT = Path(__file__).resolve().parents[3]
EXAMPLE = ROOT / "examples/shop/order-summaries.yaml"
_BLOCK = re.compile(r"^```yaml\n(.*?)^```", re.MULTILINE | re.DOTALL)

SHOWN = ("note text", "total numeric", "skus jsonb", "lines jsonb", "attributes jsonb")
"""Columns that fragments use beside those of the example."""


def blocks() -> Iterator[tuple[str, str]]:
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))):
        text = path.read_text(encoding="utf-8")
        for found in _BLOCK.finditer(text):
            yield f"{path.relative_to(ROOT)}:{text.count(chr(10), 0, found.start()) + 1}", found[1]


def example() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(EXAMPLE.read_text(encoding="utf-8"))
    names = (column.rsplit(" ", 1) for column in SHOWN)
    document["spec"]["target"]["postgresql"]["columns"] += [{"name": name, "type": kind} for name, kind in names]
    document["spec"]["tests"] = []
    return document


def whole(shown: Any) -> dict[str, Any]:
    """A fragment of a spec, or a list of rules, in the place of the example's own."""
    document = example()
    _lay(document["spec"], {"rules": shown} if isinstance(shown, list) else shown)
    return document


def _lay(spec: dict[str, Any], part: dict[str, Any]) -> None:
    """Source and target are shown in parts; of all else the whole is."""
    for name, value in part.items():
        if name in _IN_PARTS and isinstance(value, dict) and "table" not in value:
            _lay(spec[name], value)
        else:
            spec[name] = value


_IN_PARTS = ("source", "target", "postgresql")


def checked(document: dict[str, Any]) -> ProjectionSpec:
    _, _, spec = load_document(document)
    validate(spec)
    return spec


BLOCKS = dict(blocks())


@pytest.mark.parametrize("place", BLOCKS)
def test_what_is_shown_works(place: str) -> None:
    shown = yaml.safe_load(BLOCKS[place])
    if isinstance(shown, dict) and shown.get("kind", "Projection") != "Projection":
        return
    document = shown if isinstance(shown, dict) and "kind" in shown else whole(shown)
    spec = checked(document)
    for case in spec.tests:
        assert Runner(spec).run("shown", case).differences == ()


def test_there_is_something_to_check() -> None:
    pages = {place.split(":")[0] for place in BLOCKS}
    assert {"docs/resource.md", "docs/expressions.md", "docs/formats.md"} <= pages


def test_every_field_of_a_spec_is_in_the_table() -> None:
    text = (ROOT / "docs/resource.md").read_text(encoding="utf-8")
    table = text[text.index("## Spec") : text.index("## Rules")]
    for alias in (field.alias or name for name, field in ProjectionSpec.model_fields.items()):
        (row, *_) = [line for line in table.splitlines() if line.startswith(f"| `{alias}")] or [""]
        assert "| served |" in row, alias


def test_the_report_that_is_shown_is_the_one_that_comes(tmp_path: Path) -> None:
    text = (ROOT / "docs/resource.md").read_text(encoding="utf-8")
    (console,) = re.findall(r"^```console\n\$ projector test .*\n((?:.*\n)*?)```", text, re.MULTILINE)
    (tests,) = [
        shown for shown in map(yaml.safe_load, BLOCKS.values()) if isinstance(shown, dict) and list(shown) == ["tests"]
    ]
    file = tmp_path / "order-summaries.yaml"
    file.write_text(yaml.safe_dump(whole(tests)), encoding="utf-8")
    assert CliRunner().invoke(main, ["test", "-f", str(file)]).stdout == console
