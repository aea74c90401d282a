"""How fast candidates replay, from what was seen of them lately."""

from collections import deque
from collections.abc import Callable, Mapping

from projection_operator.core import lag
from projector.registry import BuildState, BuildView

WINDOW = 30.0
"""Seconds that a rate is taken over."""

LEAST = 2.0
"""Seconds below which nothing is said: workers commit in steps."""


class Rates:
    """Remembers how far each candidate was when; after a restart of the operator it begins anew."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        # By consumer group: numbers of builds are given by each database anew.
        self._seen: dict[str, deque[tuple[float, int]]] = {}

    def look(self, build: BuildView | None) -> Mapping[int, float]:
        """Take in how far `build` is; its rate in events per second, once there is one."""
        if build is None or build.state is not BuildState.REPLAYING:
            return {}
        now, done = self._clock(), lag.replayed_events(build)
        seen = self._seen.setdefault(build.consumer_group, deque())
        # The time before the first event is that of pods starting, which says nothing about what is left.
        if done == 0:
            seen.clear()
        seen.append((now, done))
        while len(seen) > 2 and seen[1][0] <= now - WINDOW:  # noqa: PLR2004 - one from before the window stays
            seen.popleft()
        self._forget(now)
        since, before = seen[0]
        return {build.number: (done - before) / (now - since)} if now - since >= LEAST else {}

    def _forget(self, now: float) -> None:
        """Builds that nobody has asked about for long are over."""
        self._seen = {group: seen for group, seen in self._seen.items() if seen[-1][0] > now - 10 * WINDOW}
