"""What every `projector.ports.Source` does, whatever the log. Adapters give a `Bench` and inherit the tests."""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import pytest

from projector.ports import Fetched, Partition, Record, Source, SourceChanged, TopicMissing
from tests.support import wait

PARTITIONS = 2
Headers = list[tuple[str, bytes | None]]


class Bench(Protocol):
    """A log of the test's own, with `PARTITIONS` partitions and one group."""

    def partition(self, number: int) -> Partition: ...

    def produce(
        self, partition: int, values: Sequence[bytes | None], key: bytes | None = b"k", headers: Headers | None = None
    ) -> None: ...

    def transaction(self, partition: int, values: Sequence[bytes], commit: bool) -> None: ...

    def truncate(self, partition: int, before: int) -> None:
        """Delete what comes before an offset."""
        ...

    def recreate(self) -> None:
        """Delete the topic and create it again, empty."""
        ...

    def source(self) -> Source:
        """One more member of the group."""
        ...

    def stranger(self) -> Source:
        """A member of a group on a topic that does not exist."""
        ...

    def close(self) -> None: ...


class Member:
    """A source, and what it told."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.owned: set[Partition] = set()
        self.records: list[Record] = []
        self.ends: dict[Partition, int] = {}
        source.start(self.owned.update, self.owned.difference_update)

    def fetch(self, most: int = 100, timeout: float = 0.2) -> Fetched:
        """Fetch, and take what came as a worker does: only once it is verified."""
        fetched = self.source.fetch(most, timeout)
        self.source.verify()
        for partition, records in fetched.records.items():
            assert partition in self.owned
            self.records += records
        self.ends |= fetched.ends
        return fetched

    def until(self, holds: Callable[[], bool], *others: "Member", timeout: float = 30) -> None:
        """Fetch, and let the others fetch, until it holds."""
        deadline = time.monotonic() + timeout
        while not holds():
            assert time.monotonic() < deadline, f"owned {self.owned}, ends {self.ends}, read {len(self.records)}"
            for member in (self, *others):
                member.fetch()

    def values(self, partition: Partition) -> list[bytes | None]:
        return [record.value() for record in self.records if record.partition() == partition.number]


class SourceContract:
    """Inherit, and give the fixture `bench`."""

    @pytest.fixture
    def member(self, bench: Bench) -> Iterator[Callable[[], Member]]:
        """Makes members that leave when the test ends."""
        made: list[Member] = []

        def make() -> Member:
            made.append(Member(bench.source()))
            return made[-1]

        yield make
        for member in made:
            member.source.close()

    @pytest.fixture
    def alone(self, member: Callable[[], Member]) -> Member:
        """A member that owns all partitions and reads none yet."""
        only = member()
        only.until(lambda: len(only.owned) == PARTITIONS)
        return only

    def test_nothing_is_read_before_resume_says_where(self, bench: Bench, alone: Member) -> None:
        bench.produce(0, [b"a", b"b", b"c"])
        bench.produce(1, [b"x"])
        alone.source.resume(bench.partition(1), 0)
        alone.until(lambda: alone.values(bench.partition(1)) == [b"x"])
        assert alone.values(bench.partition(0)) == []
        alone.source.resume(bench.partition(0), 1)
        alone.until(lambda: alone.values(bench.partition(0)) == [b"b", b"c"])

    def test_records_come_whole_and_in_order(self, bench: Bench, alone: Member) -> None:
        headers: Headers = [("type", b"A"), ("type", b"B"), ("empty", None)]
        bench.produce(0, [b"with"], b"key", headers)
        bench.produce(0, [None, b""], None)
        bench.produce(0, [b"x" * 1_000_000])
        place = bench.partition(0)
        alone.source.resume(place, 0)
        alone.until(lambda: len(alone.records) == 4)
        assert [record.offset() for record in alone.records] == [0, 1, 2, 3]
        assert [record.key() for record in alone.records] == [b"key", None, None, b"k"]
        assert [len(record.value() or b"-") for record in alone.records] == [4, 1, 1, 1_000_000]
        assert alone.records[1].value() is None
        assert alone.records[0].headers() == headers
        assert not alone.records[1].headers()
        assert {(record.topic(), record.partition()) for record in alone.records} == {(place.topic, 0)}

    def test_a_fetch_brings_no_more_than_asked_and_counts_its_bytes(self, bench: Bench, alone: Member) -> None:
        bench.produce(0, [b"12345"] * 10, b"key")
        alone.source.resume(bench.partition(0), 0)
        seen = 0
        while seen < 10:
            fetched = alone.fetch(3)
            records = sum(map(len, fetched.records.values()))
            assert records <= 3
            assert fetched.size == records * 5
            seen += records

    def test_the_end_is_past_markers_and_aborted_records(self, bench: Bench, alone: Member) -> None:
        bench.produce(0, [b"a"])
        bench.transaction(0, [b"b", b"c"], commit=True)
        bench.transaction(0, [b"never"], commit=False)
        place = bench.partition(0)
        alone.source.resume(place, 0)
        alone.until(lambda: alone.ends.get(place) == 6)
        assert alone.values(place) == [b"a", b"b", b"c"]
        assert alone.source.ends()[place] == 6

    def test_the_end_of_a_partition_moves_on_with_markers_alone(self, bench: Bench, alone: Member) -> None:
        place = bench.partition(0)
        alone.source.resume(place, 0)
        alone.until(lambda: alone.ends.get(place) == 0)
        bench.transaction(0, [b"never"], commit=False)
        alone.until(lambda: alone.ends.get(place) == 2)
        assert alone.values(place) == []

    def test_a_paused_partition_is_silent_and_resumes_anywhere(self, bench: Bench, alone: Member) -> None:
        place, other = bench.partition(0), bench.partition(1)
        bench.produce(0, [b"a", b"b", b"c"])
        alone.source.resume(place, 0)
        alone.source.resume(other, 0)
        alone.until(lambda: alone.values(place) == [b"a", b"b", b"c"])
        alone.source.pause(place)
        bench.produce(0, [b"d"])
        bench.produce(1, [b"x"])
        alone.until(lambda: alone.values(other) == [b"x"])
        alone.source.pause(place)
        alone.source.resume(place, 2)
        alone.until(lambda: alone.values(place) == [b"a", b"b", b"c", b"c", b"d"])
        alone.source.resume(place, 1)
        alone.until(lambda: alone.values(place)[5:] == [b"b", b"c", b"d"])

    def test_two_members_share_and_the_one_that_leaves_is_replaced(
        self, bench: Bench, member: Callable[[], Member]
    ) -> None:
        first = member()
        first.until(lambda: len(first.owned) == PARTITIONS)
        second = member()
        first.until(lambda: len(first.owned) == len(second.owned) == 1, second)
        assert first.owned | second.owned == {bench.partition(0), bench.partition(1)}
        first.source.close()
        assert first.owned == set()
        second.until(lambda: len(second.owned) == PARTITIONS)

    def test_a_position_that_the_log_does_not_have_is_no_jump(self, bench: Bench, alone: Member) -> None:
        bench.produce(0, [b"a", b"b", b"c"])
        bench.produce(1, [b"a", b"b", b"c"])
        bench.truncate(0, 2)
        for place, offset in ((bench.partition(0), 1), (bench.partition(1), 7)):
            alone.source.resume(place, offset)
            with pytest.raises(SourceChanged) as caught:
                alone.until(lambda: False)
            assert caught.value.partition == place
            alone.source.pause(place)
        assert alone.records == []

    def test_records_of_a_topic_created_anew_never_pass_for_the_old_ones(self, bench: Bench, alone: Member) -> None:
        bench.produce(0, [b"old"] * 3)
        alone.source.resume(bench.partition(0), 0)
        alone.until(lambda: len(alone.records) == 3)
        old = bench.partition(0)
        bench.recreate()
        bench.produce(0, [b"new"] * 6)
        assert bench.partition(0) != old

        def noticed() -> bool:
            try:
                alone.fetch()
            except TopicMissing:
                return False
            except SourceChanged:
                return True
            return bench.partition(0) in alone.owned

        wait.true("the other topic is noticed", noticed, 30, 0)
        assert alone.values(old) == [b"old"] * 3

    def test_what_came_before_the_topic_was_created_anew_is_not_verified_after(
        self, bench: Bench, alone: Member
    ) -> None:
        bench.produce(0, [b"old"] * 3)
        place = bench.partition(0)
        alone.source.resume(place, 0)

        def one() -> bool:
            # As much as was asked for: more may come, so that the source has not asked anything yet.
            return bool(alone.source.fetch(1, 0.2).records)

        wait.true("a record comes", one, 30, 0)
        bench.recreate()
        with pytest.raises(SourceChanged) as caught:
            alone.source.verify()
        assert caught.value.partition == place
        with pytest.raises(SourceChanged):
            alone.source.verify()
        alone.source.pause(place)
        alone.source.verify()

    def test_a_missing_topic_is_named(self, bench: Bench) -> None:
        stranger = Member(bench.stranger())
        try:
            with pytest.raises(TopicMissing, match=r"topic '.*' does not exist"):
                stranger.until(lambda: False)
        finally:
            stranger.source.close()
