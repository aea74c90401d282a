"""A producer of its own process that sends orders at a rate and writes down when: `python -m tests.bench.flow …`."""

import sys
import time
from collections import defaultdict
from mmap import mmap
from pathlib import Path

from confluent_kafka import Producer

from tests.bench.data import PARTITIONS, TYPES, Orders, key_text, value
from tests.bench.topic import type_headers

LIVE = Orders(seed=7, cancels=False)
"""Orders that nobody cancels: each event leaves a trace in its row, the newest timestamp."""
_TICK_S = 0.0005
_AHEAD_S = 0.5


class Clock:
    """When events were sent and which timestamps they have, in a file that two processes have open."""

    def __init__(self, path: Path, amount: int, create: bool = False) -> None:
        if create:
            path.write_bytes(bytes(16 * amount + 8))
        self._file = path.open("r+b")
        cells = memoryview(mmap(self._file.fileno(), 16 * amount + 8)).cast("d")
        self.sent = cells[:amount]
        """Seconds of the monotonic clock just before the producer got the event; 0 before that."""
        self.stamps = cells[amount : 2 * amount]
        """Milliseconds since the epoch; they grow within a key."""
        self.began = cells[2 * amount :]
        """One cell: when the first event was due, by the monotonic clock."""


def main() -> None:
    """Arguments: servers, topic, file of the clock, events, events per second."""
    servers, topic, path, amount, rate = sys.argv[1:]
    send(servers, topic, Clock(Path(path), int(amount)), int(amount), float(rate))


def send(servers: str, topic: str, clock: Clock, amount: int, rate: float) -> None:
    """Send all; an event is never sent before it is due."""
    settings = {"bootstrap.servers": servers, "enable.idempotence": True, "linger.ms": 0, "log_level": 3}
    producer = Producer(settings)
    headers = type_headers(TYPES)
    last: dict[int, int] = defaultdict(int)
    began = clock.began[0] = time.monotonic() + _AHEAD_S
    for number, event in enumerate(LIVE.events(amount)):
        key, act = event
        while time.monotonic() < began + number / rate:
            producer.poll(0)
            time.sleep(_TICK_S)
        stamp = last[key] = max(time.time_ns() // 1_000_000, last[key] + 1)
        clock.stamps[number], clock.sent[number] = stamp, time.monotonic()
        record = (topic, value(event, number), key_text(key), key % PARTITIONS, None, None, stamp)
        producer.produce(*record, headers=headers[act.kind])
    if missing := producer.flush(60):
        raise TimeoutError(f"Kafka did not take {missing} events")


if __name__ == "__main__":
    main()
