"""What is committed, told to the consumer group now and then: for people's tools, never to read from."""

from collections.abc import Iterable

from projector.ports import Partition, Source
from projector.worker.clock import Clock

SECONDS = 1.0
"""Least time between two tellings."""


class Mirror:
    """Offsets that the group does not know of yet."""

    def __init__(self, source: Source, clock: Clock) -> None:
        self._source = source
        self._clock = clock
        self._untold: dict[Partition, int] = {}
        self._told_at = float("-inf")

    def committed(self, partition: Partition, offset: int) -> None:
        """The checkpoint came to `offset`."""
        self._untold[partition] = offset

    def revoked(self, partitions: Iterable[Partition]) -> None:
        """They are another member's, which tells of them."""
        for partition in partitions:
            self._untold.pop(partition, None)

    def tell(self) -> None:
        """Tell the group, if it is time."""
        if self._clock.now() - self._told_at >= SECONDS:
            self.tell_now()

    def tell_now(self) -> None:
        """Tell the group."""
        if self._untold:
            self._source.mirror(self._untold)
            self._untold, self._told_at = {}, self._clock.now()
