"""A table in memory: what a target does with deltas, for tests of definitions and of stores."""

from dataclasses import dataclass, field

from projector.fold.algebra import apply, general
from projector.fold.columns import Columns
from projector.fold.delta import Delta, Key, ParkedEvent, Row, Upsert, Writes
from projector.fold.folded import Folded
from projector.fold.outcome import resolve, undecided


@dataclass(slots=True)
class Table:
    """Rows by key, and events that wait by the key they wait for."""

    columns: Columns
    rows: dict[Key, Row] = field(default_factory=dict)
    parked: dict[Key, list[ParkedEvent]] = field(default_factory=dict)
    guards: dict[Key, int] = field(default_factory=dict)
    """Under `ordering: Guarded`: the greatest guard seen, of deleted rows too."""

    def batch(self) -> Folded:
        """An empty batch that knows which keys are parked."""
        return Folded.behind(self.parked)

    def commit(self, folded: Folded) -> None:
        """Apply a batch."""
        aside = resolve(folded, {key for key in undecided(folded) if key in self.rows})
        writes: Writes = folded.deltas  # type: ignore[assignment]  # resolved
        self.write(writes)
        for key, event in aside:
            self.parked.setdefault(key, []).append(event)

    def write(self, deltas: Writes) -> None:
        """Apply what a store gets."""
        for key, row in self.after(deltas).items():
            if row is None:
                self.rows.pop(key, None)
            else:
                self.rows[key] = row
        if self.columns.guarded:
            self.guards |= {key: delta[-2] for key, delta in self._newer(deltas).items()}

    def after(self, deltas: Writes) -> dict[Key, Row | None]:
        """The rows that deltas touch, as they would be then."""
        if self.columns.guarded:
            return {key: self._guarded(key, delta) for key, delta in self._newer(deltas).items()}
        return {key: self._changed(key, delta) for key, delta in deltas.items()}

    def _newer(self, deltas: Writes) -> dict[Key, Upsert]:
        """Those that change something: under Guarded, all deltas are Upserts."""
        return {
            key: delta
            for key, delta in deltas.items()
            if isinstance(delta, list) and (key not in self.guards or delta[-2] > self.guards[key])
        }

    def _guarded(self, key: Key, delta: Upsert) -> Row | None:
        return None if delta[-1] else self._changed(key, delta)

    def _changed(self, key: Key, delta: Upsert | Delta) -> Row | None:
        change = general(self.columns, delta) if isinstance(delta, list) else delta
        return apply(change, self.rows.get(key), dict(zip(self.columns.names, self.columns.defaults, strict=True)))
