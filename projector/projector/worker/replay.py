"""Holding a worker back while its build replays, so that the live build's readers do not notice."""

from collections.abc import Callable
from dataclasses import dataclass

import structlog

from projector.ports import Fetched, Source, StoreUnavailable
from projector.worker.clock import Clock
from projector.worker.pace import Allowance

ASK_AGAIN = 5.0
"""Seconds after which it is asked again whether the build still replays."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Limit:
    """Records that a worker reads a second while `replaying` says that the build replays; that may raise as a store."""

    per_second: float
    replaying: Callable[[], bool]


class Brake:
    """Reads from the source no faster than the limit. `land` waits for what is on its way to the target."""

    def __init__(self, limit: Limit, source: Source, clock: Clock, land: Callable[[], None]) -> None:
        self._limit = limit
        self._source = source
        self._clock = clock
        self._land = land
        self._allowance = Allowance(limit.per_second, clock)
        self._asked_at = clock.now()  # whoever made the limit knew
        _log.info("replay is limited", events_per_second=limit.per_second)

    def fetch(self, max_records: int, timeout: float) -> Fetched:
        """See `Source.fetch`. Waits no longer than that would, or than IDLE_FETCH; raises what `land` raises, too."""
        if self._allowance.wait() > 0:
            self._land()  # there is time for it; and a commit does not look as if it took as long as the wait
        waited = self._allowance.wait()
        self._clock.sleep(waited)
        fetched = self._source.fetch(min(max_records, self._allowance.room()), max(0.0, timeout - waited))
        self._allowance.took(sum(map(len, fetched.records.values())))
        return fetched

    def released(self) -> bool:
        """Whether the build does not replay any more. Not known is not yet."""
        now = self._clock.now()
        if now - self._asked_at < ASK_AGAIN:
            return False
        self._asked_at = now
        try:
            released = not self._limit.replaying()
        except StoreUnavailable as error:
            _log.info("replay stays limited, its end cannot be asked for", reason=str(error))
            return False
        if released:
            _log.info("replay is limited no more")
        return released
