"""What a handler may return, what a person reads where it does not fit, and that nothing of a bad event is applied."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from projector.fold.folded import BadEvent, Folded
from projector.fold.handled import HandlerProgram
from projector.fold.table import Table
from projector.handlers import TOMBSTONE, Change, Delete, Event, Meta, Upsert
from projector.spec.definition import Definition
from projector.spec.models import Ordering
from tests.support.records import FakeRecord, event, raw
from tests.support.specs import COLUMNS, definition

ACCUMULATE: dict[str, str] = {"total": "increment", "amount": "increment", "small": "max", "data": "append"}
KEY = {"id": "k"}


def of(ordering: dict[str, Any] | None = None, **parts: Any) -> Definition:
    own = {"rules": (), "handler": "team:handler", "accumulate": ACCUMULATE, "ordering": Ordering(**ordering or {})}
    return definition(**parts).model_copy(update=own)


def program(returned: Any, **parts: Any) -> HandlerProgram:
    return HandlerProgram(of(**parts), lambda _event, _meta: returned, None)


def bad(made: HandlerProgram, record: FakeRecord | None = None) -> BadEvent:
    into = Folded()
    with pytest.raises(BadEvent) as caught:
        made.fold([record or event("E", {"id": "k"})], into)
    assert (into.deltas, into.events) == ({}, 0)
    return caught.value


def rows(made: HandlerProgram, *records: FakeRecord) -> dict[Any, Any]:
    table = Table(made.columns)
    for record in records or [event("E", {"id": "k"})]:
        folded = table.batch()
        made.fold([record], folded)
        table.commit(folded)
    return table.rows


def test_values_of_every_type_become_those_of_their_columns() -> None:
    at = datetime(2026, 1, 31, 14, tzinfo=timezone(timedelta(hours=2)))
    given = {
        "name": "é",
        "total": 2**63 - 1,
        "amount": Decimal("0.10"),
        "ratio": 1,
        "flag": False,
        "at": at,
        "day": date(2026, 1, 31),
        "ref": UUID(int=1),
        "data": [{"a": None}],
    }
    found = rows(program([Upsert(key=KEY, set=given, max={"small": 3})]))[("k",)]
    assert found == given | {"at": at, "small": 3}
    assert found["at"].tzinfo is UTC
    assert (type(found["ratio"]), type(found["amount"])) == (float, Decimal)
    text = {"at": "2026-01-31T12:00:00Z", "day": "2026-01-31", "ref": str(UUID(int=1))}
    read = rows(program([Upsert(key=KEY, set=text)]))[("k",)]
    assert {name: read[name] for name in text} == {"at": at, "day": date(2026, 1, 31), "ref": UUID(int=1)}


def test_accumulation_starts_from_the_default_and_a_set_value_counts_whole() -> None:
    twice = program([Upsert(key=KEY, increment={"total": 2}, append={"data": {"n": 1}}), Upsert(KEY, max={"small": 4})])
    assert rows(twice, event("E", {}), event("E", {}))[("k",)] | {} == {
        **dict.fromkeys(("name", "amount", "ratio", "flag", "at", "day", "ref")),
        "total": 4,
        "small": 4,
        "data": [{"n": 1}, {"n": 1}],
    }
    both = program([Upsert(key=KEY, increment={"total": 5}), Upsert(key=KEY, set={"total": 1})])
    assert rows(both, event("E", {}), event("E", {}))[("k",)]["total"] == 1


def test_what_happens_to_a_missing_row() -> None:
    assert rows(program([Upsert(key=KEY, increment={"total": 1}, on_missing="Ignore")])) == {}
    assert rows(program([Upsert(key=KEY, set={"name": "a"}), Delete(key=KEY)])) == {}
    table = Table(program([]).columns)
    for change in (
        Upsert(key=KEY, set={"name": "a"}, on_missing="Park"),
        Delete(key={"id": "other"}, on_missing="Park"),
    ):
        folded = table.batch()
        program([change]).fold([event("E", {})], folded)
        table.commit(folded)
    assert table.rows == {}
    assert {key: [one.reason for one in events] for key, events in table.parked.items()} == {
        ("k",): ["the row does not exist (change 0)"],
        ("other",): ["the row does not exist (change 0)"],
    }


OF_KEYS = [
    ([Upsert(key={"idd": "k"}, set={"name": "a"})], "'idd' is not a key column; did you mean `id`? (change 0, key)"),
    ([Upsert(key={}, set={"name": "a"})], "the key column `id` is missing (change 0, key)"),
    ([Upsert(key={"id": None}, set={"name": "a"})], "the value is null; a key has a value (change 0, key id)"),
    ([Delete(key={"id": 5})], "the value is int, not text (change 0, key id)"),
    ([Delete(key="k")], "is str, not a dict of column names and values (change 0, key)"),  # type: ignore[arg-type]
    ([{"key": "k"}], "change 0 is dict, not Upsert or Delete"),
    (None, "team:handler returned NoneType: return a list of Upsert and Delete, or yield them"),
    (Upsert(key=KEY), "team:handler returned Upsert: return a list"),
    ({"key": "k"}, "team:handler returned dict: return a list"),
]


@pytest.mark.parametrize(("returned", "message"), OF_KEYS, ids=[message[:50] for _, message in OF_KEYS])
def test_without_keys_nothing_can_be_parked(returned: Any, message: str) -> None:
    found = bad(program(returned))
    assert found.message.startswith(message)
    assert found.keys is None
    assert program(returned).keys(event("E", {}), "why") is None


deep: list[Any] = []
deep.append(deep)
OF_VALUES: list[tuple[dict[str, Any], str]] = [
    ({"set": {"nmae": "a"}}, "column 'nmae' is not declared; did you mean `name`? (change 1, set nmae)"),
    ({"set": {5: "a"}}, "column 5 is not declared (change 1, set 5)"),
    ({"set": {"id": "a"}}, "`id` is a key column: its value is given under key (change 1, set id)"),
    ({"set": ["name"]}, "is list, not a dict of column names and values (change 1, set)"),
    ({}, "it changes no column: give it set, increment, min, max or append (change 1)"),
    ({"set": {"total": 1}, "increment": {"total": 1}}, "column `total` is changed twice (change 1, increment total)"),
    ({"increment": {"ratio": 1}}, "spec.accumulate does not give column `ratio` increment (change 1, increment ratio)"),
    ({"max": {"total": 1}}, "spec.accumulate does not give column `total` max (change 1, max total)"),
    ({"increment": {"total": None}}, "the value is null; an increment needs a number (change 1, increment total)"),
    ({"increment": {"total": True}}, "the value is bool, not bigint (change 1, increment total)"),
    ({"max": {"small": 40_000}}, "the value is out of range for smallint (-32768 to 32767) (change 1, max small)"),
    ({"set": {"total": Decimal(1)}}, "the value is Decimal, not bigint (change 1, set total)"),
    ({"set": {"name": 5}}, "the value is int, not text (change 1, set name)"),
    ({"set": {"name": "\ud800"}}, "the value holds a lone surrogate, which is no text (change 1, set name)"),
    ({"set": {"name": "\0"}}, "the value holds a NUL character, which text cannot (change 1, set name)"),
    ({"set": {"at": datetime(2026, 1, 1)}}, "the value is a datetime without a time zone (change 1, set at)"),  # noqa: DTZ001
    ({"set": {"day": datetime(2026, 1, 1, tzinfo=UTC)}}, "the value is timestamp, not date (change 1, set day)"),
    ({"set": {"amount": Decimal("1e-401")}}, "the value has more than 400 digits after the point (change 1, set am"),
    ({"set": {"amount": Decimal("NaN")}}, "the value is out of range for numeric (below 10^400) (change 1, set amou"),
    ({"set": {"data": {"a": 1}}}, "the value is object, not a list, since other rules append to the column"),
    ({"set": {"data": (1, 2)}}, "the value is tuple, not jsonb (change 1, set data)"),
    ({"set": {"data": [{1: "a"}]}}, "the value holds an object with a name that is int, not text (change 1, set data)"),
    ({"set": {"data": deep}}, "the value is nested too deeply (change 1, set data)"),
    ({"append": {"data": datetime(2026, 1, 1, tzinfo=UTC)}}, "the value is timestamp, not jsonb (change 1, append d"),
    ({"set": {"name": "a"}, "on_missing": "Perk"}, "'Perk' is none of Create, Ignore, Park (change 1, on_missing)"),
]


@pytest.mark.parametrize(("parts", "message"), OF_VALUES, ids=[message[:60] for _, message in OF_VALUES])
def test_a_change_that_does_not_fit_is_parked_with_its_key_and_others_are_made(
    parts: dict[str, Any], message: str
) -> None:
    made = program([Upsert(key={"id": "good"}, set={"name": "a"}), Upsert(key=KEY, **parts)])
    found = bad(made)
    assert found.message.startswith(message)
    assert found.keys == {("k",): found.message}
    table = Table(made.columns)
    folded = table.batch()
    made.settle(found, folded, park=True)
    table.commit(folded)
    assert list(table.rows) == [("good",)]
    assert [one.reason for one in table.parked[("k",)]] == [found.message]
    passed_over = Folded()
    made.settle(found, passed_over, park=False)
    assert (list(passed_over.deltas), passed_over.events) == ([("good",)], 1)


def test_a_row_that_the_target_refuses_tells_its_keys() -> None:
    made = program([Upsert(key=KEY, set={"name": "a"}), Delete(key={"id": "b"})])
    assert made.keys(event("E", {}), "why") == {("k",): "why", ("b",): "why"}
    assert program([]).keys(event("E", {}), "why") is None


def raising(event: Event, _meta: Meta) -> Iterator[Change]:
    yield Upsert(key=KEY, set={"name": "a"})
    yield Delete(key={"id": event["order\ud800_id\0"]})


def test_an_exception_is_told_in_one_line_and_leaves_no_trace() -> None:
    found = bad(HandlerProgram(of(), raising, None))
    assert found.keys is None
    assert found.message.startswith(r"team:handler raised KeyError: 'order\ud800_id\x00' (line ")
    assert f" of {__file__}, in raising: yield Delete(" in found.message


def test_events_and_their_places_come_as_they_are_in_the_log() -> None:
    seen: list[tuple[Event, Meta]] = []

    def handler(event: Event, meta: Meta) -> list[Change]:
        seen.append((event, meta))
        return []

    versioned = of(event_version="header.v")
    made = HandlerProgram(versioned, handler, None)
    folded = Folded()
    headers = (("ce_type", b"E"), ("v", b"3"), ("x", b"\xff"), ("y", None))
    records = [FakeRecord(b'{"n": 1}', headers, b"k", 1_000, 7), FakeRecord(None, (), None, None, 8), FakeRecord(b"{}")]
    made.fold(records, folded)
    at = datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)
    assert seen == [
        (Event("E", {"n": 1}, 3), Meta("orders", 0, 7, at, "k", {"ce_type": "E", "v": "3", "x": "\udcff", "y": None})),
        (Event(TOMBSTONE, None), Meta("orders", 0, 8)),
        (Event(None, {}), Meta("orders", 0, 0, datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC))),
    ]
    assert (folded.events, folded.ignored, folded.last_timestamp_ms) == (3, {}, 1_700_000_000_000)
    assert ("n" in seen[0][0], "n" in seen[1][0]) == (True, False)


def test_what_cannot_be_read_is_bad() -> None:
    assert bad(program([]), raw("E", b"{")).message.startswith("the value is not JSON")
    assert bad(program([]), raw("E", b"1")).message == "the value is JSON, but not an object"
    by_field = program([], event_type="event.kind")
    assert bad(by_field, raw("E", b'{"kind": 1}')).message == "event.kind is no event type: it is missing or not text"
    versioned = program([], event_version="header.ce_type")
    assert bad(versioned).message == "header.ce_type is no schema version: it is not a whole number"


COMMUTATIVE: list[tuple[Change, str]] = [
    (Upsert(key=KEY, set={"name": "a"}), "ordering Commutative does not serve set, since its result depends on the"),
    (Delete(key=KEY), "ordering Commutative does not serve delete, since its result depends on the order of events;"),
    (
        Upsert(key=KEY, max={"small": 1}, on_missing="Ignore"),
        "ordering Commutative serves Create only: whether the row",
    ),
]


@pytest.mark.parametrize(("change", "message"), COMMUTATIVE, ids=["set", "delete", "ignore"])
def test_what_the_order_of_events_would_decide_is_refused(change: Change, message: str) -> None:
    made = program([change], ordering={"mode": "Commutative"})
    assert bad(made).message.startswith(message)


GUARDED = {"ordering": {"mode": "Guarded", "by": "meta.type == 'E' ? event.version : 100"}}
FULL = {name: None for column in COLUMNS if (name := column["name"]) != "id"}


def test_the_newest_event_says_what_a_guarded_row_is() -> None:
    made = HandlerProgram(
        of(**GUARDED).model_copy(update={"accumulate": None}),
        lambda event, _: [Upsert(key=KEY, set=FULL | {"total": event["version"]})],
        None,
    )
    log = [event("E", {"version": version}) for version in (2, 3, 1)]
    assert rows(made, *log)[("k",)]["total"] == 3
    assert rows(made, *log, event("F", {"version": 0}), event("E", {"version": 99}))[("k",)]["total"] == 0


def test_a_guarded_change_tells_the_whole_row_and_its_guard() -> None:
    message = "with ordering Guarded a change sets every column, since only the newest event counts: `total` is missing"
    found = bad(program([Upsert(key=KEY, set={"name": "a"})], **GUARDED), event("F", {}))
    assert found.message == f"{message} (change 0)"
    found = bad(program([Upsert(key=KEY, set=FULL)], **GUARDED))
    assert (found.message, found.keys) == (
        "event.version is missing (spec.ordering.by)",
        {("k",): "event.version is missing (spec.ordering.by)"},
    )
    assert rows(program([Upsert(KEY, set=FULL), Delete(key=KEY)], **GUARDED), event("F", {})) != {}
    assert rows(program([Delete(key=KEY)], **GUARDED), event("F", {})) == {}
