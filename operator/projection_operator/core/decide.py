"""The decision of a pass: a total function of what was observed and the time."""

from dataclasses import dataclass
from datetime import datetime

from projection_operator.core.actions import (
    Action,
    BeginBuild,
    BuildIndexes,
    EnsureDeployment,
    OpenCatchUp,
    Publish,
    RecordAction,
    RemoveDeployment,
    RemoveGroup,
    Retire,
    Swap,
)
from projection_operator.core.case import Case
from projection_operator.core.edges import outcome
from projection_operator.core.events import Event, events
from projection_operator.core.lag import Lag
from projection_operator.core.observation import Observation
from projection_operator.core.outcome import Outcome
from projection_operator.core.reasons import Reason, patience
from projection_operator.core.records import records
from projection_operator.core.report import report
from projection_operator.core.status import Status
from projection_operator.core.upkeep import upkeep

SOON = 0.2
"""Seconds until what an act on the registry or a finalizer did is looked at."""

CLEARING = 1.0
"""Seconds between tries to remove what is left of a build, and looks at indexes in work: both may take a while."""

FOLLOWING = 3.0
"""Seconds between looks while lag is above zero or moving."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do, what to say, when to look again (seconds), and the records of it that people read."""

    actions: tuple[Action, ...]
    status: Status
    events: tuple[Event, ...]
    requeue_after: float
    records: tuple[RecordAction, ...] = ()


def decide(observation: Observation, now: datetime) -> Decision:
    """Decide. Never raises; `now` is aware of its zone."""
    case = Case(observation, now)
    found = outcome(case)
    actions = _in_order((*found.actions, *upkeep(case, found.actions)))
    said = _refused(observation, found)
    status = report(case, said)
    return Decision(
        actions=actions,
        status=status,
        events=events(observation.resource.status, status),
        requeue_after=_again(case, said, status, actions),
        records=records(case, status),
    )


def _in_order(actions: tuple[Action, ...]) -> tuple[Action, ...]:
    """The first act that fails ends a pass: a step forward that is refused must not keep what serves from being fed.

    What is left of former builds comes last, since it waits for others.
    """
    return tuple(sorted(actions, key=_place))


def _place(action: Action) -> int:
    match action:
        case RemoveGroup() | Retire():
            return 3
        case BuildIndexes():
            return 2
        case BeginBuild() | OpenCatchUp() | Publish() | Swap():
            return 1
        case _:
            return 0


def _refused(observation: Observation, found: Outcome) -> Outcome:
    refused = observation.refused
    return found if refused is None else Outcome(refused.reason, refused.message)


def _again(case: Case, said: Outcome, status: Status, actions: tuple[Action, ...]) -> float:
    if case.obs.refused is not None:
        return patience(case.obs.refused.reason)
    # Deployments wake the loop by their own events.
    acts = [action for action in actions if not isinstance(action, EnsureDeployment | RemoveDeployment)]
    if acts:
        return CLEARING if all(isinstance(action, RemoveGroup | Retire | BuildIndexes) for action in acts) else SOON
    if said.reason is Reason.PLANNED:
        return SOON
    reasons = (said.reason, *(Reason(condition.reason) for condition in status.conditions))
    wait = min(map(patience, reasons))
    if case.child is not None and case.child.unavailable_since is not None:
        wait = min(wait, patience(Reason.NO_WORKER_READY))
    if isinstance(case.lag, Lag):
        moved = (case.obs.resource.status.get("lag") or {}).get("events") != case.lag.events
        return min(wait, FOLLOWING) if moved or case.lag.events else wait
    return wait
