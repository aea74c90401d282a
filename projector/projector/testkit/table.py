"""A read model in memory: what batches of records make of its rows, by the same fold and deltas as a worker's."""

from collections.abc import Iterable, Iterator
from typing import cast

from projector.fold.delta import Key, ParkedEvent, Row, Writes
from projector.fold.folded import BadEvent, Folded
from projector.fold.outcome import resolve, undecided
from projector.fold.program import Program
from projector.fold.record import Record
from projector.fold.table import Table
from projector.spec.values import out_of_range
from projector.testkit.given import GivenRecord

Lane = tuple[str, int]
"""Topic and partition."""


class ReadModel:
    """Rows by key, the first parked event of each key that has one, and the lanes that stand still, with the reason."""

    def __init__(self, program: Program, *, park: bool) -> None:
        self._program = program
        self._park = park
        self._types = {column.name: column.type for column in program.definition.columns}
        self._table = Table(program.columns)
        self._lanes: dict[Lane, dict[Key, ParkedEvent]] = {}
        self.stuck: dict[Lane, str] = {}
        self.ignored: set[str] = set()

    @property
    def rows(self) -> dict[Key, Row]:
        """Rows by key."""
        return self._table.rows

    @property
    def parked(self) -> dict[Key, ParkedEvent]:
        """The first event of each key that is parked."""
        return {key: event for lane in self._lanes.values() for key, event in lane.items()}

    def take(self, batch: Iterable[GivenRecord]) -> None:
        """Fold and apply one batch: each partition's records in their order, one partition after the other."""
        lanes: dict[Lane, list[GivenRecord]] = {}
        for record in batch:
            lanes.setdefault((record.topic(), record.partition()), []).append(record)
        for lane, records in lanes.items():
            if lane not in self.stuck:
                self._take(lane, records)

    def _take(self, lane: Lane, records: list[GivenRecord]) -> None:
        parked = self._lanes.setdefault(lane, {})
        folded = Folded.behind(parked)
        self._fold(lane, iter(records), folded)
        aside = resolve(folded, [key for key in undecided(folded) if key in self.rows])
        for key, event in aside:
            parked.setdefault(key, event)
        self.ignored |= folded.ignored.keys()
        self._write(lane, cast("Writes", folded.deltas))

    def _fold(self, lane: Lane, records: Iterator[Record], folded: Folded) -> None:
        while True:
            try:
                self._program.fold(records, folded)
            except BadEvent as bad:
                if not self._park or bad.keys is None:
                    self.stuck[lane] = f"{bad.record}: {bad.message}"
                    return
                self._program.settle(bad, folded, park=True)
            else:
                return

    def _write(self, lane: Lane, deltas: Writes) -> None:
        self._table.write(deltas)
        for row in filter(None, map(self.rows.get, deltas)):
            for column, value in row.items():
                if out_of_range(self._types[column], value):
                    self.stuck[lane] = f"column {column}: {value} is out of range for {self._types[column]}"
