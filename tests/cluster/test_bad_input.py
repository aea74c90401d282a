"""What kubectl shows for each wrong input, and that the projection goes on by itself once that is mended.

All begin at once and stand side by side in one place; each is looked at, mended, and awaited.
"""

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from tests.support.api_server import Json
from tests.support.operator_process import Site
from tests.support.specs import spec_data

NOWHERE = "127.0.0.1:1"
TARGET = "spec.target.postgresql"


@dataclass(frozen=True)
class Case:
    """A Projection `name`, changed by `spoil`; what is said of it, and how it is mended."""

    name: str
    spoil: Callable[[Site, Json], None]
    reason: str
    message: str
    mend: Callable[[Site, Json], None]
    stalled: bool = True


def refer(field: str, secret: str) -> Callable[[Site, Json], None]:
    def spoil(_: Site, body: Json) -> None:
        body["spec"]["target"]["postgresql"][field] = {"name": secret}

    return spoil


def with_secret(field: str, secret: str, uri: Callable[[Site], str], key: str = "uri") -> Callable[[Site, Json], None]:
    def spoil(site: Site, body: Json) -> None:
        refer(field, secret)(site, body)
        site.secret(secret, uri(site), key)

    return spoil


def set_secret(secret: str, role: str) -> Callable[[Site, Json], None]:
    return lambda site, _: site.secret(secret, site.database.uri(getattr(site, role)))


def elsewhere(site: Site) -> str:
    return f"postgresql://{site.admin}:secret-word@{NOWHERE}/{site.database.name}"


def wrong_password(role: str) -> Callable[[Site], str]:
    return lambda site: site.database.uri(getattr(site, role), password="secret-word")  # noqa: S106 - it is wrong


def no_rights(site: Site, body: Json) -> None:
    site.secret("powerless", site.database.uri(site.worker))
    refer("adminSecretRef", "powerless")(site, body)


def set_rules(rules: list[Json]) -> Callable[[Site, Json], None]:
    def change(_: Site, body: Json) -> None:
        body["spec"]["rules"] = rules

    return change


def reapply(site: Site, body: Json) -> None:
    site.api.apply(body)


def right_rules(site: Site, body: Json) -> None:
    body["spec"]["rules"] = spec_data()["rules"]
    reapply(site, body)


def right_kafka(site: Site, body: Json) -> None:
    body["spec"]["source"]["kafka"]["bootstrapServers"] = [site.kafka]
    reapply(site, body)


def set_brokers(_: Site, body: Json) -> None:
    body["spec"]["source"]["kafka"]["bootstrapServers"] = [NOWHERE]


def set_topic(_: Site, body: Json) -> None:
    body["spec"]["source"]["kafka"]["topics"] = ["no-such-topic-here"]


def right_topic(site: Site, body: Json) -> None:
    body["spec"]["source"]["kafka"]["topics"] = [site.topics[0]]
    reapply(site, body)


def occupy(site: Site, body: Json) -> None:
    site.database.run("CREATE TABLE occupied (x int)")
    body["spec"]["target"]["postgresql"]["table"] = "occupied"


def unoccupy(site: Site, _: Json) -> None:
    site.database.run("DROP TABLE occupied")


def same_table(_: Site, body: Json) -> None:
    body["spec"]["target"]["postgresql"]["table"] = "first"


def delete_first(site: Site, _: Json) -> None:
    site.api.kubectl("delete", "projection", "first", f"--namespace={site.namespace}", "--timeout=40s")


