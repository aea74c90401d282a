"""A session that is kept between calls: one short transaction per call, errors in the words of the ports."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import LiteralString, TypeVar

import psycopg
from psycopg import Connection, Cursor, errors

from projector.ports import StoreUnavailable
from projector.registry import Deposed, NotPermitted, RegistryError, SwapWaiting, WrongState
from projector.stores.postgres.connection import address, cause, connect, require_version

T = TypeVar("T")

_SETTINGS = {"statement_timeout": "5s", "lock_timeout": "2s"}
"""A pass of the operator must not wait longer than this for one act."""


_REFUSALS: dict[str, type[RegistryError]] = {"PJ003": Deposed, "PJ004": SwapWaiting, "PJ005": WrongState}
"""SQLSTATEs that `projections.swap` raises."""


class Session:
    """One connection, opened when needed. Calls may come from several threads; they take turns."""

    def __init__(self, uri: str, application: str) -> None:
        self._uri = uri
        self._application = application
        self._connection: Connection | None = None
        self._turn = threading.Lock()

    def run(self, act: Callable[[Cursor], T]) -> T:
        """Run `act` in one transaction; it must be repeatable.

        Raises StoreUnavailable for outages, deadlocks and timeouts, NotPermitted for a right that lacks.
        """
        with self._turn, translated(self._uri):
            reused = self._connection is not None and not self._connection.broken
            try:
                return self._once(act)
            except psycopg.OperationalError:
                # The server was restarted since the last call, which says nothing about now.
                if not reused or (self._connection is not None and not self._connection.broken):
                    raise
                return self._once(act)

    def alone(self, query: LiteralString, values: Sequence[object]) -> None:
        """Run one statement that commits by itself: the server does not wait for us while it holds locks."""
        with self._turn, translated(self._uri):
            self._connected().execute(query, values)

    def close(self) -> None:
        """Close the connection; the next call opens another."""
        with self._turn:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _once(self, act: Callable[[Cursor], T]) -> T:
        connection = self._connected()
        with connection.transaction(), connection.cursor() as cursor:
            return act(cursor)

    def _connected(self) -> Connection:
        if self._connection is None or self._connection.closed:
            self._connection = connect(self._uri, application=self._application, settings=_SETTINGS)
            require_version(self._connection)
        return self._connection


@contextmanager
def translated(uri: str) -> Iterator[None]:
    """The server's errors in the words of the ports."""
    try:
        yield
    except errors.InsufficientPrivilege as error:
        target = address(uri)
        raise NotPermitted(f"{target}: role {target.user} lacks a right: {cause(error)}") from None
    except psycopg.Error as error:
        refusal = _REFUSALS.get(error.sqlstate or "")
        if refusal is not None:
            raise refusal(cause(error)) from None
        raise StoreUnavailable(f"{address(uri)}: {cause(error)}") from None
