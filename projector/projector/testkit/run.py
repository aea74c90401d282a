"""Running tests: each in one batch, and again in other splits, which must make no difference."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from projector.fold.compile import compile_definition
from projector.fold.delta import Key, Row
from projector.fold.program import Program
from projector.spec.definition import Definition
from projector.spec.models import Case, Column, ProjectionSpec
from projector.spec.problems import near
from projector.spec.values import given_value
from projector.testkit.given import GivenRecord, decode, records
from projector.testkit.show import cells, difference, named, same
from projector.testkit.table import ReadModel

Split = tuple[str, list[list[GivenRecord]]]
"""In words, and the batches."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a test went: `differences` are lines to read, none where it passed."""

    name: str
    events: int
    splits: int
    seconds: float
    differences: tuple[str, ...]


def program_of(spec: ProjectionSpec) -> Program:
    """The program of a spec, for given values. Raises InvalidSpec."""
    plain = spec.source.kafka.format == "JSON"
    return compile_definition(Definition.of(spec), None if plain else decode)


def name_of(case: Case, index: int) -> str:
    """What reports call the test."""
    return case.name or f"tests[{index}]"


class Runner:
    """Runs the tests of one spec."""

    def __init__(self, spec: ProjectionSpec) -> None:
        self._spec = spec
        self._program = program_of(spec)
        table = spec.target.postgresql
        self._columns: dict[str, Column] = {column.name: column for column in table.columns}
        self._key = table.key

    def run(self, name: str, case: Case) -> Verdict:
        """Run one test in all its splits."""
        start = perf_counter()
        (_, whole), *others = splits(records(case, self._spec.source.kafka))
        first = self._table(whole)
        lines = [*self._expected(case, first)]
        for words, batches in others:
            if lines:
                break
            lines += self._alike(words, first, self._table(batches))
        if lines:
            lines += self._hints(first)
        return Verdict(name, len(case.given), 1 + len(others), perf_counter() - start, tuple(lines))

    def _table(self, batches: Sequence[Sequence[GivenRecord]]) -> ReadModel:
        table = ReadModel(self._program, park=self._spec.errors.bad_data == "ParkKey")
        for batch in batches:
            table.take(batch)
        return table

    def _expected(self, case: Case, table: ReadModel) -> Iterator[str]:
        for (topic, partition), reason in table.stuck.items():
            yield f"{topic}/{partition} stands still at {reason}"
        yield from self._rows_expected(case, table.rows)
        wanted = [self._key_of(row) for row in case.parked]
        for key, event in table.parked.items():
            if key not in wanted:
                yield f"row {named(self._key, key)} is parked: {event.record}: {event.reason}"
        for key in wanted:
            if key not in table.parked:
                yield f"row {named(self._key, key)} is not parked, as it should be"

    def _rows_expected(self, case: Case, rows: Mapping[Key, Row]) -> Iterator[str]:
        if case.then is None:
            return
        wanted = {self._key_of(row): self._values_of(row) for row in case.then}
        for key, values in wanted.items():
            if key not in rows:
                yield f"row {named(self._key, key)} is missing"
            else:
                yield from self._row(key, values, rows[key], ("expected", "got"))
        for key, row in rows.items():
            if key not in wanted:
                yield f"row {named(self._key, key)} is there, and not expected: {cells(row)}"

    def _row(self, key: Key, first: Mapping[str, Any], second: Mapping[str, Any], words: tuple[str, str]) -> list[str]:
        unlike = [name for name, value in first.items() if not same(value, second[name])]
        if not unlike:
            return []
        lines = (line for name in unlike for line in difference(name, first[name], second[name], words))
        return [f"row {named(self._key, key)}", *lines]

    def _alike(self, words: str, whole: ReadModel, table: ReadModel) -> Iterator[str]:
        """Lines where another split of the same events gives another table."""
        lines = [line for key in {**whole.rows, **table.rows} for line in self._row_alike(key, whole, table)]
        for key in {**whole.parked, **table.parked}:
            if (key in whole.parked) != (key in table.parked):
                where = "in one batch only" if key in whole.parked else "then only"
                lines.append(f"  row {named(self._key, key)} is parked {where}")
        lines += [f"  stands still: {reason}" for lane, reason in table.stuck.items() if lane not in whole.stuck]
        if lines:
            by = self._spec.ordering.by
            guess = f"two events of one row with the same {by}" if by else "events of one row in several partitions"
            yield f"{words}, the result is another than in one batch: {guess}?"
            yield from lines

    def _row_alike(self, key: Key, whole: ReadModel, table: ReadModel) -> Iterator[str]:
        first, second = whole.rows.get(key), table.rows.get(key)
        if first is not None and second is not None:
            yield from self._row(key, first, second, ("in one batch", "then"))
        elif first is not None or second is not None:
            where = "in one batch only" if second is None else "then only"
            yield f"row {named(self._key, key)} is there {where}"

    def _hints(self, table: ReadModel) -> Iterator[str]:
        for name in sorted(table.ignored):
            yield f"no rule is for {name}{near(name, self._program.event_types)}"

    def _key_of(self, row: Mapping[str, Any]) -> Key:
        return tuple(given_value(self._columns[name], row[name]) for name in self._key)

    def _values_of(self, row: Mapping[str, Any]) -> Row:
        return {name: given_value(self._columns[name], value) for name, value in row.items() if name not in self._key}


def splits(events: list[GivenRecord]) -> list[Split]:
    """All in one batch; event by event; and every way to make two batches of them."""
    ways: list[Split] = [("all in one batch", [events])]
    if len(events) > 1:
        ways.append(("one event per batch", [[event] for event in events]))
        ways += [
            (f"in two batches, parted after {events[n - 1]}", [events[:n], events[n:]]) for n in range(1, len(events))
        ]
    return ways
