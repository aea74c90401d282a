"""What a user reads when source, ordering, handler and errors do not fit each other or the rules."""

from typing import Any

import pytest

from tests.support.specs import RULE, problems, spec_data

KEY = {"id": "event.id"}
KAFKA = "spec.source.kafka"
GUARDED = {"mode": "Guarded", "by": "event.version"}
COMMUTATIVE = {"mode": "Commutative"}
DIGEST = "sha256:" + "0" * 64


def rule(**parts: Any) -> dict[str, Any]:
    return {"events": ["E"], "key": KEY, **parts}


def source(**parts: Any) -> dict[str, Any]:
    return {"source": {"kafka": spec_data()["source"]["kafka"] | parts}}


def found(**parts: Any) -> list[str]:
    return problems({name: value for name, value in (spec_data() | parts).items() if value is not None})


REGISTRY = {"url": "http://registry:8081"}
SOURCES: list[tuple[dict[str, Any], list[str]]] = [
    ({"topics": ["a", "b", "a"]}, [f"{KAFKA}.topics[2]: topic `a` is named twice"]),
    ({"topics": [f"t{n}" for n in range(21)]}, [f"{KAFKA}.topics: has more than 20 entries"]),
    (
        {"format": "Avro"},
        [f"{KAFKA}.schemaRegistry: is missing: format Avro takes its schemas from there"],
    ),
    (
        {"schemaRegistry": REGISTRY},
        [f"{KAFKA}.schemaRegistry: format JSON has no schemas: remove it, or set format"],
    ),
    (
        {"format": "Avro", "schemaRegistry": {"url": "registry:8081"}},
        [f"{KAFKA}.schemaRegistry.url: must match ^https?://[^\\s@]+$"],
    ),
    (
        {"eventversion": "header.v"},
        [f"{KAFKA}.eventversion: there is no field `eventversion` here; did you mean `eventVersion`?"],
    ),
    ({"format": "Protobuf", "schemaRegistry": REGISTRY | {"credentialsSecretRef": {"name": "s"}}}, []),
    ({"topics": [f"t{n}" for n in range(20)]}, []),
]


@pytest.mark.parametrize(("change", "messages"), SOURCES, ids=[str(list(change)) for change, _ in SOURCES])
def test_sources(change: dict[str, Any], messages: list[str]) -> None:
    assert found(**source(**change)) == messages


EVENTS: list[tuple[list[str], str | None, list[str]]] = [
    (["E@>=2"], "header.version", []),
    (["E@1", "E@>=3", "(tombstone)"], "event.v", []),
    (
        ["E@>=2"],
        None,
        [
            (
                f"spec.rules[0].events[0]: `E@>=2` names a version: say in {KAFKA}.eventVersion where it stands "
                "(header.<name> or event.<field>)"
            )
        ],
    ),
    (
        ["E@>=two"],
        "header.version",
        [("spec.rules[0].events[0]: `E@>=two` names no version: write Name@2, Name@>=2, Name@>2, Name@<=2 or Name@<2")],
    ),
    (
        ["E", "E@2"],
        "header.version",
        ["spec.rules[0].events[1]: `E` already stands for all of its versions: drop one of the two"],
    ),
]


@pytest.mark.parametrize(("events", "place", "messages"), EVENTS, ids=[str(events) for events, *_ in EVENTS])
def test_versions_of_events(events: list[str], place: str | None, messages: list[str]) -> None:
    change = source(eventVersion=place) if place else {}
    assert found(**change, rules=[rule(set={"name": "event.x"}) | {"events": events}]) == messages


