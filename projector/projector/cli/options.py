"""Options that several commands have."""

from pathlib import Path

import click

from projector import pod

file = click.option(
    "-f", "--file", "path", type=click.Path(path_type=Path), required=True, help="YAML file with the Projection."
)

target = click.option(
    "--target-uri",
    envvar="PROJECTOR_TARGET_URI",
    help="postgresql://user:password@host:5432/database; or set PROJECTOR_TARGET_URI.",
)


def required(uri: str | None) -> str:
    """The target's URI. Raises BadSettings where none was given."""
    if not uri:
        raise pod.BadSettings("no target: give --target-uri or set PROJECTOR_TARGET_URI")
    return uri
