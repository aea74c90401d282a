"""How much to take into one commit: what is there at once when near the end, much when far behind. Pure."""

from dataclasses import dataclass

from projector.worker.clock import Clock

TARGET_SECONDS = 1.0
"""Time that one commit should take at most: far below the store's statement timeout, and what a kill throws away."""
FIRST_LIMIT = 2_000
SMALLEST_LIMIT, LARGEST_LIMIT = 100, 200_000
LARGEST_BYTES = 48 * 1024 * 1024
LARGEST_ROWS = 60_000
"""Keys in memory: a delta weighs about two kilobytes."""
OLDEST_SECONDS = 5.0
"""Age of a batch; with the time of its commit well below the 10 s that a checkpoint may stand still."""
FETCH_RECORDS = 500
"""Records of one fetch, which bounds how long a partition may be folded before the group is served again."""
MOST_FETCHES = 8
"""Of one turn, so that some milliseconds pass until the outcome of a commit, or a rebalance, is seen."""
IDLE_FETCH = 0.5
"""Seconds that a fetch waits for a record: how often the loop turns when nothing comes."""
ARRIVING_FETCH = 0.05
"""The same when many more records are known to be there."""
END_ONLY_SECONDS = 1.0
"""Least time between two commits that move checkpoints past markers only."""
SHARE_SECONDS = 0.25
"""A worker that is held back reads so many seconds' worth at a time: few turns, and none that waits for long."""
SAVED_SECONDS = 1.0
"""What it did not read it may still read, but not more than so many seconds' worth at once."""
MANY = 2_000
"""Records known to be there, from which it pays to wait for them rather than to commit."""


@dataclass(frozen=True, slots=True)
class Hand:
    """What is folded and not committed: records, bytes of their values, keys, seconds since the first."""

    records: int
    size: int
    rows: int
    age: float


class Pace:
    """Adapts the number of records per commit to the time that commits take. `many`: see MANY."""

    def __init__(self, many: int = MANY) -> None:
        self._many = many
        self._limit = FIRST_LIMIT

    @property
    def limit(self) -> int:
        """Records at which a batch is committed."""
        return self._limit

    def room(self, hand: Hand) -> int:
        """Records to fetch now, at least 1."""
        return max(1, min(self._limit - hand.records, FETCH_RECORDS))

    def far(self, behind: int) -> bool:
        """Whether so many records to come are worth waiting for."""
        return behind >= self._many

    def fetches(self, behind: int) -> int:
        """How many may be folded in one turn: what else a turn does costs as much as folding some dozens of records."""
        return max(1, min(MOST_FETCHES, behind // (4 * FETCH_RECORDS)))

    def due(self, hand: Hand, more: bool) -> bool:
        """Whether to commit now. `more`: many further records are there, and only have to arrive."""
        if hand.records == 0:
            return False
        full = hand.records >= self._limit or hand.size >= LARGEST_BYTES or hand.rows >= LARGEST_ROWS
        return full or not more or hand.age >= OLDEST_SECONDS

    def committed(self, records: int, seconds: float) -> None:
        """Learn from a commit: grow after full and quick ones, shrink in proportion after slow ones."""
        if seconds > TARGET_SECONDS:
            self._limit = min(LARGEST_LIMIT, max(SMALLEST_LIMIT, int(records * TARGET_SECONDS / seconds)))
        elif records >= self._limit:
            growth = min(2.0, TARGET_SECONDS / max(seconds, 0.001))
            self._limit = min(LARGEST_LIMIT, int(self._limit * growth))

    def failed(self) -> None:
        """The target did not take the batch in time: the next one is half as large."""
        self._limit = max(SMALLEST_LIMIT, self._limit // 2)


class Allowance:
    """How many records may be read where there is a limit of so many a second: a bucket of tokens, empty at first.

    A rate below one record per IDLE_FETCH is not kept: the group is served only by asking for a record.
    """

    def __init__(self, per_second: float, clock: Clock) -> None:
        self._per_second = per_second
        self._clock = clock
        self._share = min(FETCH_RECORDS, max(1.0, per_second * SHARE_SECONDS))
        self._most = max(1.0, per_second * SAVED_SECONDS)
        self._left = 0.0  # as it was at `_at`
        self._at = clock.now()

    def wait(self) -> float:
        """Seconds until it is worth reading, at most IDLE_FETCH."""
        return max(0.0, min(IDLE_FETCH, (self._share - self._grown()) / self._per_second))

    def room(self) -> int:
        """Records to read now, at least 1."""
        return max(1, int(self._grown()))

    def took(self, records: int) -> None:
        """So many were read."""
        self._left -= records

    def _grown(self) -> float:
        now = self._clock.now()
        self._left = min(self._most, self._left + (now - self._at) * self._per_second)
        self._at = now
        return self._left
