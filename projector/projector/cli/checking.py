"""Commands that look at a Projection without running it: they need neither Kafka nor a database."""

import sys
from pathlib import Path

import click

from projector.cli import options
from projector.cli.endings import FAILED
from projector.fold.validate import validate
from projector.spec.load import load_file
from projector.spec.problems import InvalidSpec


@click.command()
@options.file
def lint(path: Path) -> None:
    """Check a Projection without running it; every problem is one line."""
    try:
        name, _, spec = load_file(path)
        program = validate(spec)
    except InvalidSpec as error:
        for problem in error.problems:
            click.echo(str(problem))
        sys.exit(FAILED)
    click.echo(f"{name}: version {spec.version} is fine; it folds {', '.join(sorted(program.event_types))}")
