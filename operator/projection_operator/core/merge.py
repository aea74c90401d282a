"""Merging of partial Kubernetes objects, and the question whether a live object already says what a manifest asks."""

from collections.abc import Mapping, Sequence
from typing import Any

_KEYS = {"volumeMounts": "mountPath", "ports": "containerPort"}
"""Lists that Kubernetes keys by something else than `name`."""


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`over` laid on `base`: objects deeply, lists of named items by name, everything else replaced; None removes."""
    result = dict(base)
    for field, value in over.items():
        if value is None:
            result.pop(field, None)
        else:
            result[field] = _merged(field, result.get(field), value)
    return result


def _merged(field: str, base: Any, over: Any) -> Any:
    if isinstance(base, Mapping) and isinstance(over, Mapping):
        return merge(base, over)
    key = _KEYS.get(field, "name")
    if _keyed(base, key) and _keyed(over, key):
        return _merge_lists(base, over, key)
    return over


def _keyed(value: Any, key: str) -> bool:
    return isinstance(value, list) and all(isinstance(item, Mapping) and key in item for item in value)


def _merge_lists(base: Sequence[Mapping[str, Any]], over: Sequence[Mapping[str, Any]], key: str) -> list[Any]:
    named = {item[key]: dict(item) for item in base}
    for item in over:
        named[item[key]] = merge(named.get(item[key], {}), item)
    return list(named.values())


def contains(live: Any, manifest: Any) -> bool:
    """Whether `live` has everything that `manifest` asks; what the server added is ignored."""
    if isinstance(manifest, Mapping):
        return isinstance(live, Mapping) and all(contains(live.get(k), v) for k, v in manifest.items())
    if isinstance(manifest, list):
        return (
            isinstance(live, list)
            and len(live) == len(manifest)
            and all(contains(have, want) for have, want in zip(live, manifest, strict=True))
        )
    return bool(live == manifest)
