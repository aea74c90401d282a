"""Records of builds in the cluster. Whatever fails here is logged and holds nothing up: records are for people."""

import structlog

from projection_operator.core.actions import ApplyRecord, RecordAction
from projection_operator.core.manifests import GROUP, MANAGED_BY, PROJECTION_LABEL, RECORD_PLURAL
from projection_operator.core.observation import Recorded, Resource, Unknown
from projection_operator.core.reasons import Reason
from projection_operator.core.records import record_name
from projection_operator.kube.client import Refused, Unavailable
from projection_operator.loop.ports import Cluster, Object

log = structlog.get_logger(__name__)

_NOT_FOUND = 404


class RecordReader:
    """Reads the records of a Projection. Where they are not served, that is said once: see `docs/operations.md`."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._told: str | None = None

    async def read(self, resource: Resource) -> tuple[Recorded, ...] | Unknown:
        """Those that the operator wrote for it."""
        labels = f"{MANAGED_BY},{PROJECTION_LABEL}={resource.name}"
        try:
            found = await self._cluster.records(resource.namespace, labels)
        except Unavailable as error:
            return Unknown(Reason.CLUSTER_UNAVAILABLE, str(error))
        except Refused as refused:
            self._left_out(refused)
            return Unknown(Reason.CLUSTER_UNAVAILABLE, str(refused))
        self._told = None
        return tuple(_recorded(item) for item in found if _of(item, resource))

    def _left_out(self, refused: Refused) -> None:
        """The CRD, or a right on it, is missing after an upgrade without them: the operator goes on without records."""
        crd = f"{RECORD_PLURAL}.{GROUP}"
        missing = f"CRD {crd} is not installed" if refused.status == _NOT_FOUND else refused.message
        if missing != self._told:
            log.warning("records_left_out", crd=crd, reason=missing)
        self._told = missing


def _of(item: Object, resource: Resource) -> bool:
    """Whether it is ours: what others create under this kind is left alone."""
    meta = item["metadata"]
    owners = meta.get("ownerReferences") or ()
    ours = any(owner.get("uid") == resource.uid for owner in owners)
    return ours and meta["name"] == record_name(resource.name, item["spec"]["build"])


def _recorded(item: Object) -> Recorded:
    spec = item["spec"]
    return Recorded(item["metadata"]["name"], spec["build"], spec, item.get("status") or {})


async def write(cluster: Cluster, namespace: str, action: RecordAction) -> None:
    """Do it, or log why not; the next pass tries again. Raises Unavailable, since the rest would fare no better."""
    try:
        await _write(cluster, namespace, action)
    except Refused as refused:
        # Somebody may have deleted it in between.
        if refused.status != _NOT_FOUND:
            log.warning("record_refused", namespace=namespace, record=action.name, message=refused.message)


async def _write(cluster: Cluster, namespace: str, action: RecordAction) -> None:
    if not isinstance(action, ApplyRecord):
        await cluster.delete_record(namespace, action.name)
        return
    if action.manifest is not None:
        await cluster.apply_record(action.manifest)
    await cluster.apply_record_status(namespace, action.name, dict(action.status))
