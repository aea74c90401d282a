"""What a live build that is asked for needs, and the way back to one that was live."""

from projection_operator.core.actions import Swap
from projection_operator.core.case import Case
from projection_operator.core.indexing import failed, failure, indexing, unprepared
from projection_operator.core.observation import HOLD_VERSION, Unknown
from projection_operator.core.outcome import Edge, Outcome, named, pass_on, sure
from projection_operator.core.reasons import Reason
from projection_operator.core.terms import distance, loss, near, swap_terms
from projector.registry import BuildView


def _wanted(case: Case) -> bool:
    return case.live is not None and case.asked(case.live)


def _held(case: Case) -> Outcome:
    asked = case.spec.version if case.spec else ""
    return Outcome(
        Reason.HELD,
        f"{named(sure(case.live))} is held by the annotation {HOLD_VERSION}; spec.version asks for {asked}. To let go: "
        f"set spec.version to {case.held}, or remove the annotation",
    )


def _hold_misses(case: Case) -> Outcome:
    kept = ", ".join(build.version for build in case.kept if build.published_at is not None) or "none"
    return Outcome(
        Reason.HELD_VERSION_MISSING,
        f"annotation {HOLD_VERSION}: no table of version {case.held} is kept (kept: {kept}); nothing is changed",
    )


def misfit(case: Case, build: BuildView) -> Unknown | None:
    """Why `build` cannot come as far as what readers see: its log does not fit, or has lost that."""
    return case.misfit_of(build) or loss(case, build.definition.topics)


def of_log(unknown: Unknown | None) -> Outcome:
    """Say so, and the way out."""
    why = pass_on(unknown)
    if why.reason in {Reason.TOPIC_MISSING, Reason.PARTIAL_HISTORY}:
        return why
    return Outcome(why.reason, f"{why.message}. {_BUILD_ANEW}")


_BUILD_ANEW = (
    "To build anew, change spec.rebuildToken, and say in spec.source.allowPartialHistory why it is acceptable that "
    "events were lost"
)


def redefined(build: BuildView) -> Outcome:
    """The definition changed, and its name did not."""
    return Outcome(
        Reason.DEFINITION_CHANGED,
        f"spec: topics, type, columns, key or rules differ from those that version {build.version} was begun with "
        f"(build {build.number}), which goes on as it was begun",
    )


def _serving(case: Case) -> Outcome:
    name = case.view.public_name if case.view else ""
    return Outcome(Reason.SERVING, f"{named(sure(case.live))} serves as {name}")


def suspended(_case: Case) -> Outcome:
    """Nothing runs."""
    return Outcome(Reason.SUSPENDED, "spec.suspend is true: no projector runs, positions are kept")


def _return(case: Case) -> Outcome:
    build = sure(case.returning)
    return Outcome(Reason.ROLLING_BACK, f"going back to {named(build)}", (Swap(build.number, swap_terms(case, build)),))


def _near(case: Case) -> bool:
    return case.returning is not None and near(case, case.returning)


def _coming_back(case: Case) -> Outcome:
    build = sure(case.returning)
    return Outcome(Reason.ROLLING_BACK, f"going back to {named(build)}, which is {distance(case, build)}")


def _other_held(case: Case) -> bool:
    return case.held is not None and case.live is not None and not case.asked(case.live) and case.returning is None


def _emergency(case: Case) -> bool:
    """What is held comes before a spec that cannot be read to its end: that is when people hold versions."""
    return case.held is not None and case.spec is not None and _near(case)


EMERGENCY: tuple[Edge, ...] = (Edge("held version is kept", _emergency, _return),)

LIVE: tuple[Edge, ...] = (
    Edge("live, held", lambda c: _wanted(c) and c.held_against_spec, _held),
    Edge("live, log does not fit", lambda c: _wanted(c) and c.misfit is not None, lambda c: of_log(c.misfit)),
    Edge("live, redefined", lambda c: _wanted(c) and c.redefined(sure(c.live)), lambda c: redefined(sure(c.live))),
    Edge("live, suspended", lambda c: _wanted(c) and c.suspended, suspended),
    Edge(
        "live, index failed",
        lambda c: _wanted(c) and failure(c, sure(c.live)) is not None,
        lambda c: failed(c, c.live),
    ),
    Edge("live, indexes missing", lambda c: _wanted(c) and unprepared(c, sure(c.live)), lambda c: indexing(c, c.live)),
    Edge("live", _wanted, _serving),
    # The way back.
    Edge("held version is not kept", _other_held, _hold_misses),
    Edge(
        "rollback, redefined",
        lambda c: c.returning is not None and c.redefined(c.returning),
        lambda c: redefined(sure(c.returning)),
    ),
    Edge("rollback", _near, _return),
    Edge(
        "rollback, log does not fit",
        lambda c: c.returning is not None and misfit(c, c.returning) is not None,
        lambda c: of_log(misfit(c, sure(c.returning))),
    ),
    Edge("rollback, behind", lambda c: c.returning is not None, _coming_back),
)
