"""Whether the spec can be read, and the projection is registered under the name that it asks for."""

from projection_operator.core.actions import Claim
from projection_operator.core.case import Case
from projection_operator.core.observation import Unknown
from projection_operator.core.outcome import Edge, Outcome, pass_on
from projection_operator.core.reasons import Reason


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


REGISTRATION: tuple[Edge, ...] = (
    Edge("spec invalid", lambda c: not c.valid, _invalid),
    Edge("registry unknown", lambda c: isinstance(c.obs.registry, Unknown), lambda c: pass_on(c.obs.registry)),
    Edge("other public name", _renamed_while_live, _target_changed),
    Edge("not registered", _to_claim, _claim),
)
