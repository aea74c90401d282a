"""The operator's look at topics, on a real broker: a transaction that hangs, and when it is over."""

import pytest

from projection_operator.core.observation import SourceView
from projection_operator.targets.adapters import open_logs
from projection_operator.targets.logs import Logs
from tests.support.kafka import KafkaBench

pytestmark = pytest.mark.asyncio


async def look(logs: Logs, bench: KafkaBench) -> SourceView:
    found = await logs.describe([bench.servers], [bench.topic], lambda _: {})
    assert isinstance(found, SourceView)
    return found


async def test_an_open_transaction_is_seen_from_its_first_sight_until_it_ends(bench: KafkaBench) -> None:
    logs = open_logs()
    place = bench.partition(0)
    bench.produce(0, [b"a"])
    hanging = bench.begun(0, [b"open"])
    first = await look(logs, bench)
    assert set(first.unsettled) == {place}
    bench.produce(0, [b"behind"])
    second = await look(logs, bench)
    assert second.unsettled == first.unsettled
    assert (second.ends[place].end, second.ends[place].written) == (1, 3)
    hanging.abort_transaction()
    bench.produce(0, [b"after"])
    third = await look(logs, bench)
    while third.ends[place].end < third.ends[place].written:  # type: ignore[operator]  # known on this log
        third = await look(logs, bench)
    assert third.unsettled == {}
    assert third.ends[place].end == 5
    await logs.close()
