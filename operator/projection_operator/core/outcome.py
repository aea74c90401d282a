"""What a row of the table of edges is made of."""

from collections.abc import Callable
from dataclasses import dataclass

from projection_operator.core.actions import Action
from projection_operator.core.case import Case
from projection_operator.core.observation import Unknown
from projection_operator.core.reasons import Reason
from projector.registry import BuildView


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is so (reason and message, for conditions) and what to do about it."""

    reason: Reason
    message: str
    actions: tuple[Action, ...] = ()


@dataclass(frozen=True, slots=True)
class Edge:
    """One row of the table. `name` is for tests and for the table in the docs."""

    name: str
    when: Callable[[Case], bool]
    then: Callable[[Case], Outcome]


def pass_on(unknown: object) -> Outcome:
    """Say what is not known."""
    # Guards and consequences stand side by side in the table; this says so to the type checker.
    assert isinstance(unknown, Unknown)  # noqa: S101
    return Outcome(unknown.reason, unknown.message)


def sure(build: BuildView | None) -> BuildView:
    """A build that the guard of the row saw."""
    assert build is not None  # noqa: S101
    return build


def named(build: BuildView) -> str:
    """A build in words."""
    return f"version {build.version} (build {build.number})"
