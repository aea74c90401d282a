"""Kafka clusters, for the loop: ends of topics and the age of what is unread."""

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

import structlog

from projection_operator.core.observation import SourceView, Unknown
from projection_operator.targets.failures import SOURCE_ERRORS, of_source
from projection_operator.targets.pool import Pool
from projector.ports import Ends, Partition, SourceAdmin

DESCRIBE_TIMEOUT = 2.5
AGE_TIMEOUT = 1.5
GOOD_FOR = 60.0
"""Seconds."""

log = structlog.get_logger(__name__)


class Unsettled:
    """Since when ends have been seen to stand still while something is written behind them.

    Timestamps of records would not do: producers may give any. So what is remembered is what was seen here, and a
    transaction that hangs is told a little later after a restart of the operator.
    """

    def __init__(self) -> None:
        self._seen: dict[tuple[str, Partition], tuple[int, datetime]] = {}

    def look(self, address: str, ends: Mapping[Partition, Ends], now: datetime) -> dict[Partition, datetime]:
        """Take in how the ends are now. One that is settled, or has moved, begins anew."""
        found = {}
        for partition, bounds in ends.items():
            before = self._seen.pop((address, partition), None)
            if bounds.written is None or bounds.written <= bounds.end:
                continue
            since = before[1] if before is not None and before[0] == bounds.end else now
            self._seen[address, partition] = (bounds.end, since)
            found[partition] = since
        return found


class Logs:
    """One admin client per cluster."""

    def __init__(self, make: Callable[[Sequence[str]], SourceAdmin]) -> None:
        self._admins: Pool[SourceAdmin] = Pool("log", lambda servers: make(servers.split(",")))
        self._unsettled = Unsettled()
        self._compacted: dict[tuple[str, tuple[str, ...]], tuple[float, frozenset[str]]] = {}

    async def describe(
        self,
        servers: Sequence[str],
        topics: Sequence[str],
        unread: Callable[[Mapping[Partition, Ends]], Mapping[Partition, int]],
    ) -> SourceView | Unknown:
        """The topics' ends, and the age of the first event at each position that `unread` makes of them."""
        address = ",".join(sorted(servers))
        try:
            ends = await self._admins.run(address, lambda admin: admin.describe(topics), DESCRIBE_TIMEOUT)
        except SOURCE_ERRORS as error:
            return of_source(error, ",".join(servers), topics)
        behind = unread(ends)
        unsettled = self._unsettled.look(address, ends, datetime.now(UTC))
        return SourceView(ends, await self._ages(address, behind) if behind else {}, unsettled)

    async def _ages(self, address: str, behind: Mapping[Partition, int]) -> Mapping[Partition, int] | None:
        try:
            return await self._admins.run(address, lambda admin: admin.oldest_unread(behind), AGE_TIMEOUT)
        except SOURCE_ERRORS:
            return None

    async def compacted(self, servers: Sequence[str], topics: Sequence[str]) -> frozenset[str] | Unknown:
        """Which of the topics lose old records by key; asked again after a minute."""
        address = ",".join(sorted(servers))
        key = (address, tuple(sorted(topics)))
        known = self._compacted.get(key)
        if known is not None and known[0] > time.monotonic():
            return known[1]
        try:
            answer = await self._admins.run(address, lambda admin: admin.compacted(topics), DESCRIBE_TIMEOUT)
        except SOURCE_ERRORS as error:
            return of_source(error, ",".join(servers), topics)
        self._compacted[key] = (time.monotonic() + GOOD_FOR, answer)
        return answer

    async def forget(self, servers: Sequence[str], group: str) -> bool:
        """Delete a consumer group; False where that cannot be done now, as while it has members."""
        try:
            await self._admins.run(",".join(sorted(servers)), lambda admin: admin.delete_group(group), DESCRIBE_TIMEOUT)
        except SOURCE_ERRORS as error:
            log.info("group_kept", group=group, why=str(error))
            return False
        return True

    async def close(self) -> None:
        """Close all connections."""
        await self._admins.close()
