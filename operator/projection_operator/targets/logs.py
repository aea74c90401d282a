"""Kafka clusters, for the loop: ends of topics and the age of what is unread."""

from collections.abc import Callable, Mapping, Sequence

from projection_operator.core.observation import SourceView, Unknown
from projection_operator.targets.failures import SOURCE_ERRORS, of_source
from projection_operator.targets.pool import Pool
from projector.ports import Ends, Partition, SourceAdmin

DESCRIBE_TIMEOUT = 2.5
AGE_TIMEOUT = 1.5
"""Seconds."""


class Logs:
    """One admin client per cluster."""

    def __init__(self, make: Callable[[Sequence[str]], SourceAdmin]) -> None:
        self._admins: Pool[SourceAdmin] = Pool("log", lambda servers: make(servers.split(",")))

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
            return of_source(error, ",".join(servers))
        behind = unread(ends)
        return SourceView(ends, await self._ages(address, behind) if behind else {})

    async def _ages(self, address: str, behind: Mapping[Partition, int]) -> Mapping[Partition, int] | None:
        try:
            return await self._admins.run(address, lambda admin: admin.oldest_unread(behind), AGE_TIMEOUT)
        except SOURCE_ERRORS:
            return None

    async def close(self) -> None:
        """Close all connections."""
        await self._admins.close()
