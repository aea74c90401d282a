"""Checks of lengths of time in rebuild, promotion and rollback."""

from collections.abc import Iterator
from datetime import timedelta

from projector.spec.base import length
from projector.spec.models import ProjectionSpec
from projector.spec.problems import Problem

MOST = {"gate": timedelta(seconds=2), "viewLock": timedelta(seconds=1)}
"""Others wait for a swap, which has to end within the time limit of the operator's statements."""


def check_rollout(spec: ProjectionSpec) -> Iterator[Problem]:
    """Lengths that would hold others up for too long, or that leave no time for anything."""
    swap = spec.promotion.swap
    for name, duration in (("gate", swap.gate), ("viewLock", swap.view_lock)):
        path = f"spec.promotion.swap.{name}"
        if length(duration) > MOST[name]:
            yield Problem(path, f"{duration} is longer than others may be made to wait: at most {_text(MOST[name])}")
        if not length(duration):
            yield Problem(path, "must be longer than nothing")
    if not length(spec.rebuild.step_deadline):
        yield Problem("spec.rebuild.stepDeadline", "must be longer than nothing")


def _text(time: timedelta) -> str:
    return f"{time.total_seconds():g}s"
