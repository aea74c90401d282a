"""Secondary indexes of builds: what a spec asks for, beside what the database has."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from projector.spec.check_indexes import serves
from projector.spec.definition import Definition
from projector.spec.models import Index


@dataclass(frozen=True, slots=True)
class IndexView:
    """An index of ours. One that is not `valid` serves nobody: it is being made, or its making was broken off."""

    index: Index
    valid: bool


@dataclass(frozen=True, slots=True)
class IndexFailure:
    """Why an index could not be made, in the server's words, and when that was."""

    index: Index
    message: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Indexing:
    """An index that is being made now. `waits_for` is whose transaction it waits for, if it does."""

    percent: int
    waits_for: str | None = None


@dataclass(frozen=True, slots=True)
class Indexes:
    """Of a build's table. `analyzed_at` is when its statistics were made after the replay."""

    made: tuple[IndexView, ...] = ()
    failures: tuple[IndexFailure, ...] = ()
    under_way: Indexing | None = None
    analyzed_at: datetime | None = None

    def missing(self, wanted: Iterable[Index]) -> tuple[Index, ...]:
        """Those of `wanted` that nobody can use yet."""
        valid = {one.index for one in self.made if one.valid}
        return tuple(index for index in wanted if index not in valid)

    def needless(self, wanted: Iterable[Index]) -> tuple[Index, ...]:
        """Those that are there and not wanted."""
        asked = set(wanted)
        return tuple(one.index for one in self.made if one.index not in asked)

    def failure(self, index: Index) -> IndexFailure | None:
        """What became of the last try to make `index`."""
        return next((one for one in self.failures if one.index == index), None)


def fitting(indexes: Iterable[Index], definition: Definition) -> tuple[Index, ...]:
    """Indexes that the table of `definition` can have: a build of another version may lack columns."""
    types = {column.name: column.type for column in definition.columns}
    return tuple(
        index for index in indexes if all(name in types and serves(index.method, types[name]) for name in index.columns)
    )
