"""What deletion and the finalizer ask for."""

from projection_operator.core.actions import AddFinalizer, DeleteProjection, RemoveDeployment, RemoveFinalizer
from projection_operator.core.case import Case
from projection_operator.core.observation import Unknown
from projection_operator.core.outcome import Edge, Outcome, pass_on
from projection_operator.core.reasons import Reason


def _teardown(case: Case) -> Outcome:
    removals = tuple(RemoveDeployment(child.name) for child in case.children)
    name = case.view.public_name if case.view else ""
    return Outcome(Reason.DELETING, f"dropping {name} and its registry entries", (*removals, DeleteProjection()))


def _release(_case: Case) -> Outcome:
    return Outcome(Reason.DELETING, "deletion goes on", (RemoveFinalizer(),))


def _blocked(case: Case) -> Outcome:
    resource, why = case.obs.resource, pass_on(case.obs.registry)
    return Outcome(
        why.reason,
        f"{why.message}; deletion waits, because deletionPolicy is Delete and tables cannot be dropped. "
        f"To let it go without: kubectl patch projection {resource.name} --namespace {resource.namespace} "
        '--type merge --patch \'{"metadata":{"finalizers":null}}\'',
    )


def _wanted(case: Case) -> bool:
    return case.obs.resource.delete_target


def _unknown(case: Case) -> bool:
    return isinstance(case.obs.registry, Unknown)


DELETION: tuple[Edge, ...] = (
    Edge(
        "deleting, not ours to hold",
        lambda c: c.obs.resource.deleting and not c.has_finalizer,
        lambda _: Outcome(Reason.DELETING, "deletion goes on"),
    ),
    Edge("deleting, target kept", lambda c: c.obs.resource.deleting and not _wanted(c), _release),
    Edge("deleting, registry unknown", lambda c: c.obs.resource.deleting and _unknown(c), _blocked),
    Edge("deleting, entries left", lambda c: c.obs.resource.deleting and c.view is not None, _teardown),
    Edge("deleting, nothing left", lambda c: c.obs.resource.deleting, _release),
    Edge(
        "finalizer missing",
        lambda c: _wanted(c) and not c.has_finalizer,
        lambda _: Outcome(Reason.PENDING, "preparing for deletionPolicy Delete", (AddFinalizer(),)),
    ),
    Edge(
        "finalizer not wanted",
        lambda c: c.has_finalizer and not _wanted(c),
        lambda _: Outcome(Reason.PENDING, "preparing for deletionPolicy Retain", (RemoveFinalizer(),)),
    ),
)
