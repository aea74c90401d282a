"""How commands end: what a user can mend is said in one line per problem, with an exit code."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import click
import structlog

from projector import pod
from projector.cli.codes import BAD_USAGE, FAILED, FENCED
from projector.ports import SourceUnavailable, StoreUnavailable
from projector.registry import RegistryError
from projector.spec.problems import InvalidSpec
from projector.stores.postgres import NoSuchBuild
from projector.worker.loop import GivenUp

TERMINATION_LOG = Path("/dev/termination-log")
"""Kubernetes shows what stands there as the reason of a container's end."""


@contextmanager
def ending(termination_log: Path | None) -> Iterator[None]:
    """Turn what a user can mend into lines and exit codes; the rest is a fault of ours and exits 1."""
    end = partial(_end, termination_log)
    try:
        yield
    except InvalidSpec as error:
        end(BAD_USAGE, *map(str, error.problems))
    except pod.BadSettings as error:
        end(BAD_USAGE, *error.problems)
    except SourceUnavailable as error:
        end(BAD_USAGE, str(error))
    except GivenUp as error:
        end(FENCED, str(error))
    except (NoSuchBuild, RegistryError, StoreUnavailable) as error:
        end(BAD_USAGE, f"target: {error}")
    except Exception as error:  # noqa: BLE001 - the last word before the end, so that it is never a bare traceback
        structlog.get_logger(__name__).critical("the projector failed", exc_info=True)
        end(FAILED, f"{type(error).__name__}: {error}")


def _end(termination_log: Path | None, code: int, *lines: str) -> None:
    for line in lines:
        click.echo(line, err=True)
    if termination_log is not None and termination_log.exists():
        termination_log.write_text("\n".join(lines), encoding="utf-8")
    sys.exit(code)
