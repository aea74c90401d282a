"""Records of builds in the world in memory, with the little of the API server's behaviour that they rest on."""

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from projection_operator.kube.client import Refused, Unavailable

Object = dict[str, Any]


@dataclass
class FakeRecords:
    """`ProjectionRebuild` by name. `refuses` says why writes are refused."""

    records_: dict[str, Object] = field(default_factory=dict)
    record_writes: int = 0
    served: bool = True
    refuses: str = ""
    unavailable: bool = False

    async def records(self, namespace: str, selector: str) -> list[Object]:
        self._known()
        wanted = dict(part.split("=") for part in selector.split(","))
        found = (one for one in self.records_.values() if one["metadata"]["namespace"] == namespace)
        return deepcopy([one for one in found if wanted.items() <= one["metadata"]["labels"].items()])

    async def apply_record(self, manifest: Mapping[str, Any]) -> None:
        self._write()
        body = deepcopy(dict(manifest))
        before = self.records_.get(body["metadata"]["name"], {})
        assert "status" not in body, "it goes by its own way"
        if before and before["spec"] != body["spec"]:
            raise Refused(422, "a record is not changed")
        self.records_[body["metadata"]["name"]] = {**before, **body}

    async def apply_record_status(self, namespace: str, name: str, status: Object) -> None:
        del namespace
        self._write()
        if name not in self.records_:
            raise Refused(404, "not found")
        self.records_[name]["status"] = deepcopy(status)

    async def delete_record(self, namespace: str, name: str) -> None:
        del namespace
        self._write()
        self.records_.pop(name, None)

    def _known(self) -> None:
        if not self.served:
            raise Refused(404, "the server could not find the requested resource")

    def _write(self) -> None:
        self._known()
        if self.unavailable:
            raise Unavailable("the API server does not answer")
        if self.refuses:
            raise Refused(403, self.refuses)
        self.record_writes += 1

    def told(self, of: Callable[[Object], Any]) -> dict[int, Any]:
        """What `of` picks of each record, by build."""
        return {one["spec"]["build"]: of(one) for one in self.records_.values()}

    def steps(self) -> dict[int, str]:
        """Step of each record."""
        return self.told(lambda one: one["status"]["step"])