KEY = {"id": "event.id"}
CASES = (
    Case(
        "worker-secret", refer("connectionSecretRef", "gone"), "SecretMissing",
        f"{TARGET}.connectionSecretRef: Secret {{ns}}/gone does not exist. Create it;", set_secret("gone", "worker"),
    ),
    Case(
        "admin-secret", refer("adminSecretRef", "gone-too"), "SecretMissing",
        f"{TARGET}.adminSecretRef: Secret {{ns}}/gone-too does not exist. Create it;", set_secret("gone-too", "admin"),
    ),
    Case(
        "secret-key", with_secret("connectionSecretRef", "other-key", lambda _: "x", key="url"), "SecretKeyMissing",
        f"{TARGET}.connectionSecretRef: Secret {{ns}}/other-key has no key 'uri' (it has: url).",
        set_secret("other-key", "worker"),
    ),
    Case(
        "no-uri", with_secret("adminSecretRef", "no-uri", lambda _: "db.example/app?password=secret-word"),
        "SecretInvalid", f"{TARGET}.adminSecretRef: Secret {{ns}}/no-uri, key uri: the connection URI cannot be read",
        set_secret("no-uri", "admin"),
    ),
    Case(
        "worker-password", with_secret("connectionSecretRef", "worker-password", wrong_password("worker")),
        "AuthenticationFailed",
        f"{TARGET}.connectionSecretRef: Secret {{ns}}/worker-password, key uri: ",
        set_secret("worker-password", "worker"),
    ),
    Case(
        "admin-password", with_secret("adminSecretRef", "admin-password", wrong_password("admin")),
        "AuthenticationFailed",
        f"{TARGET}.adminSecretRef: Secret {{ns}}/admin-password, key uri: ", set_secret("admin-password", "admin"),
    ),
    Case(
        "no-postgres", with_secret("adminSecretRef", "no-postgres", elsewhere), "TargetUnavailable",
        f"{TARGET}.adminSecretRef: Secret {{ns}}/no-postgres, key uri: {NOWHERE}/", set_secret("no-postgres", "admin"),
        stalled=False,
    ),
    Case(
        "no-rights", no_rights, "NotPermitted",
        f"{TARGET}.adminSecretRef: Secret {{ns}}/powerless, key uri: ", set_secret("powerless", "admin"),
    ),
    Case(
        "no-kafka", set_brokers, "SourceUnavailable", f"spec.source.kafka.bootstrapServers: {NOWHERE}", right_kafka,
        stalled=False,
    ),
    Case(
        "no-topic", set_topic, "TopicMissing",
        "spec.source.kafka.topics[0]: topic 'no-such-topic-here' does not exist on", right_topic,
    ),
    Case("taken", occupy, "TargetTaken", f"{TARGET}.table: public.occupied is", unoccupy),
    Case(
        "second", same_table, "TargetTaken", f"{TARGET}.table: public.first is the table of projection {{ns}}/first",
        delete_first,
    ),
    Case(
        "unknown-column", set_rules([{"events": ["E"], "key": KEY, "set": {"nmae": "event.name"}}]), "InvalidSpec",
        "spec.rules[0].set.nmae: ", right_rules,
    ),
    Case(
        "wrong-type", set_rules([{"events": ["E"], "key": KEY, "set": {"total": "'many'"}}]), "InvalidSpec",
        "spec.rules[0].set.total", right_rules,
    ),
    Case(
        "syntax", set_rules([{"events": ["E"], "key": KEY, "set": {"name": "event.name +"}}]), "InvalidSpec",
        "spec.rules[0].set.name, column ", right_rules,
    ),
)  # fmt: skip


@pytest.fixture(scope="module")
def spoiled(site: Site) -> dict[str, Json]:
    """All applied."""
    site.topic()
    first = site.projection("first", site.topics[0], deletionPolicy="Delete")
    site.api.apply(first)
    site.until("first", lambda status: "candidate" in status or "liveBuild" in status, "first holds its table")
    bodies = {case.name: site.projection(case.name, site.topics[0]) for case in CASES}
    for case in CASES:
        case.spoil(site, bodies[case.name])
    site.api.apply(*bodies.values())
    return bodies


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_said_in_kubectl_and_goes_on_when_mended(site: Site, spoiled: dict[str, Json], case: Case) -> None:
    message = case.message.replace("{ns}", site.namespace)
    ready = site.until_condition(case.name, "Ready", "False", case.reason)
    assert ready["message"].startswith(message)
    stalled = site.condition(case.name, "Stalled")
    assert stalled["status"] == ("True" if case.stalled else "False")
    described = site.api.kubectl("describe", "projection", case.name, f"--namespace={site.namespace}")
    assert message in described
    assert "secret-word" not in described
    assert f"Warning  {case.reason}" in described
    wide = site.api.kubectl("get", "projection", case.name, f"--namespace={site.namespace}", "--output=wide")
    assert case.reason in wide

    case.mend(site, spoiled[case.name])
    # An empty topic is replayed at once.
    site.until_condition(case.name, "Ready", "True", "Serving", timeout=30)


