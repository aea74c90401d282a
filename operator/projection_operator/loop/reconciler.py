"""The pass: get, observe, decide, act, and say so in status and events."""

import random
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

import structlog

from projection_operator.core.decide import Decision, decide
from projection_operator.core.observation import Unknown
from projection_operator.kube.client import Refused, Unavailable
from projection_operator.loop.act import Actor, NotLeading
from projection_operator.loop.observe import Observer, Seen
from projection_operator.loop.ports import Cluster, Key
from projection_operator.loop.queue import Queue
from projection_operator.loop.records import write
from projection_operator.metrics import Metrics

log = structlog.get_logger(__name__)

_NOT_FOUND = 404

JITTER = 0.2
"""Share by which a wait may be shorter or longer, so that a thousand resources spread out."""


class Reconciler:
    """One pass per key; `clock` gives an aware time."""

    def __init__(
        self,
        cluster: Cluster,
        observer: Observer,
        actor: Actor,
        queue: Queue[Key],
        metrics: Metrics,
        holder: str,
        clock: Callable[[], datetime],
    ) -> None:
        self._cluster, self._observer, self._actor, self._queue = cluster, observer, actor, queue
        self._metrics, self._holder, self._clock = metrics, holder, clock

    async def pass_(self, key: Key) -> None:
        """One pass of `key`, and its place in the queue after that. Raises NotLeading only."""
        started = time.monotonic()
        try:
            after = await self.reconcile(key)
        except NotLeading:
            raise
        except (Unavailable, Refused) as error:
            log.warning("pass_failed", namespace=key[0], name=key[1], error=str(error))
            self._failed(key, "cluster")
        except Exception:
            # One resource's fault must not stop the others.
            log.exception("pass_failed", namespace=key[0], name=key[1])
            self._failed(key, "fault")
        else:
            self._queue.succeeded(key)
            if after is not None:
                self._queue.add(key, after * random.uniform(1 - JITTER, 1 + JITTER))  # noqa: S311 - no secret
        self._metrics.reconcile_seconds.observe(time.monotonic() - started)

    def _failed(self, key: Key, kind: str) -> None:
        self._metrics.reconcile_errors.labels(kind).inc()
        self._queue.retry(key)

    async def reconcile(self, key: Key) -> float | None:
        """Seconds until the next pass; None where the Projection is gone."""
        body = await self._cluster.projection(*key)
        if body is None:
            self._observer.forget(key)
            self._metrics.forget(key)
            return None
        seen = await self._observer.observe(body)
        decision = decide(seen.observation, self._clock())
        refused = await self._act(seen, decision)
        if refused is not None:
            log.warning("act_refused", namespace=key[0], name=key[1], reason=refused.reason, message=refused.message)
            decision = decide(replace(seen.observation, refused=refused), self._clock())
        await self._say(seen, decision)
        await self._record(seen, decision)
        self._metrics.saw(key, decision.status)
        return decision.requeue_after

    async def _act(self, seen: Seen, decision: Decision) -> Unknown | None:
        for action in decision.actions:
            log.info("act", namespace=seen.identity.namespace, name=seen.identity.name, action=type(action).__name__)
        return await self._actor.act(seen, decision.actions)

    async def _record(self, seen: Seen, decision: Decision) -> None:
        """Last, and whatever becomes of it: no step waits for a record, and the next pass tries again."""
        try:
            for action in decision.records:
                self._actor.require_leadership()
                await write(self._cluster, seen.identity.namespace, action)
        except Unavailable as error:
            log.warning(
                "records_not_written", namespace=seen.identity.namespace, name=seen.identity.name, error=str(error)
            )

    async def _say(self, seen: Seen, decision: Decision) -> None:
        resource = seen.observation.resource
        status = decision.status.to_dict()
        if status == dict(resource.status):
            return
        self._actor.require_leadership()
        try:
            await self._cluster.apply_status(resource.namespace, resource.name, status)
        except Refused as refused:
            if refused.status == _NOT_FOUND:
                return
            raise
        at = self._clock().strftime("%Y-%m-%dT%H:%M:%SZ")
        for event in decision.events:
            log.info("event", namespace=resource.namespace, name=resource.name, reason=event.reason)
            await self._cluster.emit(seen.body, event, self._holder, at)
