"""The CRD on a real API server: it accepts and refuses what the models do, and says why in kubectl."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
from pydantic import ValidationError

from projector.spec.load import load_spec
from projector.spec.models import ProjectionSpec
from projector.spec.problems import InvalidSpec
from tests.support.api_server import Api, CommandFailed
from tests.support.specs import spec_data

Spec = dict[str, Any]
NAMESPACE = "default"


def manifest(spec: Spec, name: str = "orders") -> Spec:
    meta = {"name": name, "namespace": NAMESPACE}
    return {"apiVersion": "projections.dev/v1alpha1", "kind": "Projection", "metadata": meta, "spec": spec}


def put(path: str, value: Any) -> Callable[[Spec], None]:
    """Set a field; numbers in the path are places in lists."""

    def change(spec: Spec) -> None:
        *way, last = path.split(".")
        place: Any = spec
        for step in way:
            place = place[int(step)] if step.isdecimal() else place.setdefault(step, {})
        place[int(last) if last.isdecimal() else last] = value

    return change


def drop(path: str) -> Callable[[Spec], None]:
    def change(spec: Spec) -> None:
        *way, last = path.split(".")
        place: Any = spec
        for step in way:
            place = place[int(step)] if step.isdecimal() else place[step]
        del place[last]

    return change


KAFKA, TABLE = "source.kafka", "target.postgresql"
RULE = {"events": ["E"], "key": {"id": "event.id"}}
CASE: Spec = {
    "name": "any values",
    "given": [
        {"type": "E", "value": {"a": [1, 1.5, None, {"b": True}]}, "key": "k", "headers": {"h": "v"}, "partition": 1},
        {"type": "E", "value": "text"},
        {"type": "(tombstone)"},
    ],
    "then": [{"id": "1", "data": {"a": [None, 2]}, "total": 1.5}],
    "parked": [{"id": "2"}],
}
CHANGES: tuple[tuple[str, Callable[[Spec], None], bool], ...] = (
    ("nothing", lambda _: None, True),
    ("no version", drop("version"), False),
    ("version of a digit", put("version", "1"), True),
    ("version with dots", put("version", "2026.01-rc1"), True),
    ("empty version", put("version", ""), False),
    ("version with a space", put("version", "a b"), False),
    ("version ending in a dot", put("version", "1."), False),
    ("version of 41", put("version", "1" * 41), False),
    ("version as a number", put("version", 2), False),
    ("no source", drop("source"), False),
    ("another kind of source", put("source", {"pulsar": {}}), False),
    ("no topics", put(f"{KAFKA}.topics", []), False),
    ("20 topics", put(f"{KAFKA}.topics", [f"t{n}" for n in range(20)]), True),
    ("21 topics", put(f"{KAFKA}.topics", [f"t{n}" for n in range(21)]), False),
    ("topic with a slash", put(f"{KAFKA}.topics", ["a/b"]), False),
    ("no brokers", put(f"{KAFKA}.bootstrapServers", []), False),
    ("21 brokers", put(f"{KAFKA}.bootstrapServers", ["k:1"] * 21), False),
    ("format XML", put(f"{KAFKA}.format", "XML"), False),
    ("version in a header", put(f"{KAFKA}.eventVersion", "header.v"), True),
    ("version in the key", put(f"{KAFKA}.eventVersion", "key.v"), False),
    ("ordering Commutative", put("ordering.mode", "Commutative"), True),
    ("ordering Sorted", put("ordering.mode", "Sorted"), False),
    ("errors", put("errors", {"badData": "Stop", "maxParkedKeys": 1}), True),
    ("no parked keys", put("errors.maxParkedKeys", 0), False),
    ("parked keys without end", put("errors.maxParkedKeys", 10_001), False),
    ("tests of any value", put("tests", [CASE]), True),
    ("test without events", put("tests", [{"then": []}]), False),
    ("event without a type", put("tests", [{"given": [{"value": 1}]}]), False),
    ("header that is a number", put("tests", [{"given": [{"type": "E", "headers": {"a": 1}}]}]), False),
    ("row without columns", put("tests", [{"given": [], "then": [{}]}]), False),
    ("101 tests", put("tests", [{"given": []}] * 101), False),
    ("type from a field", put(f"{KAFKA}.type", "event.kind"), True),
    ("type from the key", put(f"{KAFKA}.type", "key.kind"), False),
    ("no table", drop(f"{TABLE}.table"), False),
    ("table of 50", put(f"{TABLE}.table", "t" * 50), True),
    ("table of 51", put(f"{TABLE}.table", "t" * 51), False),
    ("no columns", put(f"{TABLE}.columns", []), False),
    ("column type money", put(f"{TABLE}.columns", [{"name": "id", "type": "money"}]), False),
    ("column without a type", put(f"{TABLE}.columns", [{"name": "id"}]), False),
    ("column name of 64", put(f"{TABLE}.columns", [{"name": "c" * 64, "type": "text"}]), False),
    ("no key", put(f"{TABLE}.key", []), False),
    ("no Secret", drop(f"{TABLE}.connectionSecretRef"), False),
    ("Secret without a name", put(f"{TABLE}.connectionSecretRef", {"key": "uri"}), False),
    ("Secret with a key", put(f"{TABLE}.connectionSecretRef", {"name": "db", "key": "dsn"}), True),
    ("admin Secret", put(f"{TABLE}.adminSecretRef", {"name": "db-admin"}), True),
    ("no rules", put("rules", []), False),
    ("101 rules", put("rules", [RULE] * 101), False),
    ("100 rules", put("rules", [RULE] * 100), True),
    ("rule without events", put("rules", [{"key": {"id": "event.id"}}]), False),
    ("rule without a key", put("rules", [{"events": ["E"]}]), False),
    ("rule with an empty key", put("rules", [{"events": ["E"], "key": {}}]), False),
    ("rule with an empty set", put("rules", [RULE | {"set": {}}]), False),
    ("empty expression", put("rules", [RULE | {"set": {"name": ""}}]), False),
    ("expression of 1025", put("rules", [RULE | {"set": {"name": "1" * 1025}}]), False),
    ("51 assignments", put("rules", [RULE | {"set": {f"c{n}": "1" for n in range(51)}}]), False),
    ("column name of 64 in a rule", put("rules", [RULE | {"set": {"c" * 64: "1"}}]), False),
    ("empty column name in a rule", put("rules", [RULE | {"set": {"": "1"}}]), False),
    ("delete", put("rules", [RULE | {"delete": True}]), True),
    ("delete as a word", put("rules", [RULE | {"delete": "always"}]), False),
    ("onMissing Ignore", put("rules", [RULE | {"onMissing": "Ignore"}]), True),
    ("onMissing Park", put("rules", [RULE | {"onMissing": "Park"}]), True),
    ("onMissing Wait", put("rules", [RULE | {"onMissing": "Wait"}]), False),
    ("append", put("rules", [RULE | {"append": {"data": "event.x"}}]), True),
    ("an empty append", put("rules", [RULE | {"append": {}}]), False),
    ("forEach", put("rules", [RULE | {"forEach": "event.lines"}]), True),
    ("an empty forEach", put("rules", [RULE | {"forEach": ""}]), False),
    ("suspend", put("suspend", True), True),
    ("replicas 0", put("scaling.replicas", 0), True),
    ("replicas -1", put("scaling.replicas", -1), False),
    ("replicas 1001", put("scaling.replicas", 1001), False),
    ("mode Auto", put("scaling.mode", "Auto"), False),
    ("deletionPolicy Delete", put("deletionPolicy", "Delete"), True),
    ("deletionPolicy Orphan", put("deletionPolicy", "Orphan"), False),
    ("template", put("projector.template", {"spec": {"nodeSelector": {"a": "b"}}}), True),
    ("unknown field", put("paused", True), False),
    ("unknown field deep down", put(f"{TABLE}.partitioning", []), False),
    ("rebuildToken of 101", put("rebuildToken", "x" * 101), False),
)


@pytest.mark.parametrize(("change", "accepted"), [pytest.param(*rest, id=name) for name, *rest in CHANGES])
def test_models_and_api_server_agree(api: Api, change: Callable[[Spec], None], accepted: bool) -> None:
    spec = deepcopy(spec_data())
    change(spec)
    assert _model_accepts(spec) is accepted
    assert _server_accepts(api, spec) is accepted


DIGEST = "shop@sha256:" + "0" * 64
HANDLER = {"rules": None, "handler": "shop.projections:orders"}
TOGETHER: tuple[tuple[str, dict[str, Any], str], ...] = (
    ("handler", HANDLER | {"projector": {"image": DIGEST}}, ""),
    ("handler in a tag", HANDLER | {"projector": {"image": "shop:1"}}, "a handler needs the image that holds it"),
    ("handler without an image", HANDLER, "a handler needs the image that holds it"),
    ("neither", {"rules": None}, "one of rules and handler is needed, and not both"),
    ("both", {"handler": "a.b:c", "projector": {"image": DIGEST}}, "one of rules and handler is needed, and not both"),
    ("guarded", {"ordering": {"mode": "Guarded", "by": "event.v"}}, ""),
    ("guarded by nothing", {"ordering": {"mode": "Guarded"}}, "by is needed with mode Guarded"),
    ("by for nothing", {"ordering": {"by": "event.v"}}, "by is needed with mode Guarded"),
    ("Avro", {f"{KAFKA}.format": "Avro", f"{KAFKA}.schemaRegistry": {"url": "https://r:8081"}}, ""),
    (
        "Avro without schemas",
        {f"{KAFKA}.format": "Avro"},
        "schemaRegistry is needed with the formats Avro and Protobuf",
    ),
    (
        "JSON with schemas",
        {f"{KAFKA}.schemaRegistry": {"url": "https://r:8081"}},
        "schemaRegistry is needed with the formats Avro and Protobuf",
    ),
)


@pytest.mark.parametrize(("parts", "message"), [pytest.param(*rest, id=name) for name, *rest in TOGETHER])
def test_fields_that_need_each_other_are_said_at_once(api: Api, parts: dict[str, Any], message: str) -> None:
    spec = deepcopy(spec_data())
    for path, value in parts.items():
        (put(path, value) if value is not None else drop(path))(spec)
    if message:
        assert message in refusal(api, spec, "together")
        with pytest.raises(InvalidSpec):
            load_spec(spec)
    else:
        load_spec(spec)
        assert _server_accepts(api, spec)


def test_what_a_test_gives_is_kept_as_it_is(api: Api) -> None:
    api.apply(manifest(changed("tests", [CASE]), "kept"))
    try:
        (stored,) = api.get("projection", "kept", NAMESPACE)["spec"]["tests"]
        assert stored["given"][0]["value"] == {"a": [1, 1.5, None, {"b": True}]}
        assert stored["then"] == CASE["then"]
    finally:
        api.kubectl("delete", "projection", "kept", f"--namespace={NAMESPACE}")


def _model_accepts(spec: Spec) -> bool:
    try:
        ProjectionSpec.model_validate(spec)
    except ValidationError:
        return False
    return True


def _server_accepts(api: Api, spec: Spec) -> bool:
    try:
        api.apply(manifest(spec), options=["--dry-run=server"])
    except CommandFailed:
        return False
    return True


def refusal(api: Api, spec: Spec, name: str) -> str:
    with pytest.raises(CommandFailed) as failed:
        api.apply(manifest(spec, name))
    return str(failed.value)


def status_patch(api: Api, name: str, patch: str) -> None:
    options = (f"--namespace={NAMESPACE}", "--subresource=status", "--type=merge", f"--patch={patch}")
    api.kubectl("patch", "projection", name, *options)


def changed(path: str, value: Any, **top: Any) -> Spec:
    spec = deepcopy(spec_data()) | top
    put(path, value)(spec)
    return spec


OTHER_RULES = [RULE | {"set": {"name": "event.other"}}]
DEFINITION: tuple[tuple[str, Any], ...] = (
    ("rules", OTHER_RULES),
    (f"{KAFKA}.topics", ["payments"]),
    (f"{KAFKA}.type", "event.kind"),
    (f"{KAFKA}.eventVersion", "event.v"),
    ("ordering", {"mode": "Guarded", "by": "event.v"}),
    (f"{TABLE}.columns", [{"name": "id", "type": "text"}, {"name": "name", "type": "text"}]),
    (f"{TABLE}.key", ["name"]),
)
FREE: tuple[tuple[str, Any], ...] = (
    ("errors", {"badData": "Stop", "maxParkedKeys": 3}),
    ("tests", [CASE]),
    ("projector.image", "other:1"),
)
"""What may change beside a build of rules."""


@pytest.mark.parametrize(
    "status",
    ['{"status":{"liveBuild":1}}', '{"status":{"candidate":{"build":1,"version":"1","step":"Replaying","percent":1}}}'],
)
def test_a_definition_changes_only_with_version_or_token_once_a_build_exists(api: Api, status: str) -> None:
    name = "guarded"
    api.apply(manifest(spec_data(), name))
    try:
        api.apply(manifest(changed("rules", OTHER_RULES), name))
        api.apply(manifest(spec_data(), name))
        status_patch(api, name, status)
        for path, value in DEFINITION:
            field = path.rsplit(".", 1)[-1]
            expected = f"spec.{path}: Forbidden: {field} may change only together with version (or rebuildToken)"
            assert expected in refusal(api, changed(path, value), name)
        for path, value in FREE:
            api.apply(manifest(changed(path, value), name))
        api.apply(manifest(changed("rules", OTHER_RULES, rebuildToken="again"), name))
        api.apply(manifest(changed("rules", spec_data()["rules"], version="2", rebuildToken="again"), name))
        api.apply(manifest(changed("scaling.replicas", 3, version="2", rebuildToken="again"), name))
    finally:
        api.kubectl("delete", "projection", name, f"--namespace={NAMESPACE}")


def test_the_image_of_a_handler_is_part_of_its_version(api: Api) -> None:
    def of(digit: str, **more: Any) -> Spec:
        image = {"image": "shop@sha256:" + digit * 64}
        spec = spec_data() | {"handler": "shop.projections:orders", "projector": image} | more
        del spec["rules"]
        return spec

    name = "handled"
    api.apply(manifest(of("0"), name))
    try:
        status_patch(api, name, '{"status":{"liveBuild":1}}')
        expected = "spec.projector.image: Forbidden: image may change only together with version (or rebuildToken)"
        assert expected in refusal(api, of("1"), name)
        assert "handler may change only together with version" in refusal(api, of("0", handler="shop:other"), name)
        assert "rules may change only together with version" in refusal(api, spec_data(), name)
        api.apply(manifest(of("1", version="2"), name))
        api.apply(manifest(spec_data() | {"version": "3"}, name))
    finally:
        api.kubectl("delete", "projection", name, f"--namespace={NAMESPACE}")


def test_the_target_is_for_ever(api: Api) -> None:
    name = "fixed"
    api.apply(manifest(spec_data(), name))
    try:
        message = refusal(api, changed(f"{TABLE}.table", "other", version="2"), name)
        assert "spec.target.postgresql.table: Forbidden: table can not be changed; another read model is" in message
        message = refusal(api, changed(f"{TABLE}.schema", "other", version="2"), name)
        assert "spec.target.postgresql.schema: Forbidden: schema can not be changed" in message
    finally:
        api.kubectl("delete", "projection", name, f"--namespace={NAMESPACE}")


def test_texts_that_kubectl_shows(api: Api) -> None:
    assert "metadata.name may have at most 50 characters" in refusal(api, spec_data(), "n" * 51)
    assert 'unknown field "spec.paused"' in refusal(api, changed("paused", True), "orders")
    assert "names have 1 to 63 characters" in refusal(
        api, changed("rules", [RULE | {"set": {"c" * 64: "1"}}]), "orders"
    )
    message = refusal(api, changed("deletionPolicy", "Orphan"), "orders")
    assert 'spec.deletionPolicy: Unsupported value: "Orphan": supported values: "Retain", "Delete"' in message


def test_columns_scale_and_explanations(api: Api) -> None:
    name = "columns"
    api.apply(manifest(spec_data(), name))
    try:
        status_patch(
            api,
            name,
            '{"status":{"phase":"Live","liveVersion":"1","liveBuild":4,"lag":{"events":12,"seconds":3},"replicas":2,'
            '"selector":"a=b","conditions":[{"type":"Ready","status":"True","reason":"Serving","message":"m",'
            '"observedGeneration":1,"lastTransitionTime":"2026-01-01T00:00:00Z"}]}}',
        )
        header, row = api.kubectl("get", "proj", name, f"--namespace={NAMESPACE}", "--output=wide").splitlines()
        assert header.split() == [
            "NAME", "VERSION", "LIVE", "PHASE", "LAG", "LAG-S", "REPLICAS", "PROGRESS", "READY", "AGE", "TOPIC",
            "TARGET", "REASON",
        ]  # fmt: skip
        cells = row.split()
        assert cells[:7] == ["columns", "1", "1", "Live", "12", "3", "2"]
        assert cells[7] == "True"
        assert cells[9:] == ["orders", "t", "Serving"]
        api.kubectl("wait", "--for=condition=Ready", f"projection/{name}", f"--namespace={NAMESPACE}", "--timeout=5s")
        api.kubectl("scale", "projection", name, f"--namespace={NAMESPACE}", "--replicas=5")
        assert api.get("projection", name, NAMESPACE)["spec"]["scaling"]["replicas"] == 5
        assert "Label of the definition" in api.kubectl("explain", "projections.spec.version")
    finally:
        api.kubectl("delete", "projection", name, f"--namespace={NAMESPACE}")


def test_defaults_are_the_models(api: Api) -> None:
    name = "defaults"
    api.apply(manifest(spec_data(), name))
    try:
        stored = api.get("projection", name, NAMESPACE)["spec"]
        assert ProjectionSpec.model_validate(stored) == ProjectionSpec.model_validate(spec_data())
        assert (stored["scaling"]["replicas"], stored["deletionPolicy"]) == (1, "Retain")
    finally:
        api.kubectl("delete", "projection", name, f"--namespace={NAMESPACE}")
