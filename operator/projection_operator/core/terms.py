"""When a build is near enough to be shown, and on which terms it is swapped."""

from projection_operator.core import lag
from projection_operator.core.case import Case
from projection_operator.core.observation import Topics, Unknown
from projection_operator.core.reasons import Reason
from projector.ports import Partition
from projector.registry import BuildView, SwapTerms
from projector.spec.base import length


def max_lag(case: Case) -> int:
    """Events that a build may be behind when it is shown; the swap itself waits for the rest."""
    return 0 if case.spec is None else case.spec.promotion.caught_up.max_lag


def behind(case: Case, build: BuildView) -> int | Unknown:
    """Events that `build` is behind what readers see: the live build; its log, where nothing is live."""
    if case.live is not None:
        return lag.behind(build, case.live, _ungated(case, build))
    found = case.lag_of(build)
    return found if isinstance(found, Unknown) else found.events


def near(case: Case, build: BuildView) -> bool:
    """Whether `build` may be shown, as far as that is known."""
    found = behind(case, build)
    return isinstance(found, int) and found <= max_lag(case) and loss(case, build.definition.topics) is None


def distance(case: Case, build: BuildView) -> str:
    """`behind` in words."""
    found = behind(case, build)
    return f"at an unknown distance ({found.message})" if isinstance(found, Unknown) else f"{found} events behind"


def swap_terms(case: Case, build: BuildView) -> SwapTerms:
    """On which `build` is shown, as the spec has them."""
    assert case.spec is not None  # noqa: S101 - an unreadable spec was decided before
    promotion = case.spec.promotion
    return SwapTerms(
        gate_ms=_ms(promotion.swap.gate),
        view_ms=_ms(promotion.swap.view_lock),
        wait_for_snapshots=promotion.old_snapshots == "Wait",
        ungated=_ungated(case, build),
    )


def _ms(duration: str) -> int:
    return int(length(duration).total_seconds() * 1000)


def _ungated(case: Case, build: BuildView) -> frozenset[Partition]:
    """Partitions of the live build that say nothing about how far `build` is.

    Those of topics that its version does not read, and those that the log has lost, where the spec says that this is
    acceptable.
    """
    live = case.live
    if live is None:
        return frozenset()
    unread = {point.partition for point in live.checkpoints if point.partition.topic not in build.definition.topics}
    accepted = case.spec is not None and bool(case.spec.source.allow_partial_history)
    return frozenset(unread) | (_lost(case, live) if accepted else frozenset())


def _lost(case: Case, live: BuildView) -> frozenset[Partition]:
    source = case.log_of(live)
    return frozenset() if isinstance(source, Unknown) else lag.lost(live, source)


def loss(case: Case, topics: Topics) -> Unknown | None:
    """Why no build of `topics` can come as far as the live one, where the spec does not say that this is acceptable."""
    live, spec = case.live, case.spec
    if live is None or spec is None or spec.source.allow_partial_history:
        return None
    lost = sorted(partition for partition in _lost(case, live) if partition.topic in topics)
    if not lost:
        return None
    return Unknown(
        Reason.PARTIAL_HISTORY,
        f"topic {lost[0].topic}, partition {lost[0].number}, does not hold any more what the live build has read "
        f"there; a table built from it would not be the fold of all events. If that is acceptable, say why in "
        f"spec.source.allowPartialHistory",
    )
