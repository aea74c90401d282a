"""What a version is made of, and that the builds of earlier releases are still known by their fingerprints."""

from pathlib import Path
from typing import Any

import pytest

from projector.spec.definition import Definition
from projector.spec.load import load_file, load_spec
from tests.support.specs import spec_data

IMAGE = "registry.example.com/shop@sha256:" + "0" * 64


def definition(**parts: Any) -> Definition:
    return Definition.of(load_spec(spec_data() | parts))


def test_the_example_has_the_fingerprint_that_it_had_in_the_first_release() -> None:
    _, _, spec = load_file(Path("examples/shop/order-summaries.yaml"))
    assert Definition.of(spec).fingerprint == "ee2aa176c51d7e2e"


def test_defaults_written_out_are_the_same_definition() -> None:
    written = definition(ordering={"mode": "PerKey"}, errors={"badData": "Stop", "maxParkedKeys": 5})
    assert written.canonical == definition().canonical
    assert "ordering" not in written.canonical


def test_what_decides_about_rows_is_in_it() -> None:
    base = definition().fingerprint
    rule = {"events": ["E"], "key": {"id": "event.id"}, "set": {"name": "event.name"}}
    kafka = spec_data()["source"]["kafka"]
    changes: list[dict[str, Any]] = [
        {"ordering": {"mode": "Guarded", "by": "event.version"}},
        {"rules": [rule | {"forEach": "event.lines"}]},
        {"rules": [rule | {"onMissing": "Park"}]},
        {"rules": [rule | {"append": {"data": "event.name"}}]},
        {"source": {"kafka": kafka | {"eventVersion": "header.version"}}},
    ]
    assert len({base, *(definition(**change).fingerprint for change in changes)}) == len(changes) + 1


def test_the_image_belongs_to_a_handler_only() -> None:
    rules = definition(projector={"image": IMAGE})
    assert rules.fingerprint == definition().fingerprint
    data = spec_data() | {"handler": "shop.projections:orders", "projector": {"image": IMAGE}}
    del data["rules"]
    made = Definition.of(load_spec(data))
    assert (made.handler, made.image, made.rules) == ("shop.projections:orders", IMAGE, ())


@pytest.mark.parametrize("parts", [{}, {"ordering": {"mode": "Guarded", "by": "event.version"}}])
def test_what_the_registry_keeps_is_read_back(parts: dict[str, Any]) -> None:
    made = definition(**parts)
    assert Definition.model_validate_json(made.canonical) == made
