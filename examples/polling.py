"""Readers of the public name that never stop, as an application's queries."""

import time
from threading import Event, Thread
from typing import Self

import psycopg

READERS = 4
_QUERY = "SELECT order_id, status, total_cents FROM order_summaries ORDER BY last_event_at DESC LIMIT 20"


class Polling:
    """`with Polling(uri) as readers`: they read while the block lasts; what they met is there afterwards."""

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._stop = Event()
        self._threads = [Thread(target=self._read, name=f"reader-{n}", daemon=True) for n in range(READERS)]
        self.errors: list[str] = []
        self.count = 0
        self.longest = 0.0
        """Seconds."""

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _read(self) -> None:
        with psycopg.connect(self._uri, autocommit=True) as connection:
            while not self._stop.wait(0.01):
                began = time.monotonic()
                try:
                    connection.execute(_QUERY, prepare=False).fetchall()
                except psycopg.Error as error:
                    self.errors.append(str(error))
                self.longest = max(self.longest, time.monotonic() - began)
                self.count += 1