def test_no_secret_and_no_fault_is_in_the_log(site: Site, spoiled: dict[str, Json]) -> None:
    del spoiled
    log = site.operators[0].text()
    assert "secret-word" not in log
    assert "only-for-tests" not in log
    assert site.operators[0].lines("pass_failed") == []


def test_stuck_events_and_the_way_out(site: Site) -> None:
    topic = site.topic(1)
    site.send(topic, {"id": "o1", "name": "a"}, b"not JSON", {"name": "without its key"}, {"id": "o2", "name": "a"})
    site.api.apply(site.projection("stuck", topic))
    status = site.until("stuck", lambda one: "candidate" in one, "a build")
    site.work(f"stuck-b{status['candidate']['build']}")
    for offset, words in ((1, "JSON"), (2, "event.id")):
        place = f"topic {topic}, partition 0, offset {offset}: "

        def there(one: Json, place: str = place) -> bool:
            return any(c["reason"] == "PartitionsStuck" and place in c["message"] for c in one["conditions"])

        site.until("stuck", there, f"stuck at {offset}")
        degraded = site.condition("stuck", "Degraded")
        assert degraded["status"] == "True"
        assert words in degraded["message"]
        assert (
            f"projector discard --installation {site.installation} --namespace {site.namespace} --name stuck"
            in (degraded["message"])
        )
        site.discard(degraded["message"])
    site.until_condition("stuck", "Ready", "True", "Serving")
    assert site.database.run("SELECT id FROM stuck ORDER BY id") == [("o1",), ("o2",)]
    assert "PartitionsStuck" in [event["reason"] for event in site.events("stuck")]


def test_a_topic_deleted_and_created_again_is_a_stop_and_never_lag_zero(site: Site) -> None:
    topic = site.topic(1)
    site.send(topic, *({"id": f"o{n}", "name": "a"} for n in range(5)))
    site.api.apply(site.projection("changed", topic))
    status = site.until("changed", lambda one: "candidate" in one, "a build")
    worker = site.work(f"changed-b{status['candidate']['build']}")
    site.until_condition("changed", "Ready", "True", "Serving")
    worker.terminate()
    worker.wait(20)
    site.create_again(topic)
    stalled = site.until_condition("changed", "Stalled", "True", "SourceChanged")
    assert stalled["message"].startswith(
        f"spec.source.kafka.topics[0]: topic {topic}, partition 0, is not the one that"
    )
    assert "lag" not in site.status("changed")
    assert site.condition("changed", "LagKnown")["status"] == "False"
    assert site.condition("changed", "Ready")["status"] == "True"


def test_the_registry_of_another_installation_is_taken_over_by_annotation_only(
    new_site: Callable[[], Site],
) -> None:
    site = new_site()
    other = site.claim_registry("another-installation")
    site.operator()
    topic = site.topic(1)
    site.api.apply(site.projection("foreign", topic))
    stalled = site.until_condition("foreign", "Stalled", "True", "ForeignRegistry")
    assert f"annotate with projections.dev/take-over={other}" in stalled["message"]
    annotation = f"projections.dev/take-over={other}"
    site.api.kubectl("annotate", "projection", "foreign", annotation, f"--namespace={site.namespace}")
    site.until_condition("foreign", "Ready", "True", "Serving")
