"""The API server and the log in memory for the model test."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from projection_operator.core.events import Event
from projection_operator.core.observation import SourceView, Unknown
from projection_operator.core.reasons import Reason
from projection_operator.kube.client import Refused, Unavailable
from projector.ports import Ends, Partition
from tests.support.model_wire import GATE, Wire

KEY = ("shop", "orders")
TOPIC = "orders"
Object = dict[str, Any]


def copied(body: Mapping[str, Any]) -> Object:
    """As it goes over the wire."""
    found: Object = json.loads(json.dumps(body))
    return found


class ModelCluster:
    """Objects of one namespace, with what of the API server's behaviour the loop rests on."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self.wire = Wire(Unavailable("the API server does not answer"))
        self.body: Object | None = None
        self.deployments_: dict[str, Object] = {}
        self.records_: dict[str, Object] = {}
        self.plans: dict[str, Mapping[str, Any]] = {}
        """By hash: all that a user was ever shown."""
        self.removes: Callable[[int], None] = lambda _: None
        """Told before the Deployment of a build is deleted by an operator."""
        self._clock = clock
        self._uids = 0

    # What people do.

    def create(self, spec: Object) -> None:
        """A Projection that is not there."""
        assert self.body is None
        self._uids += 1
        meta = {"namespace": KEY[0], "name": KEY[1], "uid": f"uid-{self._uids}", "generation": 1, "annotations": {}}
        self.body = {"metadata": meta, "spec": copied(spec)}

    def edit(self, spec: Object) -> None:
        """Another spec."""
        assert self.body is not None
        if spec != self.body["spec"]:
            self.body["spec"] = copied(spec)
            self.body["metadata"]["generation"] += 1

    def annotate(self, name: str, value: str | None) -> None:
        """Set or remove an annotation."""
        assert self.body is not None
        self.body["metadata"]["annotations"].pop(name, None)
        if value is not None:
            self.body["metadata"]["annotations"][name] = value

    def delete(self) -> None:
        """The object stays while it has finalizers."""
        assert self.body is not None
        self.body["metadata"]["deletionTimestamp"] = "2026-01-02T03:04:05Z"
        self._collect()

    def collect_garbage(self) -> None:
        """Deployments and records go with their owner."""
        uid = None if self.body is None else self.body["metadata"]["uid"]
        for objects in (self.deployments_, self.records_):
            for name, body in list(objects.items()):
                if body["metadata"]["ownerReferences"][0]["uid"] != uid:
                    del objects[name]

    def _collect(self) -> None:
        if self.body and self.body["metadata"].get("deletionTimestamp") and not self.body["metadata"].get("finalizers"):
            self.body = None

    # What pods do.

    def running(self) -> dict[int, int]:
        """Epoch of each build that has a pod which works."""
        found = {}
        for body in self.deployments_.values():
            _, _, build, _, epoch = body["spec"]["template"]["spec"]["containers"][0]["args"]
            if body["spec"]["replicas"] > 0 and body["status"]["readyReplicas"] > 0:
                found[int(build)] = int(epoch)
        return found

    def fail_pods(self, name: str) -> None:
        """The pods of a Deployment are not ready any more."""
        condition = {"type": "Available", "status": "False", "lastTransitionTime": self._clock().isoformat()}
        replicas = self.deployments_[name]["spec"]["replicas"]
        self.deployments_[name]["status"] = {"replicas": replicas, "readyReplicas": 0, "conditions": [condition]}

    def start_pods(self) -> None:
        """All that are asked for are ready."""
        for body in self.deployments_.values():
            replicas = body["spec"]["replicas"]
            body["status"] = {"replicas": replicas, "readyReplicas": replicas}

    # The port.

    async def projection(self, namespace: str, name: str) -> Object | None:
        self.wire.read()
        assert (namespace, name) == KEY
        found = None if self.body is None else copied(self.body)
        GATE.get().body = found or {}
        return found

    async def apply_status(self, namespace: str, name: str, status: Object) -> None:
        assert (namespace, name) == KEY
        await self._write(lambda: self._set_status(status))

    def _set_status(self, status: Object) -> None:
        self._sure()["status"] = copied(status)
        if "plan" in status:
            self.plans[status["plan"]["hash"]] = copied(status["plan"])

    async def apply_finalizers(self, namespace: str, name: str, uid: str, finalizers: list[str]) -> None:
        assert (namespace, name) == KEY
        await self._write(lambda: self._set_finalizers(uid, finalizers))

    def _set_finalizers(self, uid: str, finalizers: list[str]) -> None:
        meta = self._sure()["metadata"]
        if meta["uid"] != uid:
            raise Refused(409, "the uid is another one")
        if meta.get("deletionTimestamp") and set(finalizers) - set(meta.get("finalizers") or ()):
            raise Refused(422, "no new finalizers can be added if the object is being deleted")
        meta["finalizers"] = list(finalizers)
        self._collect()

    async def deployments(self, namespace: str, selector: str) -> list[Object]:
        self.wire.read()
        del namespace, selector
        return [copied(body) for body in self.deployments_.values()]

    async def apply_deployment(self, manifest: Mapping[str, Any]) -> None:
        await self._write(lambda: self._set_deployment(copied(manifest)))

    def _set_deployment(self, body: Object) -> None:
        replicas = body["spec"]["replicas"]
        body["status"] = {"replicas": replicas, "readyReplicas": replicas}
        # The server gives items of a list without these.
        del body["apiVersion"], body["kind"]
        self.deployments_[body["metadata"]["name"]] = body

    async def delete_deployment(self, namespace: str, name: str) -> None:
        del namespace
        await self._write(lambda: self._remove(name))

    def _remove(self, name: str) -> None:
        self.removes(int(name.rpartition("-b")[2]))
        self.deployments_.pop(name, None)

    async def records(self, namespace: str, selector: str) -> list[Object]:
        self.wire.read()
        del namespace, selector
        return [copied(body) for body in self.records_.values()]

    async def apply_record(self, manifest: Mapping[str, Any]) -> None:
        await self._write(lambda: self._set_record(copied(manifest)))

    def _set_record(self, body: Object) -> None:
        before = self.records_.get(body["metadata"]["name"], {})
        if before and before["spec"] != body["spec"]:
            raise Refused(422, "a record is not changed")
        self.records_[body["metadata"]["name"]] = {**before, **body}

    async def apply_record_status(self, namespace: str, name: str, status: Object) -> None:
        del namespace
        await self._write(lambda: self._set_record_status(name, status))

    def _set_record_status(self, name: str, status: Object) -> None:
        if name not in self.records_:
            raise Refused(404, "not found")
        self.records_[name]["status"] = copied(status)

    async def delete_record(self, namespace: str, name: str) -> None:
        del namespace
        await self._write(lambda: self.records_.pop(name, None))

    async def secret(self, namespace: str, name: str) -> dict[str, bytes] | None:
        self.wire.read()
        assert (namespace, name) == (KEY[0], "db")
        return {"uri": b"postgresql://worker@db/app"}

    async def emit(self, body: Mapping[str, Any], event: Event, reporter: str, at: str) -> None:
        del body, event, reporter, at
        await self._write(lambda: None)

    async def _write(self, do: Callable[[], object]) -> None:
        await GATE.get().through()
        self.wire.write(do)

    def _sure(self) -> Object:
        if self.body is None:
            raise Refused(404, "not found")
        return self.body


