"""Commands of the operator."""

import asyncio
import logging
import sys

import click

from projection_operator.core.manifests import PLURAL, RECORD_PLURAL
from projection_operator.crd import crd_yaml
from projection_operator.crd_records import record_crd_yaml
from projection_operator.service import run as run_service
from projection_operator.settings import BadSetting, Settings
from projector.logs import configure


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
    configure()
    # One line per event of the watches says nothing.
    logging.getLogger("kopf.objects").setLevel(logging.WARNING)
    asyncio.run(run_service(settings))


_CRDS = {PLURAL: crd_yaml, RECORD_PLURAL: record_crd_yaml}


@main.command()
@click.argument("plural", type=click.Choice(list(_CRDS)), required=False)
def crd(plural: str | None) -> None:
    """Print the CustomResourceDefinitions, or one of them."""
    chosen = list(_CRDS) if plural is None else [plural]
    click.echo("---\n".join(_CRDS[one]() for one in chosen), nl=False)