ORDERINGS: list[tuple[dict[str, Any], list[dict[str, Any]], list[str]]] = [
    (
        {"mode": "Guarded"},
        [rule(set={"name": "event.x"})],
        ["spec.ordering.by: is missing: Guarded needs a whole number that grows with each event, as event.version"],
    ),
    (
        {"by": "event.version"},
        [rule(set={"name": "event.x"})],
        ["spec.ordering.by: mode PerKey does not read it: remove it, or set mode: Guarded"],
    ),
    (
        COMMUTATIVE,
        [rule(set={"name": "event.x"}, increment={"total": "1"})],
        [
            (
                "spec.rules[0].set: ordering Commutative does not serve set, since its result depends on the order of "
                "events; it serves increment and min and max"
            )
        ],
    ),
    (
        COMMUTATIVE,
        [rule(delete=True)],
        [
            (
                "spec.rules[0].delete: ordering Commutative does not serve delete, since its result depends on the "
                "order of events; it serves increment and min and max"
            )
        ],
    ),
    (
        COMMUTATIVE,
        [rule(increment={"total": "1"}, onMissing="Ignore")],
        [
            (
                "spec.rules[0].onMissing: ordering Commutative serves Create only: whether the row is missing depends "
                "on the order of events"
            )
        ],
    ),
    (
        GUARDED,
        [rule(increment={"total": "1"})],
        [
            (
                "spec.rules[0].increment: ordering Guarded does not serve increment, since it depends on what earlier "
                "events did, and Guarded passes over those that come late; it serves set and delete"
            )
        ],
    ),
    (
        GUARDED,
        [rule(set={"name": "event.x", "flag": "event.f"}), rule(set={"name": "event.x"})],
        [
            (
                "spec.rules[1].set: with ordering Guarded every rule sets the same columns, since only the newest "
                "event counts: rule 1 does not set `flag`, rule 0 does"
            )
        ],
    ),
    (
        GUARDED,
        [rule(set={"name": "event.x"}), rule(delete=True), rule(set={"name": "event.x", "flag": "event.f"})],
        [
            (
                "spec.rules[2].set: with ordering Guarded every rule sets the same columns, since only the newest "
                "event counts: rule 0 does not set `flag`, rule 2 does"
            )
        ],
    ),
    ({"mode": "Garded"}, [dict(RULE)], ["spec.ordering.mode: must be one of 'PerKey', 'Commutative', 'Guarded'"]),
    (COMMUTATIVE, [rule(increment={"total": "1"}, max={"at": "meta.timestamp"}, forEach="event.x", when="true")], []),
    (GUARDED, [rule(set={"name": "event.x"}), rule(delete=True, when="event.gone")], []),
]


@pytest.mark.parametrize(("ordering", "rules", "messages"), ORDERINGS)
def test_orderings(ordering: dict[str, Any], rules: list[dict[str, Any]], messages: list[str]) -> None:
    assert found(ordering=ordering, rules=rules) == messages


HANDLER = "shop.projections:orders"
HANDLERS: list[tuple[dict[str, Any], list[str]]] = [
    ({"rules": None}, ["spec: needs rules, or a handler"]),
    (
        {"handler": HANDLER, "projector": {"image": f"shop@{DIGEST}"}},
        ["spec.handler: stands beside rules: a projection has one of the two"],
    ),
    (
        {"rules": None, "handler": HANDLER},
        ["spec.projector.image: is missing: name the image that holds the handler, by its digest"],
    ),
    (
        {"rules": None, "handler": HANDLER, "projector": {"image": "shop:1"}},
        [
            (
                "spec.projector.image: must end in @sha256:<64 hex digits>: the handler is part of the version, and a "
                "tag may come to mean another image"
            )
        ],
    ),
    (
        {"rules": None, "handler": "shop.projections.orders"},
        ["spec.handler: must be package.module:function"],
    ),
    ({"rules": None, "handler": HANDLER, "projector": {"image": f"shop@{DIGEST}"}}, []),
]


@pytest.mark.parametrize(("change", "messages"), HANDLERS)
def test_handlers(change: dict[str, Any], messages: list[str]) -> None:
    assert found(**change) == messages


def test_what_keeps_no_event_aside_cannot_park_one() -> None:
    parks = [rule(set={"name": "event.x"}, onMissing="Park")]
    assert found(rules=parks, errors={"badData": "Stop"}) == [
        (
            "spec.rules[0].onMissing: Park does not go with errors.badData: Stop, which keeps no event aside; write "
            "ParkKey there, or Create or Ignore here"
        )
    ]
    assert found(rules=parks) == []
    assert found(errors={"maxParkedKeys": 0}) == ["spec.errors.maxParkedKeys: must be at least 1"]
