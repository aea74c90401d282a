"""What a change of version will do, told before it is done. Its hash is what a person approves."""

import hashlib
import json
from collections.abc import Iterator

from projection_operator.core import lag
from projection_operator.core.case import Case
from projection_operator.core.observation import SourceView, Unknown
from projection_operator.core.reasons import Reason
from projection_operator.core.status import PlanStatus
from projector.registry import BuildView, Survey
from projector.spec.definition import Definition
from projector.spec.models import ProjectionSpec

HASH_LENGTH = 12
SHOWN = 20
"""Entries of a list in the status; more are counted."""


def plan(case: Case) -> PlanStatus | Unknown | None:
    """The plan; None where nothing is live that could be replaced, or what is live is asked for."""
    live, spec = case.live, case.spec
    if live is None or spec is None or case.obs.desired.definition is None or case.asked(live):
        return None
    survey, source = case.obs.survey, case.log_of_spec
    if isinstance(survey, Unknown):
        return survey
    if survey is None:
        return Unknown(Reason.OUT_OF_STEP, "nothing was live when the table was looked at")
    if case.returning is not None:
        return _rollback(live, case.returning, survey)
    if isinstance(source, Unknown):
        return source
    return _replay(case, live, spec, survey, source)


def needs_approval(case: Case) -> bool:
    """Whether the candidate is not shown before a person has approved the plan."""
    found = plan(case)
    if not isinstance(found, PlanStatus):
        return False
    return bool(found.unmanaged) or (case.spec is not None and case.spec.promotion.mode == "Manual")


def approved(case: Case) -> bool:
    """Whether the candidate may be shown."""
    found = plan(case)
    if not isinstance(found, PlanStatus) or case.spec is None:
        return False
    return not needs_approval(case) or case.spec.promotion.approved_plan == found.hash


def shown(case: Case) -> bool:
    """Whether the status already has the plan."""
    found = plan(case)
    before = case.obs.resource.status.get("plan") or {}
    return isinstance(found, PlanStatus) and before.get("hash") == found.hash


def _replay(case: Case, live: BuildView, spec: ProjectionSpec, survey: Survey, source: SourceView) -> PlanStatus:
    new = Definition.of(spec)
    table = spec.target.postgresql
    events = sum(bounds.end - bounds.start for bounds in source.ends.values())
    return PlanStatus(
        hash=_hash(case, live, new, survey, source),
        kind="Replay",
        from_version=live.version,
        from_build=live.number,
        to_version=spec.version,
        events=events,
        seconds=_seconds(live, events),
        bytes=survey.total_bytes,
        creates=(
            f"table {table.db_schema}.{table.table}__b…, with the number of its build",
            *(f"index on it: {index}" for index in table.indexes),
        ),
        drops=(f"table {table.db_schema}.{live.table}, {spec.rollback.retain_for} after the swap",),
        columns=tuple(_columns(live.definition, new)),
        dependents=_listed(survey.dependents),
        grants=_listed(survey.grants),
        unmanaged=_listed(tuple(f"{one.kind} {one.name}" for one in survey.unmanaged)),
        warnings=tuple(_warnings(spec, live.definition, new, survey)),
    )


def _rollback(live: BuildView, back: BuildView, survey: Survey) -> PlanStatus:
    text = json.dumps([live.number, back.number])
    return PlanStatus(
        hash=hashlib.sha256(text.encode()).hexdigest()[:HASH_LENGTH],
        kind="Rollback",
        from_version=live.version,
        from_build=live.number,
        to_version=back.version,
        events=0,
        columns=tuple(_columns(live.definition, back.definition)),
        dependents=_listed(survey.dependents),
        grants=_listed(survey.grants),
        warnings=tuple(_shape_warnings(live.definition, back.definition, survey)),
    )


def _hash(case: Case, live: BuildView, new: Definition, survey: Survey, source: SourceView) -> str:
    """Of what a person decides on: the attempt, the definition, the log, and what would be lost."""
    spec = case.spec
    said = [
        live.number,
        _attempt(case),
        spec.version if spec else "",
        spec.rebuild_token if spec else "",
        new.fingerprint,
        sorted({partition.topic_id for partition in source.ends}),
        sorted(f"{one.kind} {one.name}" for one in survey.unmanaged),
    ]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:HASH_LENGTH]


def _attempt(case: Case) -> int:
    """The newest build before the candidate: a candidate after a failed one is another plan."""
    if case.view is None:
        return 0
    numbers = {build.number for build in case.view.builds} | {build.number for build in case.view.ended}
    ours = set() if case.candidate is None else {case.candidate.number}
    return max(numbers - ours, default=0)


def _seconds(live: BuildView, events: int) -> int | None:
    """By the rate of the live build's own replay."""
    if live.replayed_at is None or not lag.to_replay(live):
        return None
    took = max(1.0, (live.replayed_at - live.created_at).total_seconds())
    return round(events * took / lag.to_replay(live))


def _columns(old: Definition, new: Definition) -> Iterator[str]:
    before, after = ({column.name: column for column in definition.columns} for definition in (old, new))
    for name, column in after.items():
        if name not in before:
            yield f"+ {name} {column.type}"
        elif before[name].type != column.type:
            yield f"~ {name} {before[name].type} -> {column.type}"
    for name, column in before.items():
        if name not in after:
            yield f"- {name} {column.type}"


def _only_grows(old: Definition, new: Definition) -> bool:
    """Whether the view keeps its columns in their places."""
    before, after = ([(column.name, column.type) for column in definition.columns] for definition in (old, new))
    return after[: len(before)] == before


def _warnings(spec: ProjectionSpec, old: Definition, new: Definition, survey: Survey) -> Iterator[str]:
    yield from _shape_warnings(old, new, survey)
    if survey.unmanaged:
        yield "unmanaged objects of the live table are not made on the new one: approve the plan to acknowledge that"
    for topic in sorted(set(old.topics) - set(new.topics)):
        yield f"topic {topic} is no longer read: how far the live table is in it does not hold back the swap"
    if spec.source.allow_partial_history:
        yield f"the log may lack its first events: {spec.source.allow_partial_history}"


def _shape_warnings(old: Definition, new: Definition, survey: Survey) -> Iterator[str]:
    if [(c.name, c.type) for c in old.columns] == [(c.name, c.type) for c in new.columns]:
        return
    yield "readers' prepared statements whose result columns change (SELECT *, or a changed type) see one error"
    if survey.dependents and not _only_grows(old, new):
        yield "the swap waits until what depends on the view is dropped, since its columns change"


def _listed(names: tuple[str, ...]) -> tuple[str, ...]:
    return names if len(names) <= SHOWN else (*names[:SHOWN], f"and {len(names) - SHOWN} more")
