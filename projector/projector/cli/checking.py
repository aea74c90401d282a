"""Commands that look at Projections without running them: they need neither Kafka nor a database."""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NoReturn

import click

from projector.advice import warnings
from projector.cli import files
from projector.cli.codes import BAD_USAGE, FAILED
from projector.cli.files import Loaded, loaded
from projector.explain import words
from projector.explain.code import python_of, statements_of
from projector.fold.validate import validate
from projector.spec.definition import Definition
from projector.spec.problems import InvalidSpec
from projector.testkit import junit
from projector.testkit.run import Runner, Verdict, name_of, program_of


@click.command()
@files.option
def lint(paths: tuple[Path, ...]) -> None:
    """Check Projections, their expressions and tests; every problem is one line. Warnings do not fail."""
    found = list(loaded(paths))
    failed = False
    for one in found:
        try:
            for line in _linted(one):
                click.echo(line)
        except InvalidSpec as error:
            failed = True
            for problem in error.problems:
                click.echo(f"{one.path}: {one.name}: {problem}" if len(found) > 1 else str(problem))
    if not found:
        _refuse([f"no Projection in {', '.join(map(str, paths))}"])
    sys.exit(FAILED if failed else 0)


def _linted(one: Loaded) -> Iterator[str]:
    spec = one.valid()
    validate(spec)
    program = program_of(spec)
    for warning in warnings(spec):
        yield f"{one.name}: warning: {warning}"
    folds = f"{spec.handler} folds it" if spec.handler else f"it folds {', '.join(sorted(program.event_types))}"
    yield f"{one.name}: version {spec.version} is fine; {folds}"


@click.command()
@files.option
@click.option("--code", is_flag=True, help="Show the generated Python too.")
def explain(paths: tuple[Path, ...], code: bool) -> None:
    """Say what each event type does, and show the SQL that will run."""
    for one in loaded(paths):
        try:
            spec = one.valid()
            validate(spec)
        except InvalidSpec as error:
            _refuse(f"{one.path}: {one.name}: {problem}" for problem in error.problems)
        parts = [words.overview(one.name, spec), words.events(spec), words.columns(spec)]
        parts.append(statements_of(Definition.of(spec), spec.target.postgresql))
        if code and not spec.handler:
            parts.append(python_of(program_of(spec)))
        click.echo("\n".join(line for part in parts for line in part))


@click.command()
@files.option
@click.option("--name", "wanted", metavar="TEXT", help="Only the tests that have this in their name.")
@click.option("--junit", "report", type=click.Path(path_type=Path), help="Write the results there as JUnit XML.")
def test(paths: tuple[Path, ...], wanted: str | None, report: Path | None) -> None:
    """Run the tests of Projections: given events, then rows. Each runs in many batch splits, which must agree."""
    results: dict[str, list[Verdict]] = {}
    for one in loaded(paths):
        results.setdefault(one.name, []).extend(_verdicts(one, wanted))
    verdicts = [verdict for each in results.values() for verdict in each]
    if wanted is not None and not verdicts:
        _refuse([f"no test has {wanted!r} in its name"])
    if report is not None:
        _report(report, results)
    failures = sum(1 for verdict in verdicts if verdict.differences)
    click.echo(f"{_counted(len(verdicts), 'test')}, {failures} failed")
    sys.exit(FAILED if failures else 0)


def _verdicts(one: Loaded, wanted: str | None) -> Iterator[Verdict]:
    try:
        spec = one.valid()
        validate(spec)
        runner = Runner(spec)
    except InvalidSpec as error:
        _refuse(f"{one.path}: {one.name}: {problem}" for problem in error.problems)
    if not spec.tests:
        click.echo(f"{one.name} has no tests")
    for index, case in enumerate(spec.tests):
        name = name_of(case, index)
        if wanted is None or wanted in name:
            verdict = runner.run(name, case)
            _show(one.name, verdict)
            yield verdict


def _show(projection: str, verdict: Verdict) -> None:
    word = "FAILED" if verdict.differences else "ok"
    counts = f"{_counted(verdict.events, 'event')}, {_counted(verdict.splits, 'split')}"
    click.echo(f"{word:6} {projection}: {verdict.name} ({counts})")
    for line in verdict.differences:
        click.echo(f"       {line}")


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _report(path: Path, results: dict[str, list[Verdict]]) -> None:
    try:
        junit.write(path, results)
    except OSError as error:
        _refuse([f"--junit {path}: {error.strerror}"])


def _refuse(lines: Iterable[str]) -> NoReturn:
    for line in lines:
        click.echo(line, err=True)
    sys.exit(BAD_USAGE)
