"""What `projector explain` tells a person."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from projector.cli import main
from projector.explain.layout import WIDTH, code
from projector.spec.definition import Definition
from projector.spec.load import load_spec
from projector.stores.postgres import statements
from projector.stores.postgres.layout import Layout
from tests.support.specs import spec_data

EXAMPLE = Path("examples/shop/order-summaries.yaml")
KEY = {"id": "event.id"}


def explained(*arguments: object) -> str:
    done = CliRunner().invoke(main, ["explain", *map(str, arguments)])
    assert done.exit_code == 0, done.output
    return done.stdout


def of(path: Path, **parts: Any) -> str:
    head = {"apiVersion": "projections.dev/v1alpha1", "kind": "Projection", "metadata": {"name": "p"}}
    data = {name: value for name, value in (spec_data() | parts).items() if value is not None}
    file = path / "p.yaml"
    file.write_text(yaml.safe_dump(head | {"spec": data}), encoding="utf-8")
    return explained("-f", file)


def section(text: str, title: str) -> list[str]:
    lines = text.splitlines()
    start = lines.index(title) + 2
    return lines[start : lines.index("", start)] if "" in lines[start:] else lines[start:]


def test_an_event_type_is_told_in_the_order_of_its_rules() -> None:
    text = explained("-f", EXAMPLE)
    assert section(text, "ItemAdded") == [
        "  rule 1, where event.qty > 0",
        "    row       order_id = event.order_id",
        "    changes   item_count increases by event.qty",
        "              total_cents increases by event.qty * event.price_cents",
        "              largest_item_cents becomes the larger of largest_item_cents and event.price_cents",
        "              last_event_at becomes the larger of last_event_at and meta.timestamp",
        "    missing   the row is created from the columns' defaults first",
    ]
    assert section(text, "OrderCancelled")[-2:] == ["    changes   the row is deleted", "    missing   nothing happens"]
    assert "  item_count          bigint       default 0; increment by ItemAdded, ItemRemoved" in text


def test_every_word_of_the_language_is_told(tmp_path: Path) -> None:
    rules = [
        {
            "events": ["Filled@>=2", "Filled@0"],
            "forEach": "event.lines",
            "key": {"id": "item.sku"},
            "when": "item.qty > 0",
            "min": {"small": "item.qty"},
            "append": {"data": "item.note"},
            "onMissing": "Park",
        },
        {"events": ["(tombstone)"], "key": {"id": "meta.key"}, "delete": True},
    ]
    kafka = spec_data()["source"]["kafka"] | {"eventVersion": "header.v", "topics": ["a", "b"]}
    text = of(tmp_path, rules=rules, source={"kafka": kafka})
    assert section(text, "Filled") == [
        "  rule 0, version >= 2 or == 0, for each item of event.lines, where item.qty > 0",
        "    row       id = item.sku",
        "    changes   small becomes the smaller of small and item.qty",
        "              item.note is appended to data",
        "    missing   the event is parked, and later events of the row wait behind it",
    ]
    assert section(text, "Records without a value")[0] == "  rule 1"
    assert "schema version in header.v; 1 where it is missing" in text
    assert "  from      topics a, b, values in JSON, event type in header.ce_type" in text
    assert "SQL: which rows there are, for onMissing: Park" in text


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({}, "All events of a row must lie in one partition"),
        ({"ordering": {"mode": "Guarded", "by": "event.v"}}, "the one with the greatest event.v says what the row is"),
        ({"errors": {"badData": "Stop"}}, "lets its partition wait"),
        ({"errors": {"maxParkedKeys": 7}}, "more than 7 such rows"),
        (
            {"rules": None, "handler": "shop.x:orders", "projector": {"image": "shop@sha256:" + "0" * 64}},
            "Every event goes to the Python function shop.x:orders",
        ),
    ],
)
def test_policies_are_told(tmp_path: Path, parts: dict[str, Any], words: str) -> None:
    assert words in " ".join(of(tmp_path, **parts).split())


@pytest.mark.parametrize("ordering", [{"mode": "PerKey"}, {"mode": "Guarded", "by": "event.v"}])
def test_the_statements_are_those_of_the_store(tmp_path: Path, ordering: dict[str, Any]) -> None:
    definition = Definition.of(load_spec(spec_data() | {"ordering": ordering}))
    layout = Layout(definition)
    run = statements.write(statements.Table("public", "t__b1", layout), statements.from_arrays(layout)).as_string()
    assert " ".join(run.split()) in " ".join(of(tmp_path, ordering=ordering).split())


def test_lines_fit_the_terminal() -> None:
    assert [line for line in explained("-f", EXAMPLE).splitlines() if len(line) > WIDTH] == []


def test_code_never_breaks_inside_quotes() -> None:
    literal = "'" + "it''s one literal " * 8 + "'"
    text = f'VALUES ("a b", {literal}, c) RETURNING d'
    lines = list(code(text))
    assert [line for line in lines if literal in line]
    assert " ".join(" ".join(lines).split()) == " ".join(text.split())


def test_generated_python_is_shown_on_request() -> None:
    plain, shown = explained("-f", EXAMPLE), explained("-f", EXAMPLE, "--code")
    assert "def apply(" not in plain
    assert shown.startswith(plain.rstrip("\n"))
    assert shown.count("def apply(") == 6


def test_what_is_wrong_exits_with_2(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["explain", "-f", str(tmp_path / "none.yaml")])
    assert done.exit_code == 2
    assert "cannot be read" in done.stderr
