"""The log does not answer between a fetch and its commit: what is in hand stays, and counts once."""

import json

import pytest

from projector.ports import SourceUnavailable
from tests.support.crew import Crew
from tests.support.memory import Topic
from tests.support.records import FakeRecord


def put(crew: Crew, partition: int, kind: str, key: str) -> None:
    value = json.dumps({"id": key, "n": 1}).encode()
    crew.topic.append(partition, FakeRecord(value, (("ce_type", kind.encode()),)))


@pytest.fixture
def crew() -> Crew:
    return Crew(Topic.of(3), parks=True)


@pytest.mark.parametrize("times", [1, 2, 3])
def test_events_of_several_partitions_count_once(crew: Crew, monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    source = crew.one.source
    answers, left = source.verify, iter(range(times))

    def verify() -> None:
        if next(left, None) is not None:
            raise SourceUnavailable("no answer within the time limit")
        answers()

    monkeypatch.setattr(source, "verify", verify)
    for partition in range(3):
        put(crew, partition, "Added", f"of {partition}")
        put(crew, partition, "Added", "of all")
        put(crew, partition, "Found", f"nobody in {partition}")
    crew.turns(2 * times + 6)
    counts = {key: row["count"] for (key,), row in crew.target.rows.items()}
    assert counts == {"of 0": 1, "of 1": 1, "of 2": 1, "of all": 3}
    assert {park.key for park in crew.target.parked} == {(f"nobody in {partition}",) for partition in range(3)}
    assert set(crew.target.checkpoints.values()) == {3}
