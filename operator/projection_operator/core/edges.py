"""What to do next: the first edge whose guard holds decides. The last one always holds, so the table is total."""

from collections.abc import Callable
from dataclasses import dataclass

from projection_operator.core import lag
from projection_operator.core.actions import (
    Abandon,
    Action,
    AddFinalizer,
    BeginBuild,
    Claim,
    DeleteProjection,
    OpenCatchUp,
    Publish,
    RemoveDeployment,
    RemoveFinalizer,
)
from projection_operator.core.case import Case
from projection_operator.core.observation import SourceView, Unknown, WorkerAccess
from projection_operator.core.reasons import Reason
from projector.registry import BuildState, BuildView


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is so (reason and message, for conditions) and what to do about it."""

    reason: Reason
    message: str
    actions: tuple[Action, ...] = ()


@dataclass(frozen=True, slots=True)
class Edge:
    """One row of the table. `name` is for tests and for the picture in the docs."""

    name: str
    when: Callable[[Case], bool]
    then: Callable[[Case], Outcome]


def outcome(case: Case) -> Outcome:
    """What the table says about `case`."""
    return edge(case).then(case)


def edge(case: Case) -> Edge:
    """The row that decides `case`."""
    return next(row for row in EDGES if row.when(case))


def _registry_unknown(case: Case) -> bool:
    return isinstance(case.obs.registry, Unknown)


def _pass_on(unknown: object) -> Outcome:
    # Guards and consequences stand side by side in the table; this says so to the type checker.
    assert isinstance(unknown, Unknown)  # noqa: S101
    return Outcome(unknown.reason, unknown.message)


def _build(build: BuildView | None) -> BuildView:
    assert build is not None  # noqa: S101 - the guard of the row saw it
    return build


# Deletion ------------------------------------------------------------------------------------------------------------


def _teardown(case: Case) -> Outcome:
    removals = tuple(RemoveDeployment(child.name) for child in case.children)
    name = case.view.public_name if case.view else ""
    return Outcome(Reason.DELETING, f"dropping {name} and its registry entries", (*removals, DeleteProjection()))


def _release(_case: Case) -> Outcome:
    return Outcome(Reason.DELETING, "deletion goes on", (RemoveFinalizer(),))


def _teardown_blocked(case: Case) -> Outcome:
    resource, why = case.obs.resource, _pass_on(case.obs.registry)
    return Outcome(
        why.reason,
        f"{why.message}; deletion waits, because deletionPolicy is Delete and tables cannot be dropped. "
        f"To let it go without: kubectl patch projection {resource.name} --namespace {resource.namespace} "
        '--type merge --patch \'{"metadata":{"finalizers":null}}\'',
    )


# Spec and registry ---------------------------------------------------------------------------------------------------


def _invalid(case: Case) -> Outcome:
    return Outcome(Reason.INVALID_SPEC, "; ".join(map(str, case.obs.desired.problems)))


def _to_claim(case: Case) -> bool:
    view = case.view
    if view is None or view.resource_uid != case.obs.resource.uid:
        return not _renamed_while_live(case)
    return view.live_build is None and view.public_name != case.public_name


def _renamed_while_live(case: Case) -> bool:
    view = case.view
    return view is not None and view.live_build is not None and view.public_name != case.public_name


def _claim(case: Case) -> Outcome:
    name = case.public_name
    assert name is not None  # noqa: S101 - an unreadable spec was decided above
    return Outcome(Reason.PENDING, f"registering {name}", (Claim(name),))


def _target_changed(case: Case) -> Outcome:
    was = case.view.public_name if case.view else ""
    return Outcome(
        Reason.TARGET_CHANGED, f"spec.target.postgresql: this projection is registered as {was}, not {case.public_name}"
    )


# A live build --------------------------------------------------------------------------------------------------------


def _version_change(case: Case) -> Outcome:
    live, spec = _build(case.live), case.spec
    assert spec is not None  # noqa: S101 - an unreadable spec was decided above
    field = "spec.version" if spec.version != live.version else "spec.rebuildToken"
    return Outcome(
        Reason.VERSION_CHANGE_NOT_SERVED,
        f"{field}: version {live.version} (build {live.number}) is live and keeps serving; this release does not "
        f"rebuild beside a live build. To go back: version {live.version!r}, rebuildToken {live.token!r}, "
        f"and the definition of that time",
    )


def _redefined(case: Case) -> Outcome:
    build = _build(case.current)
    return Outcome(
        Reason.DEFINITION_CHANGED,
        f"spec: topics, type, columns, key or rules differ from those that version {build.version} was begun with "
        f"(build {build.number}), which goes on as it was begun",
    )


def _serving(case: Case) -> Outcome:
    live = _build(case.live)
    name = case.view.public_name if case.view else ""
    return Outcome(Reason.SERVING, f"version {live.version} (build {live.number}) serves as {name}")


def _suspended(_case: Case) -> Outcome:
    return Outcome(Reason.SUSPENDED, "spec.suspend is true: no projector runs, positions are kept")


def _misfit(case: Case) -> Outcome:
    why = _pass_on(case.misfit)
    if case.live is None and why.reason is not Reason.TOPIC_MISSING:
        return Outcome(why.reason, f"{why.message}. To build anew, change spec.rebuildToken")
    return why


# A candidate ---------------------------------------------------------------------------------------------------------


def _abandon(case: Case) -> Outcome:
    build = _build(case.candidate)
    return Outcome(
        Reason.ABANDONING,
        f"giving up build {build.number} of version {build.version}: another version or rebuildToken is asked for",
        (Abandon(build.number, "superseded by another version or rebuildToken"),),
    )


def _scaled_to_zero(case: Case) -> bool:
    return case.spec is not None and case.spec.scaling.replicas == 0


def _replay(case: Case) -> Outcome:
    build = _build(case.candidate)
    return Outcome(
        Reason.REPLAYING, f"build {build.number} of version {build.version} has replayed {lag.percent(build)} %"
    )


def _open(case: Case) -> Outcome:
    build = _build(case.candidate)
    return Outcome(Reason.REPLAYING, f"build {build.number} has replayed everything", (OpenCatchUp(build.number),))


def _caught_up(case: Case) -> bool:
    return isinstance(case.lag, lag.Lag) and case.lag.events <= lag.CAUGHT_UP


def _publish(case: Case) -> Outcome:
    build = _build(case.candidate)
    return Outcome(Reason.CATCHING_UP, f"build {build.number} has caught up", (Publish(build.number),))


def _catch_up(case: Case) -> Outcome:
    build = _build(case.candidate)
    behind = f"{case.lag.events} events behind" if isinstance(case.lag, lag.Lag) else "at an unknown distance"
    return Outcome(
        Reason.CATCHING_UP, f"build {build.number} of version {build.version} is {behind}; shown at {lag.CAUGHT_UP}"
    )


def _in_state(state: BuildState) -> Callable[[Case], bool]:
    return lambda case: case.candidate is not None and case.candidate.state is state


# No build ------------------------------------------------------------------------------------------------------------


def _begin(case: Case) -> Outcome:
    spec, definition = case.spec, case.obs.desired.definition
    source, worker = case.obs.source, case.obs.worker
    assert spec is not None  # noqa: S101 - the rows above decided all else
    assert definition is not None  # noqa: S101
    assert isinstance(source, SourceView)  # noqa: S101
    assert isinstance(worker, WorkerAccess)  # noqa: S101
    begin = BeginBuild(spec.version, spec.rebuild_token, definition, source.ends, worker.role)
    return Outcome(Reason.BEGINNING, f"creating the table of version {spec.version}", (begin,))


def _finalizer_wanted(case: Case) -> bool:
    return case.obs.resource.delete_target


EDGES: tuple[Edge, ...] = (
    # Deletion.
    Edge(
        "deleting, not ours to hold",
        lambda c: c.obs.resource.deleting and not c.has_finalizer,
        lambda _: Outcome(Reason.DELETING, "deletion goes on"),
    ),
    Edge("deleting, target kept", lambda c: c.obs.resource.deleting and not _finalizer_wanted(c), _release),
    Edge("deleting, registry unknown", lambda c: c.obs.resource.deleting and _registry_unknown(c), _teardown_blocked),
    Edge("deleting, entries left", lambda c: c.obs.resource.deleting and c.view is not None, _teardown),
    Edge("deleting, nothing left", lambda c: c.obs.resource.deleting, _release),
    # Finalizer.
    Edge(
        "finalizer missing",
        lambda c: _finalizer_wanted(c) and not c.has_finalizer,
        lambda _: Outcome(Reason.PENDING, "preparing for deletionPolicy Delete", (AddFinalizer(),)),
    ),
    Edge(
        "finalizer not wanted",
        lambda c: c.has_finalizer and not _finalizer_wanted(c),
        lambda _: Outcome(Reason.PENDING, "preparing for deletionPolicy Retain", (RemoveFinalizer(),)),
    ),
    # Spec and registry.
    Edge("spec invalid", lambda c: not c.valid, _invalid),
    Edge("registry unknown", _registry_unknown, lambda c: _pass_on(c.obs.registry)),
    Edge("other public name", _renamed_while_live, _target_changed),
    Edge("not registered", _to_claim, _claim),
    # A live build.
    Edge("live, log does not fit", lambda c: c.live is not None and c.misfit is not None, _misfit),
    Edge("live, other version", lambda c: c.live is not None and not c.asked(c.live), _version_change),
    Edge("live, redefined", lambda c: c.live is not None and c.redefined(c.live), _redefined),
    Edge("live, suspended", lambda c: c.live is not None and c.suspended, _suspended),
    Edge("live", lambda c: c.live is not None, _serving),
    # A candidate.
    Edge("candidate, superseded", lambda c: c.candidate is not None and not c.asked(c.candidate), _abandon),
    Edge("candidate, redefined", lambda c: c.candidate is not None and c.redefined(c.candidate), _redefined),
    Edge("candidate, log does not fit", lambda c: c.candidate is not None and c.misfit is not None, _misfit),
    Edge("suspended", lambda c: c.suspended, _suspended),
    Edge("replayed", lambda c: _in_state(BuildState.REPLAYING)(c) and lag.replayed(_build(c.candidate)), _open),
    Edge("caught up", lambda c: _in_state(BuildState.CATCHING_UP)(c) and _caught_up(c), _publish),
    Edge(
        "candidate, scaled to zero",
        lambda c: c.candidate is not None and _scaled_to_zero(c),
        lambda _: Outcome(Reason.SCALED_TO_ZERO, "spec.scaling.replicas is 0: no projector runs"),
    ),
    Edge(
        "candidate, log unknown",
        lambda c: c.candidate is not None and isinstance(c.obs.source, Unknown),
        lambda c: _pass_on(c.obs.source),
    ),
    Edge(
        "candidate, no access",
        lambda c: c.candidate is not None and isinstance(c.obs.worker, Unknown),
        lambda c: _pass_on(c.obs.worker),
    ),
    Edge("replaying", _in_state(BuildState.REPLAYING), _replay),
    Edge("catching up", _in_state(BuildState.CATCHING_UP), _catch_up),
    # No build.
    Edge("no build, log unknown", lambda c: isinstance(c.obs.source, Unknown), lambda c: _pass_on(c.obs.source)),
    Edge("no build, no access", lambda c: isinstance(c.obs.worker, Unknown), lambda c: _pass_on(c.obs.worker)),
    Edge("no build", lambda _: True, _begin),
)
