"""Leadership: who holds it, and that nobody believes it longer than others wait."""

import asyncio
from typing import Any

import pytest

from projection_operator.kube.client import Refused, Unavailable
from projection_operator.kube.lease import Lease, LeaseTerms, Lost

TERMS = LeaseTerms("ns", "name", duration=15.0, deadline=10.0, retry=0.001)


class FakeLeases:
    """A Lease with the compare-and-set of the API server."""

    def __init__(self) -> None:
        self.stored: dict[str, Any] | None = None
        self.version = 0
        self.down = False

    def _check(self) -> None:
        if self.down:
            raise Unavailable("refused")

    async def lease(self, namespace: str, name: str) -> dict[str, Any] | None:
        del namespace, name
        self._check()
        return None if self.stored is None else {**self.stored, "spec": dict(self.stored["spec"])}

    async def create_lease(self, namespace: str, body: dict[str, Any]) -> dict[str, Any]:
        del namespace
        self._check()
        if self.stored is not None:
            raise Refused(409, "exists")
        return self._store(body)

    async def replace_lease(self, namespace: str, name: str, body: dict[str, Any]) -> dict[str, Any]:
        del namespace, name
        self._check()
        if body["metadata"]["resourceVersion"] != str(self.version):
            raise Refused(409, "changed")
        return self._store(body)

    def _store(self, body: dict[str, Any]) -> dict[str, Any]:
        self.version += 1
        self.stored = {**body, "metadata": {**body["metadata"], "resourceVersion": str(self.version)}}
        return self.stored

    @property
    def spec(self) -> dict[str, Any]:
        assert self.stored is not None
        spec: dict[str, Any] = self.stored["spec"]
        return spec


class Clock:
    """A monotonic clock of one process."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


async def tries(lease: Lease) -> bool:
    """Whether an attempt of some milliseconds gets it."""
    try:
        async with asyncio.timeout(0.05):
            await lease.acquire()
    except TimeoutError:
        return False
    return True


@pytest.mark.asyncio
async def test_the_first_holds_and_the_second_waits_for_the_whole_duration() -> None:
    leases, clock = FakeLeases(), Clock()
    first, second = Lease(leases, TERMS, "a", clock), Lease(leases, TERMS, "b", clock)
    await first.acquire()
    assert first.held()
    assert not await tries(second)
    clock.now += 10.0
    assert not first.held(), "stops before others may start"
    clock.now += 4.9
    assert not await tries(second)
    clock.now += 0.2
    assert await tries(second)
    assert (leases.spec["holderIdentity"], leases.spec["leaseTransitions"]) == ("b", 2)
    assert not first.held()


@pytest.mark.asyncio
async def test_a_sleeper_that_wakes_stops_at_once() -> None:
    leases, clock = FakeLeases(), Clock()
    first, second = Lease(leases, TERMS, "a", clock), Lease(leases, TERMS, "b", clock)
    await first.acquire()
    assert not await tries(second)
    clock.now += 16
    assert await tries(second)
    with pytest.raises(Lost):
        await first.keep()
    assert leases.spec["holderIdentity"] == "b"


@pytest.mark.asyncio
async def test_a_release_lets_the_next_one_in_at_once() -> None:
    leases, clock = FakeLeases(), Clock()
    first, second = Lease(leases, TERMS, "a", clock), Lease(leases, TERMS, "b", clock)
    await first.acquire()
    await first.release()
    assert not first.held()
    assert await tries(second)


@pytest.mark.asyncio
async def test_an_outage_is_outlived_until_the_deadline_only() -> None:
    leases, clock = FakeLeases(), Clock()
    lease = Lease(leases, TERMS, "a", clock)
    await lease.acquire()
    leases.down = True
    keeping = asyncio.create_task(lease.keep())
    clock.now += 9.9
    await asyncio.sleep(0.02)
    assert not keeping.done()
    assert lease.held()
    clock.now += 0.2
    with pytest.raises(Lost):
        await keeping


@pytest.mark.asyncio
async def test_renewals_keep_it() -> None:
    leases, clock = FakeLeases(), Clock()
    lease = Lease(leases, TERMS, "a", clock)
    await lease.acquire()
    keeping = asyncio.create_task(lease.keep())
    for _ in range(5):
        before = leases.version
        clock.now += 5
        while leases.version == before:  # noqa: ASYNC110 - the fake has no event to wait for
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert lease.held()
    keeping.cancel()
    assert leases.spec["leaseTransitions"] == 1


@pytest.mark.asyncio
async def test_who_loses_the_race_does_not_hold() -> None:
    leases, clock = FakeLeases(), Clock()
    await Lease(leases, TERMS, "a", clock).acquire()
    racer = Lease(leases, TERMS, "b", clock)
    assert not await tries(racer)
    clock.now += 16
    read = await leases.lease("ns", "name")
    assert read is not None
    leases.version += 1  # somebody writes between the racer's read and its write
    assert not await tries(racer)
    assert not racer.held()
