"""Tests of definitions run as a worker would fold them, and say where they differ."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from projector.spec.load import load_spec
from projector.spec.models import Case
from projector.testkit.given import decode, records
from projector.testkit.run import Runner, Verdict, splits
from tests.support.specs import COLUMNS, spec_data

KEY = {"id": "event.id"}
SET = {"events": ["Named"], "key": KEY, "set": {"name": "event.name"}}
ADD = {"events": ["Added"], "key": KEY, "increment": {"total": "event.n"}}


def verdict(
    case: Mapping[str, Any],
    rules: Sequence[Mapping[str, Any]] = (SET, ADD),
    kafka: Mapping[str, Any] = {},
    **parts: Any,
) -> Verdict:
    data = spec_data(rules) | parts
    data["source"] = {"kafka": data["source"]["kafka"] | kafka}
    spec = load_spec(data | {"tests": [dict(case)]})
    return Runner(spec).run("test", spec.tests[0])


def passes(case: Mapping[str, Any], *rules: Mapping[str, Any], **parts: Any) -> bool:
    found = verdict(case, rules or (SET, ADD), **parts)
    assert found.differences == ()
    return True


def lines(case: Mapping[str, Any], *rules: Mapping[str, Any], **parts: Any) -> list[str]:
    return list(verdict(case, rules or (SET, ADD), **parts).differences)


def named(name: str, **more: Any) -> dict[str, Any]:
    return {"type": "Named", "value": {"id": "1", "name": name}, **more}


def added(n: Any, key: str = "1", **more: Any) -> dict[str, Any]:
    return {"type": "Added", "value": {"id": key, "n": n}, **more}


def test_rows_after_events() -> None:
    assert passes({"given": [named("a"), added(2), added(3)], "then": [{"id": "1", "name": "a", "total": 5}]})
    assert passes({"given": [], "then": []})


def test_columns_that_are_not_named_are_not_compared() -> None:
    assert passes({"given": [named("a"), added(2)], "then": [{"id": "1"}]})


def test_a_value_that_differs_is_shown_with_its_row_and_column() -> None:
    case = {"given": [added(2)], "then": [{"id": "1", "total": 3, "name": None}]}
    assert lines(case) == ["row id=1", "  total: expected 3, got 2"]


def test_long_values_stand_below_each_other() -> None:
    rule = {"events": ["Named"], "key": KEY, "set": {"data": "event.list"}}
    given = [{"type": "Named", "value": {"id": "1", "list": ["a" * 50]}}]
    assert lines({"given": given, "then": [{"id": "1", "data": ["b" * 50]}]}, rule) == [
        "row id=1",
        "  data:",
        f'    expected ["{"b" * 50}"]',
        f'    got      ["{"a" * 50}"]',
    ]


def test_missing_and_unexpected_rows_are_named() -> None:
    case = {"given": [added(2, "1"), named("x")], "then": [{"id": "2"}]}
    assert lines(case) == ["row id=2 is missing", 'row id=1 is there, and not expected: name: "x", total: 2']


def test_without_then_rows_are_not_compared() -> None:
    assert passes({"given": [added(1), added("x")], "parked": [{"id": "1"}]})


VALUES: list[tuple[str, Any, Any]] = [
    ("amount", 1, 1),
    ("amount", 0.1, "0.10"),
    ("amount", 0.1, 0.1),
    ("ratio", 1.5, 1.5),
    ("ratio", 2.0, 2),
    ("flag", True, True),
    ("at", "2026-01-31T12:00:00+02:00", "2026-01-31T10:00:00Z"),
    ("day", "2026-01-31", "2026-01-31"),
    ("ref", "12345678-1234-5678-1234-567812345678", "12345678123456781234567812345678"),
    ("data", {"a": [1, None, True]}, {"a": [1.0, None, True]}),
    ("name", None, None),
]


@pytest.mark.parametrize(("column", "value", "expected"), VALUES)
def test_values_are_compared_as_the_column_holds_them(column: str, value: Any, expected: Any) -> None:
    rule = {"events": ["Named"], "key": KEY, "set": {column: "event.x"}}
    given = [{"type": "Named", "value": {"id": "1", "x": value}}]
    assert passes({"given": given, "then": [{"id": "1", column: expected}]}, rule)


@pytest.mark.parametrize(("value", "expected"), [([1], [True]), ({"a": 0}, {"a": False}), ({"a": None}, {}), ("1", 1)])
def test_json_of_another_kind_is_another_value(value: Any, expected: Any) -> None:
    rule = {"events": ["Named"], "key": KEY, "set": {"data": "event.x"}}
    given = [{"type": "Named", "value": {"id": "1", "x": value}}]
    assert lines({"given": given, "then": [{"id": "1", "data": expected}]}, rule)[0] == "row id=1"


def test_parked_keys_are_expected_or_said_with_the_cause() -> None:
    given = [added(1), added("x"), added(2), added(5, "2")]
    assert passes({"given": given, "then": [{"id": "1", "total": 1}, {"id": "2"}], "parked": [{"id": "1"}]})
    (line,) = lines({"given": given, "then": [{"id": "1"}, {"id": "2"}]})
    assert line.startswith("row id=1 is parked: event 2 (Added): event.n is ")
    assert line.endswith("(rule 1, increment total)")
    assert lines({"given": [added(1)], "parked": [{"id": "1"}]}) == ["row id=1 is not parked, as it should be"]


def test_bad_data_stops_where_nothing_is_parked() -> None:
    given = [added(1), added("x"), added(2)]
    found = lines({"given": given, "then": [{"id": "1", "total": 1}]}, errors={"badData": "Stop"})
    assert [line.split(":")[0] for line in found] == ["orders/0 stands still at event 2 (Added)"]


def test_a_missing_row_parks_where_the_rule_says_so() -> None:
    rule = ADD | {"onMissing": "Park"}
    given = [added(1), added(2, "2"), named("a"), {"type": "Named", "value": {"id": "3", "name": "b"}}, added(3, "3")]
    then = [{"id": "3", "total": 3}]
    assert passes({"given": given, "then": then, "parked": [{"id": "1"}, {"id": "2"}]}, SET, rule)


def test_a_sum_beyond_the_column_stands_still() -> None:
    rule = {"events": ["Added"], "key": KEY, "increment": {"small": "event.n"}}
    given = [added(32_000), added(32_000)]
    assert "orders/0 stands still at column small: 64000 is out of range for smallint" in lines(
        {"given": given, "then": [{"id": "1"}]}, rule
    )


def test_what_depends_on_the_batches_is_found() -> None:
    given = [named("a", partition=0), named("b", partition=1), named("c", partition=0)]
    found = lines({"given": given, "then": [{"id": "1", "name": "b"}]})
    assert found == [
        ("one event per batch, the result is another than in one batch: events of one row in several partitions?"),
        "row id=1",
        '  name: in one batch "b", then "c"',
    ]


GUARDED = {"mode": "Guarded", "by": "event.v"}


def at(name: str, version: int, partition: int = 0) -> dict[str, Any]:
    return {"type": "Named", "value": {"id": "1", "name": name, "v": version}, "partition": partition}


def test_under_guarded_the_batches_make_no_difference() -> None:
    gone = {"type": "Gone", "value": {"id": "1", "v": 4}}
    rules: list[dict[str, Any]] = [SET, {"events": ["Gone"], "key": KEY, "delete": True}]
    given = [at("b", 2, 1), at("a", 1), at("c", 3, 1), at("again", 2)]
    assert passes({"given": given, "then": [{"id": "1", "name": "c"}]}, *rules, ordering=GUARDED)
    assert passes({"given": [*given[:3], gone, at("b", 2)], "then": []}, *rules, ordering=GUARDED)


def test_equal_guards_in_two_partitions_are_found() -> None:
    given = [at("b", 2, 1), at("a", 1), at("c", 3, 1), at("tie", 3)]
    assert lines({"given": given, "then": [{"id": "1", "name": "c"}]}, SET, ordering=GUARDED) == [
        (
            "in two batches, parted after event 1 (Named), the result is another than in one batch: two events of one "
            "row with the same event.v?"
        ),
        "row id=1",
        '  name: in one batch "c", then "tie"',
    ]


def test_every_way_to_part_events_in_two_is_tried() -> None:
    case = Case.model_validate({"given": [added(1), added(2), added(3), added(4)]})
    events = records(case, load_spec(spec_data()).source.kafka)
    sizes = [[len(batch) for batch in batches] for _, batches in splits(events)]
    assert sizes == [[4], [1, 1, 1, 1], [1, 3], [2, 2], [3, 1]]
    assert verdict({"given": case.model_dump()["given"], "then": [{"id": "1"}]}).splits == 5


def test_meta_is_what_the_event_says() -> None:
    rule = {
        "events": ["Named"],
        "key": {"id": "meta.key"},
        "set": {
            "name": "meta.topic + meta.headers.who",
            "total": "meta.offset",
            "small": "meta.partition",
            "at": "meta.timestamp",
        },
    }
    given = [
        named("a", key="k", headers={"who": "me"}),
        named("a", key="k", headers={"who": "me"}),
        named("b", key="l", headers={"who": "us"}, topic="more", partition=3, timestamp="2027-01-01T00:00:00Z"),
        named("c", key="m", headers={"who": ""}),
    ]
    then = [
        {"id": "k", "name": "ordersme", "total": 1, "small": 0, "at": "2026-01-01T00:00:01Z"},
        {"id": "l", "name": "moreus", "total": 0, "small": 3, "at": "2027-01-01T00:00:00Z"},
        {"id": "m", "name": "orders", "total": 2, "small": 0, "at": "2027-01-01T00:00:01Z"},
    ]
    assert passes({"given": given, "then": then}, rule, kafka={"topics": ["orders", "more"]})


@pytest.mark.parametrize("place", ["header.kind", "event.kind"])
@pytest.mark.parametrize("version", ["header.schema-version", "event.v"])
def test_type_and_version_go_where_the_source_says(place: str, version: str) -> None:
    old = {"events": ["Added@1"], "key": KEY, "increment": {"total": "event.n"}}
    new = {"events": ["Added@>=2"], "key": KEY, "increment": {"total": "event.n * 100"}}
    given = [added(1), added(1, version=1), added(1, version=2), added(1, version=7)]
    kafka = {"type": place, "eventVersion": version}
    assert passes({"given": given, "then": [{"id": "1", "total": 202}]}, old, new, kafka=kafka)


def test_tombstones_have_a_key_and_no_value() -> None:
    gone = {"events": ["(tombstone)"], "key": {"id": "meta.key"}, "delete": True}
    given = [added(1), added(1, "2"), {"type": "(tombstone)", "key": "1"}]
    assert passes({"given": given, "then": [{"id": "2"}]}, ADD, gone)


def test_one_event_to_many_rows() -> None:
    rule = {
        "events": ["Filled"],
        "forEach": "event.lines",
        "key": {"id": "item.sku"},
        "when": "item.qty > 0",
        "increment": {"total": "item.qty"},
        "append": {"data": "event.order"},
    }
    lines_of = [{"sku": "a", "qty": 1}, {"sku": "b", "qty": 0}, {"sku": "a", "qty": 2}]
    given = [{"type": "Filled", "value": {"order": order, "lines": lines_of}} for order in ("x", "y")]
    assert passes({"given": given, "then": [{"id": "a", "total": 6, "data": ["x", "x", "y", "y"]}]}, rule)


@pytest.mark.parametrize("fmt", ["Avro", "Protobuf"])
def test_values_of_other_formats_are_given_as_plain_data(fmt: str) -> None:
    kafka = {"format": fmt, "schemaRegistry": {"url": "http://registry:8081"}}
    assert passes({"given": [added(2)], "then": [{"id": "1", "total": 2}]}, kafka=kafka)
    assert decode(b'{"a": 1.0}') == {"a": 1.0}


def test_an_event_type_that_no_rule_names_is_hinted_at() -> None:
    given = [{"type": "Addded", "value": {"id": "1", "n": 1}}]
    assert lines({"given": given, "then": [{"id": "1"}]}) == [
        "row id=1 is missing",
        "no rule is for Addded; did you mean `Added`?",
    ]
    assert passes({"given": given, "then": []})


def test_rows_are_named_by_all_of_their_key() -> None:
    spec = spec_data([ADD | {"key": {"id": "event.id", "day": "'2026-01-31'"}}], COLUMNS, key=["id", "day"])
    loaded = load_spec(spec | {"tests": [{"given": [], "then": [{"id": "1", "day": "2026-01-31"}]}]})
    assert Runner(loaded).run("t", loaded.tests[0]).differences == ("row id=1, day=2026-01-31 is missing",)
