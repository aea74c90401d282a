"""Finding the one event of a batch that the target refuses, in O(log n) commits. Pure."""

from collections.abc import Mapping

from projector.ports import Partition


class Isolation:
    """Reads one suspect partition at a time, in ever smaller batches, until the refused batch holds one record.

    `suspects` gives, per partition of the refused batch, the offset at which the batch ended; `records` is its size.
    """

    def __init__(self, suspects: Mapping[Partition, int], records: int) -> None:
        self._until = dict(suspects)
        self.limit = _half(records)

    @property
    def current(self) -> Partition | None:
        """The only partition to read now; None when all suspects are past the refused batch."""
        return min(self._until, default=None)

    def refused(self, records: int) -> None:
        """The fault is among these `records` of the current partition."""
        self.limit = _half(records)

    def passed(self, partition: Partition, offset: int) -> None:
        """The partition's checkpoint came to `offset`."""
        if offset >= self._until.get(partition, offset):
            self.drop(partition)

    def drop(self, partition: Partition) -> None:
        """The partition stands in front of the event, or belongs to another member now."""
        self._until.pop(partition, None)


def _half(records: int) -> int:
    return max(1, records // 2)
