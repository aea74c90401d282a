"""Leadership by a Lease.

A Lease does not fence: a process stopped by the system wakes up believing that it leads. Two things guard against it:
`held()` looks at the monotonic clock before every act, and the registry's epoch (raised by whoever leads) refuses
what slips between that look and the act.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

import structlog

from projection_operator.kube.client import Object, Refused, Unavailable

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class LeaseTerms:
    """Times in seconds. Others wait `duration` after the last renewal that they saw; we stop after `deadline` < it."""

    namespace: str
    name: str
    duration: float = 15.0
    deadline: float = 10.0
    retry: float = 2.0


class Leases(Protocol):
    """What is needed of the API server."""

    async def lease(self, namespace: str, name: str) -> Object | None:
        """The Lease, or None."""
        ...

    async def create_lease(self, namespace: str, body: Object) -> Object:
        """Create; Refused where it exists."""
        ...

    async def replace_lease(self, namespace: str, name: str, body: Object) -> Object:
        """Replace what was read; Refused where it has changed."""
        ...


class Lost(Exception):
    """Leadership could not be renewed in time, or another process has it."""


class Lease:
    """One candidate for leadership, called `holder`."""

    def __init__(
        self, leases: Leases, terms: LeaseTerms, holder: str, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._leases, self._terms, self._holder, self._monotonic = leases, terms, holder, monotonic
        self._held_until = 0.0
        self._seen: tuple[object, object] = (None, None)
        self._seen_at = 0.0

    def held(self) -> bool:
        """Whether this process may act now."""
        return self._monotonic() < self._held_until

    async def acquire(self) -> bool:
        """True, once this process leads."""
        while not await self._try():  # noqa: ASYNC110 - what changes is in the API server
            await asyncio.sleep(self._terms.retry)
        return True

    async def keep(self) -> None:
        """Renew until that fails for too long; never returns, raises Lost."""
        while True:
            await asyncio.sleep(self._terms.retry)
            if not self.held():
                raise Lost("leadership was not renewed in time")
            if not await self._try() and self._taken_by_other():
                raise Lost("another process leads")

    async def release(self) -> None:
        """Let the next one take over at once; best effort."""
        if not self.held():
            return
        self._held_until = 0.0
        try:
            lease = await self._read()
            if lease is not None and lease["spec"].get("holderIdentity") == self._holder:
                await self._write(lease, {**lease["spec"], "holderIdentity": "", "leaseDurationSeconds": 1})
        except (Unavailable, Refused) as error:
            log.warning("lease_not_released", error=str(error))

    async def _try(self) -> bool:
        """Take or renew the Lease; False where it is another's or the API server does not answer."""
        started = self._monotonic()
        try:
            lease = await self._read()
            if lease is None:
                await self._leases.create_lease(self._terms.namespace, self._body())
            elif self._free(lease):
                await self._write(lease, self._spec(lease["spec"]))
            else:
                return False
        except (Unavailable, Refused) as error:
            log.warning("lease_not_renewed", error=str(error))
            return False
        self._held_until = started + self._terms.deadline
        return True

    async def _read(self) -> Object | None:
        lease = await self._leases.lease(self._terms.namespace, self._terms.name)
        if lease is not None:
            lease.setdefault("spec", {})
            mark = (lease["spec"].get("holderIdentity"), lease["spec"].get("renewTime"))
            if mark != self._seen:
                self._seen, self._seen_at = mark, self._monotonic()
        return lease

    def _taken_by_other(self) -> bool:
        return self._seen[0] not in (self._holder, None, "")

    def _free(self, lease: Object) -> bool:
        # Clocks of machines differ: only what this process saw, by its own clock, counts.
        spec = lease["spec"]
        if spec.get("holderIdentity") in (self._holder, None, ""):
            return True
        return self._monotonic() >= self._seen_at + float(spec.get("leaseDurationSeconds") or self._terms.duration)

    async def _write(self, lease: Object, spec: Object) -> None:
        body = {**lease, "spec": spec}
        await self._leases.replace_lease(self._terms.namespace, self._terms.name, body)

    def _spec(self, before: Object) -> Object:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        mine = before.get("holderIdentity") == self._holder
        return {
            **before,
            "holderIdentity": self._holder,
            "leaseDurationSeconds": max(1, round(self._terms.duration)),
            "renewTime": now,
            "acquireTime": before.get("acquireTime", now) if mine else now,
            "leaseTransitions": int(before.get("leaseTransitions") or 0) + (0 if mine else 1),
        }

    def _body(self) -> Object:
        return {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": self._terms.name, "namespace": self._terms.namespace},
            "spec": self._spec({}),
        }
