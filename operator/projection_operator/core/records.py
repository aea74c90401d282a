"""Which records of builds, `ProjectionRebuild`, there ought to be, and what is to be done about it.

A view of the registry: a record that is deleted comes back while the registry has its build. What only its time knew
(what was live, under which plan it was begun) is written when it is first seen, and kept from the record after that.
"""

from collections.abc import Mapping
from typing import Any

from projection_operator.core import lag
from projection_operator.core.actions import ApplyRecord, RecordAction, RemoveRecord
from projection_operator.core.case import Case
from projection_operator.core.manifests import (
    GROUP,
    RECORD_KIND,
    VERSION,
    Owner,
    deployment_name,
    labels_of,
    owner_reference,
)
from projection_operator.core.observation import Recorded, Unknown
from projection_operator.core.plan import plan
from projection_operator.core.rebuild import timestamp
from projection_operator.core.record import MESSAGE_LIMIT, End, RecordSpec, RecordStatus
from projection_operator.core.status import ConditionType, Phase, PlanStatus, Status
from projector.registry import BuildState, BuildView, EndedBuild, Ending
from projector.spec.models import ProjectionSpec

Run = BuildView | EndedBuild
"""A build as far as the registry still has it."""

_ON_THE_WAY = {BuildState.REPLAYING: Phase.REPLAYING, BuildState.CATCHING_UP: Phase.CATCHING_UP}
_GIVEN_UP = frozenset(End) - {End.LIVE, End.REPLACED, End.ROLLED_BACK}
"""Ends after which nothing comes, so that a record may say so when the registry shows the build no more."""


def record_name(projection: str, build: int) -> str:
    """Name of the record of a build, which is its Deployment's too."""
    return deployment_name(projection, build)


def records(case: Case, status: Status) -> tuple[RecordAction, ...]:
    """What is to be done; nothing while deleting, nor where registry or records could not be read."""
    seen, spec = case.obs.records, case.spec
    if isinstance(seen, Unknown) or isinstance(case.obs.registry, Unknown):
        return ()
    if spec is None or case.obs.resource.deleting:
        return ()
    return _records(case, spec, status, {record.build: record for record in seen})


def _records(
    case: Case, spec: ProjectionSpec, status: Status, seen: Mapping[int, Recorded]
) -> tuple[RecordAction, ...]:
    runs = _runs(case)
    beyond = set(_past(runs, seen)[spec.rebuild.history_limit :])
    kept = (_keep(case, run, seen.get(number), status) for number, run in runs.items() if number not in beyond)
    over = (record for number, record in seen.items() if number in beyond or _unfounded(number, runs, record))
    return (*(action for action in kept if action is not None), *(RemoveRecord(record.name) for record in over))


def _runs(case: Case) -> dict[int, Run]:
    """By number, oldest first; the whole build where the registry still has it."""
    if case.view is None:
        return {}
    ended: dict[int, Run] = {one.number: one for one in case.view.ended}
    whole: dict[int, Run] = {one.number: one for one in case.view.builds}
    return dict(sorted((ended | whole).items()))


def _past(runs: Mapping[int, Run], seen: Mapping[int, Recorded]) -> list[int]:
    """Builds that are neither on their way nor live, newest first: those that the limit is for."""
    present = (*_ON_THE_WAY, BuildState.LIVE)
    found = {n for n, run in runs.items() if isinstance(run, EndedBuild) or run.state not in present}
    found |= {number for number, record in seen.items() if number not in runs and _told(record)}
    return sorted(found, reverse=True)


def _told(record: Recorded) -> bool:
    return record.status.get("step") in _GIVEN_UP


def _unfounded(number: int, runs: Mapping[int, Run], record: Recorded) -> bool:
    """Whether a record tells of something present that the registry does not have."""
    return number not in runs and not _told(record)


def _keep(case: Case, run: Run, record: Recorded | None, status: Status) -> RecordAction | None:
    if record is not None and not _same(run, record):
        # Of a build that had this number in another database; it is written anew in the next pass.
        return RemoveRecord(record.name)
    said = _status(case, run, {} if record is None else record.status, status).to_dict()
    if record is not None and said == dict(record.status):
        return None
    name = record_name(case.obs.resource.name, run.number)
    return ApplyRecord(name, _manifest(case, run) if record is None else None, said)


