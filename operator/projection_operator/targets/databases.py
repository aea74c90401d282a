"""Registries in PostgreSQL, for the loop: observe, act under the epoch of our leadership, try a worker's login."""

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass

from projection_operator.core.observation import Unknown, WorkerAccess
from projection_operator.core.reasons import Reason
from projection_operator.targets.failures import TARGET_ERRORS, Failure, of_act, of_login
from projection_operator.targets.pool import Pool
from projection_operator.targets.tasks import Tasks
from projector.registry import Deposed, Identity, ProjectionView, Registry, Survey

OBSERVE_TIMEOUT = 2.5
ACT_TIMEOUT = 5.0
"""Seconds; an act that takes longer goes on by itself, and the next pass sees what became of it."""

GOOD_FOR, BAD_FOR = 60.0, 4.0
"""Seconds for which a login that worked, or did not, is not tried again."""


@dataclass(frozen=True, slots=True)
class Database:
    """A database as a user names it: `uri` with its secret, and `where` (field and Secret) for messages."""

    uri: str
    where: str


@dataclass(frozen=True, slots=True)
class Leader:
    """In whose name acts are made; `held` is asked right before each."""

    holder: str
    held: Callable[[], bool]


@dataclass(frozen=True, slots=True)
class Adapter:
    """The adapter of the registry port: how to open one, the role of a login, and where a URI points to.

    `server` raises StoreUnavailable where the URI cannot be read.
    """

    open: Callable[[str], Registry]
    role: Callable[[str], str]
    server: Callable[[str], str]


class _Probe:
    """Logs in as the workers do."""

    def __init__(self, uri: str, role: Callable[[str], str]) -> None:
        self._uri, self._role = uri, role

    def __call__(self) -> str:
        return self._role(self._uri)

    def close(self) -> None:
        """Nothing is kept."""


class Databases:
    """All registries that this operator has to do with."""

    def __init__(self, adapter: Adapter, leader: Leader) -> None:
        self._adapter, self._leader = adapter, leader
        self._registries: Pool[Registry] = Pool("registry", adapter.open)
        self._probes: Pool[_Probe] = Pool("probe", lambda uri: _Probe(uri, adapter.role), limit=16)
        self._tasks = Tasks()
        self._epochs: dict[str, int] = {}
        self._logins: dict[str, tuple[float, WorkerAccess | Unknown]] = {}

    async def observe(self, database: Database, identity: Identity) -> ProjectionView | Unknown | None:
        """The projection in the registry, None where it has none, or why that is not known."""
        try:
            return await self._registries.run(database.uri, lambda r: r.observe(identity), OBSERVE_TIMEOUT)
        except TARGET_ERRORS as error:
            return of_login(error, database.where)

    async def survey(self, database: Database, identity: Identity) -> Survey | Unknown | None:
        """What a swap would meet, None where nothing is live, or why that is not known."""
        try:
            return await self._registries.run(database.uri, lambda r: r.survey(identity), OBSERVE_TIMEOUT)
        except TARGET_ERRORS as error:
            return of_login(error, database.where)

    async def worker(self, database: Database) -> WorkerAccess | Unknown:
        """Whether the workers' login works."""
        known = self._logins.get(database.uri)
        if known is not None and known[0] > time.monotonic():
            return known[1]
        answer = await self._try_login(database)
        good = isinstance(answer, WorkerAccess)
        self._forget_old_logins()
        self._logins[database.uri] = (time.monotonic() + (GOOD_FOR if good else BAD_FOR), answer)
        return answer

    async def _try_login(self, database: Database) -> WorkerAccess | Unknown:
        try:
            return WorkerAccess(await self._probes.run(database.uri, lambda probe: probe(), OBSERVE_TIMEOUT))
        except TARGET_ERRORS as error:
            return of_login(error, database.where)

    def _forget_old_logins(self) -> None:
        now = time.monotonic()
        self._logins = {uri: known for uri, known in self._logins.items() if known[0] > now}

    async def act(self, database: Database, take_over: str | None, call: Callable[[Registry, int], object]) -> None:
        """Do `call(registry, epoch)` as the leader. Raises Failure."""
        try:
            server = self._adapter.server(database.uri)
            await self._registries.run(
                database.uri, lambda registry: self._led(registry, server, take_over, call), ACT_TIMEOUT
            )
        except TARGET_ERRORS as error:
            raise Failure(of_act(error, database.where)) from error

    def begin(
        self, database: Database, take_over: str | None, kind: str, build: int, call: Callable[[Registry, int], object]
    ) -> None:
        """Do `call(registry, epoch)` as the leader, however long it takes, in a session and a thread of its own.

        At most one of a kind at a time per database. Raises Failure with what the last try for `build` came to.
        """
        try:
            server = self._adapter.server(database.uri)
            self._tasks.begin((server, kind), build, lambda: self._alone(database, server, take_over, call))
        except Exception as error:
            raise Failure(of_act(error, database.where)) from error

    def _alone(
        self, database: Database, server: str, take_over: str | None, call: Callable[[Registry, int], object]
    ) -> None:
        with closing(self._adapter.open(database.uri)) as registry:
            self._led(registry, server, take_over, call)

    def _led(
        self, registry: Registry, server: str, take_over: str | None, call: Callable[[Registry, int], object]
    ) -> None:
        """Runs in a thread. Another of our own logins to the same database may have raised the epoch: take it again."""
        epoch = self._epochs.get(server) or self._lead(registry, server, take_over)
        try:
            call(registry, epoch)
        except Deposed:
            self._epochs.pop(server, None)
            call(registry, self._lead(registry, server, take_over))

    def _lead(self, registry: Registry, server: str, take_over: str | None) -> int:
        # A leader that lost its Lease in its sleep must not raise the epoch again.
        if not self._leader.held():
            raise Failure(Unknown(Reason.DEPOSED, "this operator does not lead any more"))
        epoch = registry.take_leadership(self._leader.holder, take_over)
        self._epochs[server] = epoch
        return epoch

    async def close(self) -> None:
        """Close all connections."""
        await self._registries.close()
        await self._probes.close()
