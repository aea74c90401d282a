"""Conditions whose transition time stays while their status does."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from projection_operator.core.observation import Resource
from projection_operator.core.reasons import Reason, advised
from projection_operator.core.status import Condition, ConditionType

MESSAGE_LIMIT = 4096
Truth = Literal["True", "False", "Unknown"]


@dataclass(frozen=True, slots=True)
class Said:
    """A condition before it has a time."""

    type: ConditionType
    status: Truth
    reason: Reason
    message: str


def previous(status: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    """The condition of this type in an object's status; empty where there is none."""
    for condition in status.get("conditions") or ():
        if condition.get("type") == kind:
            return dict(condition)
    return {}


def conditions(said: tuple[Said, ...], resource: Resource, now: datetime) -> tuple[Condition, ...]:
    """Conditions for the status of `resource`."""
    return tuple(_condition(one, resource, now) for one in said)


def _condition(said: Said, resource: Resource, now: datetime) -> Condition:
    before = previous(resource.status, said.type)
    unchanged = before.get("status") == said.status
    since = before.get("lastTransitionTime") if unchanged else None
    return Condition(
        type=said.type,
        status=said.status,
        reason=said.reason,
        message=_cut(advised(said.reason, said.message)),
        observed_generation=resource.generation,
        last_transition_time=since or now.strftime("%Y-%m-%dT%H:%M:%SZ"),
    )


def _cut(message: str) -> str:
    return message if len(message) <= MESSAGE_LIMIT else message[: MESSAGE_LIMIT - 1] + "…"