def _same(run: Run, record: Recorded) -> bool:
    named = (record.spec.get("version"), record.spec.get("rebuildToken")) == (run.version, run.token)
    started = record.status.get("startedAt")
    return named and (isinstance(run, EndedBuild) or started in {None, timestamp(run.created_at)})


def _manifest(case: Case, run: Run) -> dict[str, Any]:
    resource = case.obs.resource
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": RECORD_KIND,
        "metadata": {
            "name": record_name(resource.name, run.number),
            "namespace": resource.namespace,
            "labels": labels_of(resource.name, run.number),
            "ownerReferences": [owner_reference(Owner(resource.namespace, resource.name, resource.uid))],
        },
        "spec": _spec(case, run).to_dict(),
    }


def _spec(case: Case, run: Run) -> RecordSpec:
    # What was live at the begin of a build that is not on its way any more, nobody knows.
    live = case.live if run is case.candidate else None
    return RecordSpec(
        projection=case.obs.resource.name,
        version=run.version,
        build=run.number,
        rebuild_token=run.token,
        from_version=None if live is None else live.version,
        from_build=None if live is None else live.number,
        plan=_plan(case) if run is case.candidate else None,
    )


def _plan(case: Case) -> str | None:
    """Not that of a way back, which is asked for while the candidate is still there."""
    found = plan(case)
    return found.hash if isinstance(found, PlanStatus) and found.kind == "Replay" else None


def _status(case: Case, run: Run, before: Mapping[str, Any], status: Status) -> RecordStatus:
    if isinstance(run, EndedBuild):
        return _ended(run, before)
    step, message = _said(case, run, before, status)
    return RecordStatus(
        step=step,
        percent=lag.percent(run),
        events=lag.to_replay(run),
        started_at=timestamp(run.created_at),
        finished_at=_finished(run, before),
        message=message[:MESSAGE_LIMIT],
    )


def _ended(run: EndedBuild, before: Mapping[str, Any]) -> RecordStatus:
    """Of a build of which nothing is left but why; what its record knew besides stays."""
    never_shown = None if run.ending is Ending.EXPIRED else timestamp(run.at)
    return RecordStatus(
        step=_end(run.ending),
        percent=before.get("percent"),
        events=before.get("events"),
        started_at=before.get("startedAt"),
        finished_at=before.get("finishedAt") or never_shown,
        message=run.reason[:MESSAGE_LIMIT],
    )


def _end(ending: Ending) -> str:
    return End.RETIRED if ending is Ending.EXPIRED else ending.value


def _finished(build: BuildView, before: Mapping[str, Any]) -> str | None:
    if build.state in _ON_THE_WAY:
        return None
    # A way back shows a build once more, and the registry has that later time; the record has kept the first.
    kept: str | None = before.get("finishedAt")
    return kept or timestamp(build.published_at or build.changed_at)


def _said(case: Case, build: BuildView, before: Mapping[str, Any], status: Status) -> tuple[str, str]:
    """Step and message."""
    if build.state is BuildState.LIVE:
        return End.LIVE, "readers are given this build"
    if build.state is BuildState.WARM:
        return _replaced(case, build, before)
    if build.state not in _ON_THE_WAY:
        return _end(build.ending or Ending.SUPERSEDED), build.reason
    found = status.candidate
    if found is not None and found.build == build.number:
        return found.step, _why(status)
    return _ON_THE_WAY[build.state], ""


def _replaced(case: Case, build: BuildView, before: Mapping[str, Any]) -> tuple[str, str]:
    at = timestamp(build.changed_at)
    if _taken_back(case, build, before):
        return End.ROLLED_BACK, f"readers were given an older build again at {at}; the table is kept"
    return End.REPLACED, f"another build took its place at {at}; the table is kept"


def _taken_back(case: Case, build: BuildView, before: Mapping[str, Any]) -> bool:
    """Only the build that was replaced last was replaced by what is live; of others the record knows."""
    if before.get("step") in {End.REPLACED, End.ROLLED_BACK}:
        return End(before["step"]) is End.ROLLED_BACK
    last = max(case.warm, key=lambda one: one.changed_at)
    return case.live is not None and build is last and case.live.number < build.number


def _why(status: Status) -> str:
    said = {condition.type: condition for condition in status.conditions}
    stalled = said[ConditionType.STALLED]
    return stalled.message if stalled.status == "True" else said[ConditionType.RECONCILING].message
