"""Events on transitions only: what the new status says that the old one did not."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from projection_operator.core.conditions import previous
from projection_operator.core.reasons import OUTAGES, Reason
from projection_operator.core.status import Condition, ConditionType, Phase, Status
from projector.spec.models import Index

MESSAGE_LIMIT = 1024
"""What the API server accepts in an event."""


@dataclass(frozen=True, slots=True)
class Event:
    """One Kubernetes event about the Projection."""

    type: Literal["Normal", "Warning"]
    reason: Reason
    message: str


def events(before: Mapping[str, Any], after: Status) -> tuple[Event, ...]:
    """Events for the step from the status as it was to the new one."""
    return (*_builds(before, after), *_conditions(before, after))


def _builds(before: Mapping[str, Any], after: Status) -> Iterator[Event]:
    old_candidate = (before.get("candidate") or {}).get("build")
    new_candidate = after.candidate.build if after.candidate else None
    if after.candidate is not None and new_candidate != old_candidate:
        yield Event(
            "Normal", Reason.BUILD_BEGUN, f"build {new_candidate} of version {after.candidate.version} has begun"
        )
    yield from _plan(before, after)
    yield from _step(before, after)
    if after.live_build is not None and after.live_build != before.get("liveBuild"):
        yield _shown(before, after)
    elif old_candidate not in (None, new_candidate):
        yield Event("Normal", Reason.BUILD_GIVEN_UP, f"build {old_candidate} was given up")
    yield from _retired(before, after)
    yield from _indexes(before, after)


def _plan(before: Mapping[str, Any], after: Status) -> Iterator[Event]:
    if after.plan is not None and after.plan.hash != (before.get("plan") or {}).get("hash"):
        plan = after.plan
        yield Event(
            "Normal",
            Reason.PLANNED,
            f"{plan.kind} from version {plan.from_version} to {plan.to_version}, {plan.events} events to read; see "
            f"status.plan ({plan.hash})",
        )


def _step(before: Mapping[str, Any], after: Status) -> Iterator[Event]:
    if after.candidate is None or after.candidate.step in _NOT_YET_OPEN:
        return
    old = before.get("candidate") or {}
    if old.get("build") == after.candidate.build and old.get("step") not in _NOT_YET_OPEN:
        return
    message = f"build {after.candidate.build} has replayed the log and follows it now"
    yield Event("Normal", Reason.CATCHING_UP, message)


_NOT_YET_OPEN = (Phase.REPLAYING, Phase.INDEXING)


def _shown(before: Mapping[str, Any], after: Status) -> Event:
    now = f"version {after.live_version} (build {after.live_build})"
    was = before.get("liveBuild")
    if was is None:
        return Event("Normal", Reason.PUBLISHED, f"{now} is live")
    instead = f"in the place of version {before.get('liveVersion')} (build {was}), which is kept"
    if any(kept.get("build") == after.live_build for kept in before.get("retained") or ()):
        return Event("Normal", Reason.ROLLED_BACK, f"{now} is live again, {instead}")
    return Event("Normal", Reason.SWAPPED, f"{now} is live, {instead}")


def _retired(before: Mapping[str, Any], after: Status) -> Iterator[Event]:
    still = {after.live_build, *(kept.build for kept in after.retained)}
    for kept in before.get("retained") or ():
        build = kept.get("build")
        if build not in still:
            message = f"version {kept.get('version')} (build {build}) is no longer kept; its table is dropped"
            yield Event("Normal", Reason.RETIRED, message)


def _indexes(before: Mapping[str, Any], after: Status) -> Iterator[Event]:
    """Of the build that the status speaks of, where that is the same."""
    build = after.live_build or (after.candidate.build if after.candidate else None)
    if build is None or build != (before.get("liveBuild") or (before.get("candidate") or {}).get("build")):
        return
    old = {_index(one.get("method"), one.get("columns")): one.get("state") for one in before.get("indexes") or ()}
    new = {_index(one.method, one.columns): one.state for one in after.indexes}
    for name, state in new.items():
        if state == "Valid" and old.get(name, "Valid") not in {"Valid", "Dropping"}:
            yield Event("Normal", Reason.INDEX_BUILT, f"index {name} of build {build} is made")
    for name, state in old.items():
        if state == "Dropping" and name not in new:
            yield Event("Normal", Reason.INDEX_DROPPED, f"index {name} of build {build} is dropped")


def _index(method: Any, columns: Iterable[str] | None) -> str:
    return str(Index.model_construct(columns=tuple(columns or ()), method=method))


_WATCHED = (ConditionType.STALLED, ConditionType.DEGRADED)


def _conditions(before: Mapping[str, Any], after: Status) -> Iterator[Event]:
    warned: set[str] = set()
    for condition in after.conditions:
        old = previous(before, condition.type)
        if _warns(condition) and not _same(old, condition):
            # Two conditions may tell of one trouble; one event is enough.
            if condition.reason not in warned:
                yield Event("Warning", Reason(condition.reason), condition.message[:MESSAGE_LIMIT])
            warned.add(condition.reason)
        elif condition.type in _WATCHED and condition.status == "False" and old.get("status") == "True":
            yield Event("Normal", Reason.RECOVERED, f"no longer {condition.type}: {old.get('reason')} is over")


def _warns(condition: Condition) -> bool:
    if condition.type in _WATCHED:
        return condition.status == "True"
    return condition.type == ConditionType.READY and condition.status != "True" and condition.reason in OUTAGES


def _same(old: Mapping[str, Any], new: Condition) -> bool:
    return bool(old.get("status") == new.status and old.get("reason") == new.reason)
