"""The command `projector`. What a user did wrong is answered by one line per problem and exit code 2."""

import sys
from pathlib import Path

import click

from projector.cli.checking import explain, lint, test
from projector.cli.discarding import discard
from projector.cli.parked import parked
from projector.cli.running import run, work
from projector.version import VERSION


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, prog_name="projector")
def main() -> None:
    """Fold a Kafka log into PostgreSQL read models, exactly once."""
    # Where a handler is looked for last: a team's module lies where its command is started.
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.append(here)


for command in (run, work, lint, test, explain, discard, parked):
    main.add_command(command)
