"""The command `projector`. What a user did wrong is answered by one line per problem and exit code 2."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import click
import structlog

from projector import logs, pod, standalone
from projector.fold.validate import validate
from projector.ports import Partition, StoreUnavailable
from projector.registry import Identity, RegistryError
from projector.spec.load import load_file
from projector.spec.problems import InvalidSpec
from projector.stores.postgres import NoSuchBuild, PostgresRegistry
from projector.version import VERSION
from projector.worker.loop import GivenUp

BAD_SPEC, BAD_USAGE, FENCED = 1, 2, 3
TERMINATION_LOG = Path("/dev/termination-log")
"""Kubernetes shows what stands there as the reason of a container's end."""

_file = click.option(
    "-f", "--file", "path", type=click.Path(path_type=Path), required=True, help="YAML file with the Projection."
)
_target = click.option(
    "--target-uri",
    envvar="PROJECTOR_TARGET_URI",
    help="postgresql://user:password@host:5432/database; or set PROJECTOR_TARGET_URI.",
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, prog_name="projector")
def main() -> None:
    """Fold a Kafka log into PostgreSQL read models, exactly once."""


@main.command()
@click.option("--build", type=int, required=True, help="Number of the build in the registry.")
@click.option("--epoch", type=int, required=True, help="Epoch of the build that this worker is started for.")
def work(build: int, epoch: int) -> None:
    """Carry the partitions of one build, as the operator deploys it."""
    logs.configure()
    with _ending(TERMINATION_LOG):
        pod.work(pod.PodSettings.read(os.environ), build, epoch)


@main.command()
@_file
@_target
@click.option("--bootstrap-servers", help="host:port,host:port instead of the file's brokers.")
@click.option("--http-port", type=click.IntRange(0, 65_535), help="Serve /healthz, /readyz and /metrics there.")
def run(path: Path, target_uri: str | None, bootstrap_servers: str | None, http_port: int | None) -> None:
    """Run a projection without Kubernetes: build, publish and follow it until stopped."""
    terminal = sys.stdout.isatty()
    logs.configure(readable=terminal)
    with _ending(None):
        name, namespace, spec = load_file(path)
        validate(spec)
        servers = tuple(bootstrap_servers.split(",")) if bootstrap_servers else spec.source.kafka.bootstrap_servers
        uri = _required(target_uri)
        request = standalone.Request(name, namespace, spec, uri, servers, http_port)
        standalone.run(request, pod.stop_on_signals(), terminal)


@main.command()
@_file
def lint(path: Path) -> None:
    """Check a Projection without running it; every problem is one line."""
    try:
        name, _, spec = load_file(path)
        program = validate(spec)
    except InvalidSpec as error:
        for problem in error.problems:
            click.echo(str(problem))
        sys.exit(BAD_SPEC)
    click.echo(f"{name}: version {spec.version} is fine; it folds {', '.join(sorted(program.event_types))}")


@main.command()
@click.option("-f", "--file", "path", type=click.Path(path_type=Path), help="YAML file with the Projection.")
@click.option("--namespace", default="default", show_default=True, help="Instead of a file: where it is.")
@click.option("--name", help="Instead of a file: the Projection's name.")
@click.option("--installation", default=standalone.INSTALLATION, show_default=True, help="uid of kube-system.")
@click.option("--partition", required=True, metavar="TOPIC/NUMBER", help="Where the event is.")
@click.option("--offset", type=click.IntRange(0), required=True, help="Offset of the event.")
@click.option("--reason", required=True, help="Why it may be passed over; kept for ever.")
@_target
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
    with _ending(None):
        if path is not None:
            name, namespace, _ = load_file(path)
        if not name:
            raise pod.BadSettings("give the Projection by -f FILE or by --name")
        if not reason.strip():
            raise pod.BadSettings("--reason is empty; it is all that later readers will know")
        identity = Identity(installation, namespace, name)
        _discard(_required(target_uri), identity, partition, offset, reason)
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


def _required(uri: str | None) -> str:
    if not uri:
        raise pod.BadSettings("no target: give --target-uri or set PROJECTOR_TARGET_URI")
    return uri


@contextmanager
def _ending(termination_log: Path | None) -> Iterator[None]:
    """Turn what a user can mend into lines and exit codes; the rest is a fault of ours and exits 1."""
    end = partial(_end, termination_log)
    try:
        yield
    except InvalidSpec as error:
        end(BAD_USAGE, *map(str, error.problems))
    except pod.BadSettings as error:
        end(BAD_USAGE, *error.problems)
    except GivenUp as error:
        end(FENCED, str(error))
    except (NoSuchBuild, RegistryError, StoreUnavailable) as error:
        end(BAD_USAGE, f"target: {error}")
    except Exception as error:  # noqa: BLE001 - the last word before the end, so that it is never a bare traceback
        structlog.get_logger(__name__).critical("the projector failed", exc_info=True)
        end(1, f"{type(error).__name__}: {error}")


def _end(termination_log: Path | None, code: int, *lines: str) -> None:
    for line in lines:
        click.echo(line, err=True)
    if termination_log is not None and termination_log.exists():
        termination_log.write_text("\n".join(lines), encoding="utf-8")
    sys.exit(code)
