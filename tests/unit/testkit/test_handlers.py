"""Projections with a handler: what the commands say, what the spec asks for, and that only workers import it."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from projector.cli import main
from projector.fold.handler_code import function_of
from projector.fold.validate import validate
from projector.spec.definition import Definition
from projector.spec.load import load_spec
from projector.spec.problems import InvalidSpec
from tests.support.specs import problems, spec_data

EXAMPLE = Path("examples/handler").absolute()
IMAGE = "shop@sha256:" + "0" * 64
MODULE = """
import json
from projector.handlers import Upsert

TEXT = "x"

def orders(event, meta):
    return [Upsert(key={"id": event["id"]}, increment={"total": event["n"]})]

async def waits(event, meta):
    return []
"""


@pytest.fixture(autouse=True)
def own_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a command adds to the search path is gone after the test."""
    monkeypatch.setattr("sys.path", [*__import__("sys").path])


def data(handler: str = "no_such_team:orders", **parts: Any) -> dict[str, Any]:
    own = {"handler": handler, "projector": {"image": IMAGE}, "accumulate": {"total": "increment"}}
    return {name: part for name, part in (spec_data() | own | parts).items() if name != "rules" or parts.get("rules")}


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def write(folder: Path, module: str, **parts: Any) -> Path:
    (folder / f"{module}.py").write_text(MODULE, encoding="utf-8")
    document = {"apiVersion": "projections.dev/v1alpha1", "kind": "Projection", "metadata": {"name": "orders"}}
    file = folder / "projection.yaml"
    file.write_text(yaml.safe_dump(document | {"spec": data(f"{module}:orders", **parts)}), encoding="utf-8")
    return file


def test_the_example_passes_its_own_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(EXAMPLE)
    done = run("test", "-f", "projection.yaml")
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[-1] == "2 tests, 0 failed"
    done = run("lint", "-f", "projection.yaml")
    assert (done.exit_code, done.stdout) == (0, "visits: version 1 is fine; visits:visits folds it\n")


def test_tests_run_with_the_module_of_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = [{"type": "E", "value": {"id": "a", "n": 2}}] * 2
    cases = [{"given": given, "then": [{"id": "a", "total": 4}]}, {"given": given, "then": [{"id": "a", "total": 5}]}]
    file = write(tmp_path, "orders_module", tests=cases)
    monkeypatch.chdir(tmp_path)
    done = run("test", "-f", file)
    assert done.exit_code == 1
    assert "total: expected 5, got 4" in done.stdout
    assert done.stdout.splitlines()[-1] == "2 tests, 1 failed"


def test_a_module_that_is_elsewhere_is_named(tmp_path: Path) -> None:
    file = write(tmp_path, "module_elsewhere")
    done = run("lint", "-f", file)
    assert (done.exit_code, done.stdout) == (
        1,
        (
            "spec.handler: there is no module `module_elsewhere` here: run this in the image that holds the handler, "
            "or in the folder where the module is\n"
        ),
    )
    told = run("test", "-f", file)
    assert (told.exit_code, told.stderr) == (2, f"{file}: orders: {done.stdout}")
    explained = run("explain", "--code", "-f", file)
    assert explained.exit_code == 0, explained.output
    assert "set or increment by the handler" in explained.stdout


FUNCTIONS = [
    ("named_module:order", "module `named_module` has no function `order`; did you mean `orders`?"),
    ("named_module:TEXT", "`TEXT` of module `named_module` is str, not a function"),
    ("named_module:waits", "`waits` of module `named_module` is async; a handler is a plain function"),
    (
        "named_module.part:x",
        "there is no module `named_module.part` here: run this in the image that holds the handler",
    ),
    ("wanting:x", "importing `wanting` failed: ModuleNotFoundError: No module named 'no_such_library' (line 1 of "),
    ("raising:x", "importing `raising` failed: ZeroDivisionError: division by zero (line 1 of "),
    ("broken:x", "importing `broken` failed: "),
]


@pytest.mark.parametrize(("name", "message"), FUNCTIONS, ids=[name for name, _ in FUNCTIONS])
def test_what_is_no_function_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, message: str) -> None:
    modules = {"named_module": MODULE, "wanting": "import no_such_library", "raising": "1 / 0", "broken": "def"}
    for module, text in modules.items():
        (tmp_path / f"{module}.py").write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(InvalidSpec) as caught:
        function_of(name)
    assert str(caught.value).startswith(f"spec.handler: {message}")
    assert "\n" not in str(caught.value)


def test_the_operator_imports_no_handler() -> None:
    validate(load_spec(data()))
    guarded = data(ordering={"mode": "Guarded", "by": "event.name + 1.5"}, accumulate=None)
    with pytest.raises(InvalidSpec) as caught:
        validate(load_spec(guarded))
    (problem,) = caught.value.problems
    assert problem.path == "spec.ordering.by"


ACCUMULATE: list[tuple[dict[str, Any], list[str]]] = [
    ({"accumulate": None}, []),
    ({"accumulate": {"total": "increment", "at": "max", "small": "min", "data": "append"}}, []),
    ({"accumulate": {}}, ["spec.accumulate: needs at least 1 entry"]),
    ({"accumulate": {"totl": "max"}}, ["spec.accumulate.totl: column `totl` is not declared; did you mean `total`?"]),
    (
        {"accumulate": {"name": "max"}},
        [
            (
                "spec.accumulate.name: column `name` is text; max serves smallint, integer, bigint, numeric, double "
                "precision, timestamptz and date columns"
            )
        ],
    ),
    (
        {"accumulate": {"total": "add"}},
        ["spec.accumulate.total: must be one of 'increment', 'min', 'max', 'append'"],
    ),
    (
        {"accumulate": {"data": "append"}, "ordering": {"mode": "Commutative"}},
        [
            (
                "spec.accumulate.data: ordering Commutative does not serve append, since its result depends on the "
                "order of events; it serves increment and min and max"
            )
        ],
    ),
]


@pytest.mark.parametrize(("parts", "messages"), ACCUMULATE, ids=[str(parts)[:40] for parts, _ in ACCUMULATE])
def test_what_a_handler_accumulates_fits_the_columns(parts: dict[str, Any], messages: list[str]) -> None:
    assert problems(data(**parts)) == messages


def test_rules_tell_themselves_how_columns_accumulate() -> None:
    assert problems(spec_data() | {"accumulate": {"total": "increment"}}) == [
        "spec.accumulate: is read only with a handler: rules tell themselves how columns accumulate"
    ]
    assert problems(data(accumulate={"id": "max"}))[0] == (
        "spec.accumulate.id: `id` is a key column, which does not change"
    )


def test_what_is_accumulated_is_part_of_the_version() -> None:
    made = Definition.of(load_spec(data()))
    assert made.accumulate == {"total": "increment"}
    assert made.fingerprint != Definition.of(load_spec(data(accumulate=None))).fingerprint
    assert Definition.model_validate_json(made.canonical) == made
