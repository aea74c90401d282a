"""A commit on its way to the server, and what is sent again when the answer asks for it."""

from collections.abc import Callable

from psycopg import errors, pq

from projector.stores.postgres.wire import Wire

_TRIES = 3
"""Deadlocks end one of those who meet; with sorted keys a second one in a row is bad luck."""


class Flight:
    """One message, sent. It may be sent again: its first statement is a compare-and-set.

    `spare` says the same by statements that need less of the rows; it takes the message's place where that went wrong.
    """

    def __init__(self, wire: Wire, message: bytes, spare: Callable[[], bytes] | None) -> None:
        self._wire = wire
        self._message = message
        self._spare = spare
        self._left = _TRIES - 1
        wire.send(message)

    def ready(self) -> bool:
        """Whether the answer is here. Raises psycopg.Error and StoreUnavailable."""
        return self._wire.ready() and not self._sent_again()

    def results(self) -> list[pq.abc.PGresult]:
        """Wait for the answer. Raises psycopg.Error and StoreUnavailable."""
        while True:
            self._wire.wait()
            if not self._sent_again():
                return self._wire.answer()

    def _sent_again(self) -> bool:
        failure = self._wire.failure()
        if isinstance(failure, errors.DeadlockDetected) and self._left:
            self._left -= 1
        elif isinstance(failure, errors.UniqueViolation | errors.NumericValueOutOfRange) and self._spare is not None:
            self._message, self._spare = self._spare(), None
        else:
            return False
        self._wire.send(self._message)
        return True
