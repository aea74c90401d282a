"""Checks of `spec.tests`: that they name columns there are, and values that the columns can hold."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from projector.spec.models import Case, Column, GivenEvent, PostgresqlTarget, ProjectionSpec
from projector.spec.problems import Problem, near
from projector.spec.selectors import TOMBSTONE
from projector.spec.values import given_value, parse_timestamp


def check_cases(cases: Iterable[Case], spec: ProjectionSpec) -> Iterator[Problem]:
    """Problems of tests; the events' values are not looked at."""
    table = spec.target.postgresql
    for index, case in enumerate(cases):
        path = f"spec.tests[{index}]"
        if case.then is None and not case.parked:
            yield Problem(path, "tests nothing: give it then (may be an empty list) or parked")
        for position, event in enumerate(case.given):
            yield from _event(f"{path}.given[{position}]", event, spec)
        yield from _rows(f"{path}.then", case.then or (), table, only_key=False)
        yield from _rows(f"{path}.parked", case.parked, table, only_key=True)


def _event(path: str, event: GivenEvent, spec: ProjectionSpec) -> Iterator[Problem]:
    kafka = spec.source.kafka
    if event.type == TOMBSTONE and event.value is not None:
        yield Problem(f"{path}.value", f"a {TOMBSTONE} has no value: remove it, or name the event's type")
    if event.type != TOMBSTONE and event.value is None:
        yield Problem(f"{path}.value", f"is missing; a record without a value has type: {TOMBSTONE}")
    if event.version is not None and kafka.event_version is None:
        yield Problem(f"{path}.version", "spec.source.kafka.eventVersion does not say where a version stands")
    if event.topic is not None and event.topic not in kafka.topics:
        yield Problem(f"{path}.topic", f"`{event.topic}` is no topic of the source{near(event.topic, kafka.topics)}")
    if event.timestamp is not None:
        try:
            parse_timestamp(event.timestamp)
        except ValueError as error:
            yield Problem(f"{path}.timestamp", str(error))


def _rows(
    path: str, rows: Iterable[Mapping[str, Any]], table: PostgresqlTarget, *, only_key: bool
) -> Iterator[Problem]:
    columns = {column.name: column for column in table.columns if not only_key or column.name in table.key}
    seen: list[tuple[object, ...]] = []
    for index, row in enumerate(rows):
        where = f"{path}[{index}]"
        problems = [*_cells(where, row, columns), *_whole_key(where, row, table.key)]
        yield from problems
        if not problems:
            key = tuple(given_value(columns[name], row[name]) for name in table.key)
            if key in seen:
                yield Problem(where, f"has the key of {path}[{seen.index(key)}]")
            seen.append(key)


def _whole_key(path: str, row: Mapping[str, Any], key: Iterable[str]) -> Iterator[Problem]:
    for name in key:
        if row.get(name) is None:
            yield Problem(path, f"the key column `{name}` is missing: it says which row is meant")


def _cells(path: str, row: Mapping[str, Any], columns: Mapping[str, Column]) -> Iterator[Problem]:
    for name, value in row.items():
        if name not in columns:
            what = "is not declared" if not path.rpartition(".")[2].startswith("parked") else "is no key column"
            yield Problem(f"{path}.{name}", f"column `{name}` {what}{near(name, columns)}")
            continue
        try:
            given_value(columns[name], value)
        except ValueError as error:
            yield Problem(f"{path}.{name}", str(error))
