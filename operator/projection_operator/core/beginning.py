"""A build that is asked for and not there: guards, the plan, and its beginning."""

from projection_operator.core.actions import BeginBuild
from projection_operator.core.case import Case
from projection_operator.core.observation import SourceView, Unknown, WorkerAccess
from projection_operator.core.outcome import Edge, Outcome, pass_on
from projection_operator.core.plan import plan, shown
from projection_operator.core.reasons import Reason
from projection_operator.core.terms import loss
from projector.registry import Ending, Survey

_ENDED = {Ending.ABORTED: Reason.ABORTED, Ending.REJECTED: Reason.REJECTED}


def _abort_named(case: Case) -> bool:
    return case.spec is not None and case.spec.promotion.abort_version == case.spec.version


def _stays_aborted(case: Case) -> Outcome:
    version = case.spec.version if case.spec else ""
    again = "remove abortVersion" if case.ended is None else "remove abortVersion and change spec.rebuildToken"
    return Outcome(
        Reason.ABORTED,
        f"spec.promotion.abortVersion names version {version}: it is not begun. To begin it, {again}",
    )


def _ended(case: Case) -> Outcome:
    ended = case.ended
    assert ended is not None  # noqa: S101 - the guard saw it
    return Outcome(
        _ENDED[ended.ending],
        f"version {ended.version} (build {ended.number}) was given up at {ended.at:%Y-%m-%dT%H:%M:%SZ}: "
        f"{ended.reason}. It is not tried again until spec.version or spec.rebuildToken changes",
    )


def _log_is_partial(case: Case) -> bool:
    return _loss(case) is not None or _why_partial(case) is not None


def _loss(case: Case) -> Unknown | None:
    return None if case.spec is None else loss(case, case.spec.source.kafka.topics)


def _why_partial(case: Case) -> str | None:
    """Why rows built now would not be the fold of all events, where the spec does not say that this is acceptable."""
    spec, source = case.spec, case.log_of_spec
    if spec is None or spec.source.allow_partial_history or not isinstance(source, SourceView):
        return None
    cut = [(partition, bounds.start) for partition, bounds in sorted(source.ends.items()) if bounds.start > 0]
    if cut:
        partition, start = cut[0]
        more = f" ({len(cut) - 1} more partitions do not, either)" if len(cut) > 1 else ""
        return (
            f"topic {partition.topic}, partition {partition.number}, does not begin at its first event any more but at "
            f"offset {start}{more}"
        )
    if not isinstance(case.obs.compacted, Unknown) and case.obs.compacted:
        return f"topic {min(case.obs.compacted)} is compacted: of older events of a key only the last is kept"
    return None


def _partial(case: Case) -> Outcome:
    lost = _loss(case)
    if lost is not None:
        return Outcome(Reason.PARTIAL_HISTORY, lost.message)
    return Outcome(
        Reason.PARTIAL_HISTORY,
        f"{_why_partial(case)}; a table built from it would not be the fold of all events. If that is acceptable, say "
        f"why in spec.source.allowPartialHistory",
    )


def _blind(case: Case) -> str:
    """What the operator's role lacks to see whom a swap has to wait for."""
    waits = case.spec is not None and case.spec.promotion.old_snapshots == "Wait"
    return case.obs.survey.blind if waits and isinstance(case.obs.survey, Survey) else ""


def _cannot_wait(case: Case) -> Outcome:
    return Outcome(
        Reason.NOT_PERMITTED,
        f"spec.target.postgresql.adminSecretRef: the operator's role cannot see transactions of other roles, and "
        f"spec.promotion.oldSnapshots is Wait: {_blind(case)}; or set oldSnapshots to Ignore",
    )


def _no_slot(case: Case) -> bool:
    return case.live is not None and case.obs.rebuilding >= case.obs.site.max_rebuilds


def _wait_for_slot(case: Case) -> Outcome:
    return Outcome(
        Reason.REBUILDS_LIMITED,
        f"{case.obs.rebuilding} other rebuilds run, as many as this operator allows (chart value "
        f"rebuilds.max: {case.obs.site.max_rebuilds}); this one begins after one of them",
    )


def _not_shown(case: Case) -> bool:
    return case.live is not None and not shown(case)


def _plan(case: Case) -> Outcome:
    found = plan(case)
    what = "" if found is None or isinstance(found, Unknown) else f" {found.hash}"
    return Outcome(Reason.PLANNED, f"see status.plan{what}: it is carried out from the next pass on")


def _begin(case: Case) -> Outcome:
    spec, definition = case.spec, case.obs.desired.definition
    source, worker = case.log_of_spec, case.obs.worker
    assert spec is not None  # noqa: S101 - the rows above decided all else
    assert definition is not None  # noqa: S101
    assert isinstance(source, SourceView)  # noqa: S101
    assert isinstance(worker, WorkerAccess)  # noqa: S101
    begin = BeginBuild(spec.version, spec.rebuild_token, definition, source.ends, worker.role)
    return Outcome(Reason.BEGINNING, f"creating the table of version {spec.version}", (begin,))


BEGINNING: tuple[Edge, ...] = (
    Edge("no build, abort asked for", _abort_named, _stays_aborted),
    Edge("no build, given up before", lambda c: c.ended is not None, _ended),
    Edge("no build, log unknown", lambda c: isinstance(c.log_of_spec, Unknown), lambda c: pass_on(c.log_of_spec)),
    Edge(
        "no build, compaction unknown",
        lambda c: isinstance(c.obs.compacted, Unknown),
        lambda c: pass_on(c.obs.compacted),
    ),
    Edge("no build, log is partial", _log_is_partial, _partial),
    Edge("no build, no access", lambda c: isinstance(c.obs.worker, Unknown), lambda c: pass_on(c.obs.worker)),
    Edge("no build, plan unknown", lambda c: isinstance(plan(c), Unknown), lambda c: pass_on(plan(c))),
    Edge("no build, swap would be blind", lambda c: bool(_blind(c)), _cannot_wait),
    Edge("no build, too many rebuilds", _no_slot, _wait_for_slot),
    Edge("no build, plan not shown", _not_shown, _plan),
    Edge("no build", lambda _: True, _begin),
)
"""The last row always holds, so the table is total."""
