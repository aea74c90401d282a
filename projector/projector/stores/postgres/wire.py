"""Statements on their way without a thread: libpq's asynchronous calls on a connection that psycopg opened.

All that waits is bounded: a server that does not answer any more is an outage, whatever the kernel says of the socket.
"""

import select
import time
from collections.abc import Iterable

import psycopg
from psycopg import errors, pq

from projector.ports import StoreUnavailable

PATIENCE = 25.0
"""Seconds: two statements at the end of their `statement_timeout`, and a margin."""

_FAILED = {pq.ExecStatus.FATAL_ERROR, pq.ExecStatus.BAD_RESPONSE}


class Wire:
    """One message of the simple protocol at a time. Methods raise psycopg.Error, or StoreUnavailable after PATIENCE.

    After StoreUnavailable the connection is of no use any more.
    """

    def __init__(self, connection: psycopg.Connection) -> None:
        self._pg = connection.pgconn
        self._results: list[pq.abc.PGresult] = []
        self._whole = True
        self._deadline = 0.0

    def send(self, message: bytes) -> None:
        """Give the server all of a message; returns when the kernel has it."""
        self._begin()
        self._pg.send_query(message)
        self._flush()

    def ready(self) -> bool:
        """Whether the whole answer is here."""
        if self._whole:
            return True
        self._pg.consume_input()
        while not self._pg.is_busy():
            result = self._pg.get_result()
            if result is not None:
                self._results.append(result)
            if result is None or result.status == pq.ExecStatus.COPY_IN:
                self._whole = True
                break
        return self._whole

    def wait(self) -> None:
        """Wait for the whole answer."""
        while not self.ready():
            self._wait(select.POLLIN)

    def answer(self) -> list[pq.abc.PGresult]:
        """Wait for the answer: a result for each statement. Raises the server's error."""
        self.wait()
        if failure := self.failure():
            raise failure
        return self._results

    def ask(self, message: bytes) -> list[pq.abc.PGresult]:
        """Send and wait."""
        self.send(message)
        return self.answer()

    def copy(self, statement: bytes, blocks: Iterable[bytes]) -> None:
        """Carry out a COPY FROM STDIN. What `blocks` raises ends the COPY and is raised here."""
        self.ask(statement)
        try:
            for block in blocks:
                self._put(block)
        except Exception:
            self._end_copy(b"the rows cannot be encoded")
            raise
        self._end_copy(None)
        self.answer()

    def failure(self) -> psycopg.Error | None:
        """The server's error in the answer that is here."""
        failed = (result for result in self._results if result.status in _FAILED)
        return next((errors.error_from_result(result) for result in failed), None)

    def _put(self, block: bytes) -> None:
        self._deadline = time.monotonic() + PATIENCE
        while not self._pg.put_copy_data(block):
            self._wait(select.POLLOUT)
        self._flush()

    def _begin(self) -> None:
        self._results = []
        self._whole = False
        self._deadline = time.monotonic() + PATIENCE

    def _end_copy(self, why: bytes | None) -> None:
        self._begin()
        while not self._pg.put_copy_end(why):
            self._wait(select.POLLOUT)
        self._flush()
        self.wait()

    def _flush(self) -> None:
        while self._pg.flush():
            # The server may have something to say before it reads on.
            if self._wait(select.POLLIN | select.POLLOUT) & select.POLLIN:
                self._pg.consume_input()

    def _wait(self, events: int) -> int:
        poll = select.poll()
        poll.register(self._pg.socket, events)
        left = max(0.0, self._deadline - time.monotonic())
        found = poll.poll(left * 1000)
        if not found:
            raise StoreUnavailable(f"the server gave no answer within {PATIENCE:.0f} s")
        return found[0][1]
