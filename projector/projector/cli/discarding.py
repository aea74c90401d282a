"""`projector discard`: the decision that an event is passed over."""

from pathlib import Path

import click

from projector import pod, standalone
from projector.cli import options
from projector.cli.endings import ending
from projector.ports import Partition
from projector.registry import Identity
from projector.spec.load import load_file
from projector.stores.postgres import PostgresRegistry


@click.command()
@click.option("-f", "--file", "path", type=click.Path(path_type=Path), help="YAML file with the Projection.")
@click.option("--namespace", default="default", show_default=True, help="Instead of a file: where it is.")
@click.option("--name", help="Instead of a file: the Projection's name.")
@click.option("--installation", default=standalone.INSTALLATION, show_default=True, help="uid of kube-system.")
@click.option("--partition", required=True, metavar="TOPIC/NUMBER", help="Where the event is.")
@click.option("--offset", type=click.IntRange(0), required=True, help="Offset of the event.")
@click.option("--reason", required=True, help="Why it may be passed over; kept for ever.")
@options.target
def discard(
    path: Path | None,
    namespace: str,
    name: str | None,
    installation: str,
    partition: str,
    offset: int,
    reason: str,
    target_uri: str | None,
) -> None:
    """Decide that one event is to be passed over, by this build and all later ones."""
    with ending(None):
        if path is not None:
            name, namespace, _ = load_file(path)
        if not name:
            raise pod.BadSettings("give the Projection by -f FILE or by --name")
        if not reason.strip():
            raise pod.BadSettings("--reason is empty; it is all that later readers will know")
        identity = Identity(installation, namespace, name)
        _discard(options.required(target_uri), identity, partition, offset, reason)
    click.echo(f"{partition} offset {offset} of {namespace}/{name} will be passed over")


def _discard(uri: str, identity: Identity, place: str, offset: int, reason: str) -> None:
    registry = PostgresRegistry(uri, identity.installation)
    try:
        registry.discard(_partition(registry, identity, place), offset, identity, reason)
    finally:
        registry.close()


def _partition(registry: PostgresRegistry, identity: Identity, place: str) -> Partition:
    """The partition that the newest build reads under that name: an offset alone would not say of which topic."""
    view = registry.observe(identity)
    if view is None:
        raise pod.BadSettings(
            f"the target knows no projection {identity.namespace}/{identity.name} of installation "
            f"{identity.installation}; see --installation"
        )
    known = {f"{c.partition.topic}/{c.partition.number}": c.partition for b in view.builds for c in b.checkpoints}
    if place not in known:
        raise pod.BadSettings(f"--partition {place}: there are {', '.join(sorted(known)) or 'none'}")
    return known[place]
