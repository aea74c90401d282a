"""`projector work` and `projector run`: the commands that fold."""

import os
import sys
from pathlib import Path

import click

from projector import logs, pod, standalone
from projector.cli import options
from projector.cli.endings import TERMINATION_LOG, ending
from projector.fold.validate import validate
from projector.spec.load import load_file


@click.command()
@click.option("--build", type=int, required=True, help="Number of the build in the registry.")
@click.option("--epoch", type=int, required=True, help="Epoch of the build that this worker is started for.")
def work(build: int, epoch: int) -> None:
    """Carry the partitions of one build, as the operator deploys it."""
    logs.configure()
    with ending(TERMINATION_LOG):
        pod.work(pod.PodSettings.read(os.environ), build, epoch)


@click.command()
@options.file
@options.target
@click.option("--bootstrap-servers", help="host:port,host:port instead of the file's brokers.")
@click.option("--http-port", type=click.IntRange(0, 65_535), help="Serve /healthz, /readyz and /metrics there.")
def run(path: Path, target_uri: str | None, bootstrap_servers: str | None, http_port: int | None) -> None:
    """Run a projection without Kubernetes: build, publish and follow it until stopped."""
    terminal = sys.stdout.isatty()
    logs.configure(readable=terminal)
    with ending(None):
        name, namespace, spec = load_file(path)
        validate(spec)
        servers = tuple(bootstrap_servers.split(",")) if bootstrap_servers else spec.source.kafka.bootstrap_servers
        uri = options.required(target_uri)
        _, registry_file = pod.registry_settings(os.environ)
        request = standalone.Request(name, namespace, spec, uri, servers, http_port, registry_file)
        standalone.run(request, pod.stop_on_signals(), terminal)
