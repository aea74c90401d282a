"""`projector lint`, `test` and `explain` as a team's CI sees them: lines, exit codes, JUnit."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import yaml
from click.testing import CliRunner, Result

from projector.cli import main
from tests.support.specs import RULE, spec_data

EXAMPLE = Path("examples/shop/order-summaries.yaml")
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def made(name: str = "orders", **parts: Any) -> Path:
        document = {"apiVersion": "projections.dev/v1alpha1", "kind": "Projection", "metadata": {"name": name}}
        file = tmp_path / f"{name}.yaml"
        file.write_text(yaml.safe_dump(document | {"spec": spec_data([dict(RULE)], COLUMNS) | parts}), encoding="utf-8")
        return file

    return made


COLUMNS = ({"name": "id", "type": "text"}, {"name": "name", "type": "text"})
GIVEN = [{"type": "E", "value": {"id": "1", "name": "x"}}]
GOOD = {"name": "all is well", "given": GIVEN, "then": [{"id": "1", "name": "x"}]}
BAD = {"given": GIVEN, "then": [{"id": "1", "name": "y & <z>"}]}


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_the_example_passes_its_own_tests() -> None:
    done = run("test", "-f", EXAMPLE)
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[-1] == "3 tests, 0 failed"


def test_results_are_lines_and_a_failure_exits_with_1(write: Write) -> None:
    done = run("test", "-f", write(tests=[GOOD, BAD]))
    assert done.exit_code == 1
    assert done.stdout.splitlines() == [
        "ok     orders: all is well (1 event, 1 split)",
        "FAILED orders: tests[1] (1 event, 1 split)",
        "       row id=1",
        '         name: expected "y & <z>", got "x"',
        "2 tests, 1 failed",
    ]


def test_names_choose_tests(write: Write) -> None:
    file = write(tests=[GOOD, BAD])
    assert run("test", "-f", file, "--name", "well").exit_code == 0
    none = run("test", "-f", file, "--name", "none of them")
    assert (none.exit_code, none.stderr) == (2, "no test has 'none of them' in its name\n")


def test_what_is_wrong_with_the_file_exits_with_2(write: Write, tmp_path: Path) -> None:
    wrong = run("test", "-f", write(tests=[{"given": [], "then": [{"nmae": "x"}]}]))
    assert wrong.exit_code == 2
    assert "orders.yaml: orders: spec.tests[0].then[0].nmae: column `nmae` is not declared" in wrong.stderr
    typed = run("test", "-f", write(rules=[dict(RULE) | {"set": {"name": "1"}}], tests=[GOOD]))
    assert typed.exit_code == 2
    assert "spec.rules[0].set.name, column 1: " in typed.stderr
    assert run("test", "-f", tmp_path / "none.yaml").exit_code == 2


def test_a_projection_without_tests_says_so(write: Write) -> None:
    done = run("test", "-f", write())
    assert (done.exit_code, done.stdout) == (0, "orders has no tests\n0 tests, 0 failed\n")


def test_junit_has_a_suite_per_projection(write: Write, tmp_path: Path) -> None:
    write(tests=[GOOD, BAD])
    write("payments", tests=[GOOD])
    report = tmp_path / "junit.xml"
    assert run("test", "-f", tmp_path, "--junit", report).exit_code == 1
    root = ET.parse(report).getroot()  # noqa: S314 - our own
    assert (root.tag, root.get("tests"), root.get("failures")) == ("testsuites", "3", "1")
    suites = {suite.get("name"): suite for suite in root}
    assert set(suites) == {"orders", "payments"}
    cases = suites["orders"].findall("testcase")
    assert [(case.get("classname"), case.get("name")) for case in cases] == [
        ("orders", "all is well"),
        ("orders", "tests[1]"),
    ]
    assert cases[0].find("failure") is None
    failure = cases[1].find("failure")
    assert failure is not None
    assert failure.get("message") == 'row id=1; name: expected "y & <z>", got "x"'
    assert all(float(case.get("time", "")) >= 0 for case in root.iter("testcase"))


def test_a_report_that_cannot_be_written_is_said(write: Write, tmp_path: Path) -> None:
    done = run("test", "-f", write(tests=[GOOD]), "--junit", tmp_path / "no" / "junit.xml")
    assert done.exit_code == 2
    assert done.stderr.endswith("junit.xml: No such file or directory\n")


def test_lint_reads_directories_and_leaves_other_files(write: Write, tmp_path: Path) -> None:
    write()
    write("payments", rules=[dict(RULE) | {"events": ["E", "E"]}])
    (tmp_path / "service.yaml").write_text("kind: Service\n---\n{{ a: chart }}\n", encoding="utf-8")
    done = run("lint", "-f", tmp_path)
    assert done.exit_code == 1
    assert done.stdout.splitlines() == [
        "orders: version 1 is fine; it folds E",
        f"{tmp_path / 'payments.yaml'}: payments: spec.rules[0].events[1]: event type `E` is named twice",
    ]


def test_lint_of_nothing_is_a_mistake(tmp_path: Path) -> None:
    done = run("lint", "-f", tmp_path)
    assert (done.exit_code, done.stderr) == (2, f"no Projection in {tmp_path}\n")


def kafka(**parts: Any) -> dict[str, Any]:
    return {"source": {"kafka": spec_data()["source"]["kafka"] | parts}}


FOR_EACH = {"events": ["E"], "forEach": "event.lines", "set": {"name": "item.name"}}
WARNINGS: list[tuple[dict[str, Any], str | None]] = [
    (
        kafka(topics=["a", "b"]),
        (
            "spec.source.kafka.topics: with ordering PerKey all events of a row must lie in one partition of one of "
            "the 2 topics; ordering Guarded or Commutative holds without that"
        ),
    ),
    (kafka(topics=["a", "b"]) | {"ordering": {"mode": "Guarded", "by": "event.v"}}, None),
    (
        {"rules": [FOR_EACH | {"key": {"id": "item.sku"}}]},
        (
            "spec.rules[0].key: `id` is told by item alone, so events of one row may lie in several partitions, whose "
            "order is not fixed; ordering Guarded or Commutative holds without that"
        ),
    ),
    ({"rules": [FOR_EACH | {"key": {"id": "event.id + 'item'"}}]}, None),
    (
        {
            "rules": [FOR_EACH | {"key": {"id": "event.id", "line": "item.line"}}],
            "target": spec_data([], [*COLUMNS, {"name": "line", "type": "bigint"}], key=["id", "line"])["target"],
        },
        None,
    ),
    (kafka(eventVersion="header.v"), "spec.source.kafka.eventVersion: no rule names a version, so nothing reads it"),
    (
        {"rules": [{"events": ["E"], "key": {"id": "event.id"}, "delete": True}]},
        "spec.target.postgresql.columns[1]: no rule changes `name`: it always holds NULL",
    ),
]


@pytest.mark.parametrize(("parts", "warning"), WARNINGS)
def test_what_is_likely_wrong_is_warned_of_and_passes(write: Write, parts: dict[str, Any], warning: str | None) -> None:
    done = run("lint", "-f", write(**parts))
    assert done.exit_code == 0, done.output
    expected = ["orders: version 1 is fine; it folds E"]
    assert done.stdout.splitlines() == ([f"orders: warning: {warning}"] if warning else []) + expected
