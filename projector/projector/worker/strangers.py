"""Partitions that the group gives and the build has no checkpoints for."""

from collections.abc import Callable, Collection, Iterable, Sequence

import structlog

from projector.ports import Partition
from projector.worker.lanes import names

ASK_AGAIN = 10.0
"""Seconds after which it is asked again whether they may be read."""

_log = structlog.get_logger(__name__)


class Strangers:
    """Partitions to be read are those of the build, `known`.

    `grown` asks for them again, where the ordering lets those be adopted that a topic got later; None: it does not.
    """

    def __init__(self, known: Collection[Partition], grown: Callable[[], Collection[Partition]] | None) -> None:
        self._known = frozenset(known)
        self._grown = grown
        self._given: list[Partition] = []
        self._asked_at = float("-inf")
        self.reason = ""
        """Why some are not read; empty where all are."""

    def among(self, given: Iterable[Partition]) -> list[Partition]:
        """Those of the partitions given that may be read."""
        known = [partition for partition in given if partition in self._known]
        self._given += [partition for partition in given if partition not in self._known]
        self._say()
        return known

    def revoked(self, partitions: Collection[Partition]) -> None:
        """These are another member's."""
        self._given = [partition for partition in self._given if partition not in partitions]
        self._say()

    def due(self, now: float) -> bool:
        """Whether it is time to ask again for those given that are not read; commits of others are no answer."""
        return self._grown is not None and bool(self._given) and now - self._asked_at >= ASK_AGAIN

    def adopted(self, now: float) -> list[Partition]:
        """Those given before that have got a checkpoint meanwhile. Raises what `grown` raises."""
        if self._grown is None or not self._given:
            return []
        self._asked_at = now
        self._known = frozenset(self._grown())
        given, self._given = self._given, []
        return self.among(given)

    def _say(self) -> None:
        reason = _reason(self._given, self._known, admits=self._grown is not None) if self._given else ""
        if reason and reason != self.reason:
            _log.error("partitions are not read", reason=reason)
        self.reason = reason


def _reason(strange: Sequence[Partition], known: Collection[Partition], *, admits: bool) -> str:
    topics = {partition.topic for partition in known if (partition.topic, partition.number) in _places(strange)}
    if topics:
        return f"topic {', '.join(sorted(topics))} was deleted and created again since the build began; start a rebuild"
    grown = ", ".join(names(strange))
    way_out = "they will be once the operator admits them" if admits else "start a rebuild"
    return f"partitions were added since the build began and are not read ({grown}); {way_out}"


def _places(partitions: Iterable[Partition]) -> set[tuple[str, int]]:
    return {(partition.topic, partition.number) for partition in partitions}
