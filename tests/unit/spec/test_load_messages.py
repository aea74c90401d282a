"""What a user reads when a spec is wrong in shape."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from projector.spec.load import load_file, load_spec
from projector.spec.problems import InvalidSpec
from tests.support.specs import RULE, problems, spec_data

EXAMPLE = Path("examples/shop/order-summaries.yaml")


def changed(change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    data = spec_data(rules=[dict(RULE)])
    change(data)
    return data


def target(data: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = data["target"]["postgresql"]
    return found


CASES: list[tuple[Callable[[dict[str, Any]], object], str]] = [
    (lambda data: data.pop("version"), "spec.version: is missing"),
    (lambda data: data.update(version=1), "spec.version: must be text; put it in quotes"),
    (lambda data: data.update(verison="1"), "spec.verison: there is no field `verison` here; did you mean `version`?"),
    (
        lambda data: target(data).update(tabel="x"),
        "spec.target.postgresql.tabel: there is no field `tabel` here; did you mean `table`?",
    ),
    (
        lambda data: data["rules"][0].update(onmissing="Ignore"),
        "spec.rules[0].onmissing: there is no field `onmissing` here; did you mean `onMissing`?",
    ),
    (
        lambda data: data["rules"][0].update(onMissing="Wait"),
        "spec.rules[0].onMissing: must be one of 'Create', 'Ignore', 'Park'",
    ),
    (lambda data: data["rules"][0].update(set={"name": 1}), "spec.rules[0].set.name: must be text; put it in quotes"),
    (
        lambda data: data["rules"][0].update(set={"flag": True}),
        (
            "spec.rules[0].set.flag: was read as true: YAML 1.1 takes on, off, yes, no, true and false for truth "
            "values; quote it"
        ),
    ),
    (lambda data: data["rules"][0].update(events="E"), "spec.rules[0].events: must be a list"),
    (lambda data: data["rules"][0].update(key="event.id"), "spec.rules[0].key: must be a mapping of names to values"),
    (lambda data: data.update(rules=[]), "spec.rules: needs at least 1 entry"),
    (lambda data: data.update(scaling={"replicas": -1}), "spec.scaling.replicas: must be at least 0"),
    (lambda data: data.update(scaling={"replicas": "two"}), "spec.scaling.replicas: must be a whole number"),
    (
        lambda data: data["rules"][0].update(set={True: "event.on"}),
        (
            "spec.rules[0].set: a name was read as true: YAML 1.1 takes on, off, yes, no, true and false for truth "
            "values; quote the name"
        ),
    ),
    (
        lambda data: data["source"]["kafka"].update(type="ce_type"),
        "spec.source.kafka.type: must match ^(header|event)\\.[A-Za-z_][A-Za-z0-9_-]*$",
    ),
]


@pytest.mark.parametrize(("change", "message"), CASES, ids=[message.split(":")[0] for _, message in CASES])
def test_shape_is_said_in_words(change: Callable[[dict[str, Any]], object], message: str) -> None:
    assert message in problems(changed(change))


def test_all_problems_come_together() -> None:
    data = spec_data(rules=[{"events": ["E"], "key": {"id": "event.id"}, "set": {"nam": "1", "totl": "2"}}])
    assert problems(data) == [
        "spec.rules[0].set.nam: column `nam` is not declared; did you mean `name`?",
        "spec.rules[0].set.totl: column `totl` is not declared; did you mean `total`?",
    ]


def test_a_right_spec_loads() -> None:
    assert load_spec(spec_data()).version == "1"


def test_the_example_loads() -> None:
    name, namespace, spec = load_file(EXAMPLE)
    assert (name, namespace, spec.target.postgresql.table) == ("order-summaries", "shop", "order_summaries")


FILES = [
    ("kind: Projection\n  x: [", "line 2, column 4: is not YAML: mapping values are not allowed here"),
    ("kind: Other\n", "holds 0 documents of kind Projection; one is needed"),
    ("kind: Projection\napiVersion: v1\n", "apiVersion: must be projections.dev/v1alpha1"),
    ("kind: Projection\napiVersion: projections.dev/v1alpha1\n", "metadata.name: is missing"),
    (
        "kind: Projection\napiVersion: projections.dev/v1alpha1\nmetadata: {name: x}\n",
        "spec: is missing",
    ),
    (
        "kind: Projection\napiVersion: projections.dev/v1alpha1\nmetadata: {name: x}\nspec:\n  on: 1\n  version: '1'\n",
        (
            "spec: a name was read as true: YAML 1.1 takes on, off, yes, no, true and false for truth values; "
            "quote the name"
        ),
    ),
    ("kind: Projection\nspec: {a: 1, a: 2}\n", "line 2, column 14: is not YAML: key 'a' twice"),
]


@pytest.mark.parametrize(("text", "message"), FILES)
def test_files_are_refused_with_the_place(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InvalidSpec) as caught:
        load_file(path)
    assert any(str(problem).endswith(message) for problem in caught.value.problems)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "none.yaml"
    with pytest.raises(InvalidSpec, match="cannot be read: No such file or directory"):
        load_file(path)
