"""The commands of `python -m sandbox`."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Callable
from dataclasses import asdict

from .core import PARTS, Sandbox
from .errors import SandboxError, last_lines


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(prog="python -m sandbox", description="A local PostgreSQL, Kafka and Kubernetes.")
    commands = top.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="start parts and what they need; default all")
    up.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    commands.add_parser("down", help="stop everything, undo all changes to the machine, keep the data")
    clean = commands.add_parser("clean", help="down, and remove the data")
    clean.add_argument("--cache", action="store_true", help="remove also what was built")
    commands.add_parser("images", help="build the product's images and hand them to the node")
    commands.add_parser("env", help='print shell variables: eval "$(python -m sandbox env)"')
    commands.add_parser("status", help="what runs")
    logs = commands.add_parser("logs", help="the end of a program's log")
    logs.add_argument("name", help="kafka, postgres, kube-apiserver, ...")
    logs.add_argument("-n", type=int, default=50, help="how many lines")
    return top


def main(arguments: list[str] | None = None) -> int:
    """Run one command; 1 after a failure."""
    options = parser().parse_args(arguments)
    try:
        _run(Sandbox(), options)
    except SandboxError as error:
        print(f"sandbox: error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader, `head` for example, has seen enough; nor may the flush at the end complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return 0


def _run(sandbox: Sandbox, options: argparse.Namespace) -> None:
    commands: dict[str, Callable[[], None]] = {
        "up": lambda: sandbox.up(*options.parts),
        "down": sandbox.down,
        "clean": lambda: sandbox.clean(cache=options.cache),
        "images": lambda: _images(sandbox),
        "env": lambda: _env(sandbox),
        "status": lambda: _status(sandbox),
        "logs": lambda: _logs(sandbox, options.name, options.n),
    }
    commands[options.command]()


def _images(sandbox: Sandbox) -> None:
    for name, image in asdict(sandbox.images()).items():
        print(f"{name:10} {image}")


def _env(sandbox: Sandbox) -> None:
    ends = sandbox.endpoints
    print(f"export KUBECONFIG={shlex.quote(str(ends.kubeconfig))}")
    print(f"export PATH={shlex.quote(str(sandbox.tool('kubectl').parent))}:$PATH")
    print(f"export SANDBOX_POSTGRES={shlex.quote(ends.postgres_uri)}")
    print(f"export SANDBOX_KAFKA={shlex.quote(ends.kafka)}")


def _status(sandbox: Sandbox) -> None:
    for process in sandbox.processes:
        record = process.record
        answers = "answers" if record and process.service.ready() else "does not answer"
        print(f"{process.name:26} {'-' if record is None else f'pid {record.pid}, {answers}'}")


def _logs(sandbox: Sandbox, name: str, count: int) -> None:
    print("\n".join(last_lines(sandbox.process(name).log, count)))