class ModelLog:
    """One topic of two partitions, which may be cut off, cleaned up, or created anew."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self.down = self.keeps_groups = 0
        self.ends: dict[Partition, Ends] = {}
        self._clock, self._ids = clock, 0
        self.recreate()

    def recreate(self, written: int = 20) -> None:
        """The topic is another one from now on."""
        self._ids += 1
        self.ends = {Partition(TOPIC, f"id-{self._ids}", number): Ends(0, written) for number in range(2)}

    def append(self, number: int, count: int) -> None:
        """A producer writes."""
        self._change(number, end=self._bounds(number).end + count)

    def cut(self, number: int, count: int) -> None:
        """The last records are lost, as by an unclean election."""
        bounds = self._bounds(number)
        self._change(number, end=max(bounds.start, bounds.end - count))

    def clean(self, number: int, count: int) -> None:
        """The first records go by retention."""
        bounds = self._bounds(number)
        self._change(number, start=min(bounds.end, bounds.start + count))

    def at(self, number: int) -> Partition:
        """The partition of this number."""
        return next(one for one in self.ends if one.number == number)

    def _bounds(self, number: int) -> Ends:
        return self.ends[self.at(number)]

    def _change(self, number: int, **changes: int) -> None:
        self.ends[self.at(number)] = replace(self._bounds(number), **changes)

    # The port.

    async def describe(
        self,
        servers: Sequence[str],
        topics: Sequence[str],
        unread: Callable[[Mapping[Partition, Ends]], Mapping[Partition, int]],
    ) -> SourceView | Unknown:
        del servers, topics
        if self.down:
            return Unknown(Reason.SOURCE_UNAVAILABLE, "spec.source.kafka.bootstrapServers: kafka:9092: no answer")
        oldest = int(self._clock().timestamp() * 1000) - 4_000
        return SourceView(dict(self.ends), dict.fromkeys(unread(self.ends), oldest))

    async def compacted(self, servers: Sequence[str], topics: Sequence[str]) -> frozenset[str] | Unknown:
        del servers, topics
        if self.down:
            return Unknown(Reason.SOURCE_UNAVAILABLE, "spec.source.kafka.bootstrapServers: kafka:9092: no answer")
        return frozenset()

    async def forget(self, servers: Sequence[str], group: str) -> bool:
        del servers, group
        await GATE.get().through()
        return not self.down and not self.keeps_groups
