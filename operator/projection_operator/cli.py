"""Commands of the operator."""

import asyncio
import sys

import click

from projection_operator.crd import crd_yaml
from projection_operator.logs import configure
from projection_operator.service import run as run_service
from projection_operator.settings import BadSetting, Settings


@click.group()
def main() -> None:
    """Projections as Kubernetes resources."""


@main.command()
def run() -> None:
    """Run the operator; settings come from PROJECTION_OPERATOR_* variables."""
    try:
        settings = Settings.of()
    except BadSetting as error:
        click.echo(str(error), err=True)
        sys.exit(2)
    configure(settings.log_level)
    asyncio.run(run_service(settings))


@main.command()
def crd() -> None:
    """Print the CustomResourceDefinition."""
    click.echo(crd_yaml(), nl=False)
