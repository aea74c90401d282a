"""What the loop needs of the API server, of databases and of logs."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from projection_operator.core.events import Event
from projection_operator.core.observation import SourceView, Unknown, WorkerAccess
from projection_operator.targets.databases import Database
from projector.ports import Ends, Partition
from projector.registry import Identity, ProjectionView, Registry, Survey

Object = dict[str, Any]
Key = tuple[str, str]
"""Namespace and name of a Projection."""


class Cluster(Protocol):
    """See `projection_operator.kube.client.Cluster`; all raise Unavailable or Refused."""

    async def projection(self, namespace: str, name: str) -> Object | None:
        """A Projection."""
        ...

    async def apply_status(self, namespace: str, name: str, status: Object) -> None:
        """Write its status."""
        ...

    async def apply_finalizers(self, namespace: str, name: str, uid: str, finalizers: list[str]) -> None:
        """Write our finalizers."""
        ...

    async def deployments(self, namespace: str, selector: str) -> list[Object]:
        """Deployments by label."""
        ...

    async def apply_deployment(self, manifest: Mapping[str, Any]) -> None:
        """Write a Deployment."""
        ...

    async def delete_deployment(self, namespace: str, name: str) -> None:
        """Delete a Deployment."""
        ...

    async def records(self, namespace: str, selector: str) -> list[Object]:
        """Records of builds by label."""
        ...

    async def apply_record(self, manifest: Mapping[str, Any]) -> None:
        """Write a record without its status."""
        ...

    async def apply_record_status(self, namespace: str, name: str, status: Object) -> None:
        """Write the status of a record."""
        ...

    async def delete_record(self, namespace: str, name: str) -> None:
        """Delete a record."""
        ...

    async def secret(self, namespace: str, name: str) -> dict[str, bytes] | None:
        """Data of a Secret."""
        ...

    async def emit(self, body: Mapping[str, Any], event: Event, reporter: str, at: str) -> None:
        """Post an event."""
        ...


class Databases(Protocol):
    """See `projection_operator.targets.databases.Databases`."""

    async def observe(self, database: Database, identity: Identity) -> ProjectionView | Unknown | None:
        """The registry's entry."""
        ...

    async def survey(self, database: Database, identity: Identity) -> Survey | Unknown | None:
        """What a swap would meet."""
        ...

    async def worker(self, database: Database) -> WorkerAccess | Unknown:
        """The workers' login."""
        ...

    async def act(self, database: Database, take_over: str | None, call: Callable[[Registry, int], object]) -> None:
        """Do something as the leader; raises Failure."""
        ...

    def begin(
        self, database: Database, take_over: str | None, kind: str, build: int, call: Callable[[Registry, int], object]
    ) -> None:
        """Begin something as the leader that takes its time. Raises Failure with what the last try came to."""
        ...


class Logs(Protocol):
    """See `projection_operator.targets.logs.Logs`."""

    async def describe(
        self,
        servers: Sequence[str],
        topics: Sequence[str],
        unread: Callable[[Mapping[Partition, Ends]], Mapping[Partition, int]],
    ) -> SourceView | Unknown:
        """Ends and ages."""
        ...

    async def compacted(self, servers: Sequence[str], topics: Sequence[str]) -> frozenset[str] | Unknown:
        """Which of the topics lose old records by key."""
        ...

    async def forget(self, servers: Sequence[str], group: str) -> bool:
        """Delete a consumer group; False where that cannot be done now."""
        ...
