"""Secondary indexes: what builds lack, when that is seen to, and what is said of it.

Indexes are no part of a version. All builds get those that the spec asks for and that they have the columns for; only a
build that the spec describes loses what the spec no longer has, since readers of another version may need it.
"""

from collections.abc import Iterator
from datetime import timedelta

from projection_operator.core import lag
from projection_operator.core.actions import BuildIndexes
from projection_operator.core.case import Case
from projection_operator.core.outcome import Outcome, named, sure
from projection_operator.core.reasons import Reason
from projection_operator.core.status import IndexStatus
from projector.indexes import IndexFailure, fitting
from projector.registry import BuildState, BuildView
from projector.spec.models import Index

RETRY = timedelta(minutes=5)
"""How long an index that could not be made is left alone: a try reads the whole table, and may fill a disk."""


def wanted(case: Case, build: BuildView) -> tuple[Index, ...]:
    """Indexes that the table of `build` is to have."""
    return () if case.spec is None else fitting(case.spec.target.postgresql.indexes, build.definition)


def lacking(case: Case, build: BuildView) -> tuple[Index, ...]:
    """Those that nobody can use yet."""
    return build.indexes.missing(wanted(case, build))


def leaving(case: Case, build: BuildView) -> tuple[Index, ...]:
    """Those that are there and have to go."""
    return build.indexes.needless(wanted(case, build)) if case.valid and case.of_spec(build) else ()


def failure(case: Case, build: BuildView) -> IndexFailure | None:
    """Why the first of those that are lacking, and could not be made, was not."""
    found = map(build.indexes.failure, lacking(case, build))
    return next((one for one in found if one is not None), None)


def unprepared(case: Case, build: BuildView) -> bool:
    """Whether there is something left to do, or being done."""
    if build.indexes.under_way is not None or lacking(case, build) or leaving(case, build):
        return True
    return _unanalyzed(build)


def _unanalyzed(build: BuildView) -> bool:
    return build.state is BuildState.REPLAYING and build.indexes.analyzed_at is None


def index_actions(case: Case, going: set[int]) -> tuple[BuildIndexes, ...]:
    """The next task of each kind; readers of the live build come first.

    Two kinds, since the transactions of others that hold one up on a table in use must not hold up a candidate.
    """
    if not case.valid or case.suspended:
        return ()
    builds = sorted(case.kept, key=lambda build: build is not case.live)
    due = [_due(case, build) for build in builds if build.number not in going and _stands(build)]
    first = {one.in_use: one for one in reversed(due) if one is not None}
    return tuple(first[in_use] for in_use in (True, False) if in_use in first)


def _stands(build: BuildView) -> bool:
    """A replay goes faster without indexes."""
    return build.state is not BuildState.REPLAYING or lag.replayed(build)


def _due(case: Case, build: BuildView) -> BuildIndexes | None:
    if build.indexes.under_way is not None:
        return None
    all_of_them = lacking(case, build)
    now = tuple(index for index in all_of_them if not _failed_lately(case, build, index))
    going = leaving(case, build)
    analyze = _unanalyzed(build) and now == all_of_them
    in_use = build.state is not BuildState.REPLAYING
    return BuildIndexes(build.number, in_use, now, going, analyze) if now or going or analyze else None


def _failed_lately(case: Case, build: BuildView, index: Index) -> bool:
    failed = build.indexes.failure(index)
    return failed is not None and case.now < failed.at + RETRY


def failed(case: Case, build: BuildView | None) -> Outcome:
    """An index cannot be made."""
    why = failure(case, sure(build))
    assert why is not None  # noqa: S101 - the guard of the row saw it
    again = f"{why.at + RETRY:%Y-%m-%dT%H:%M:%SZ}"
    message = f"index {why.index} of {named(sure(build))} cannot be made: {why.message}; tried again after {again}"
    return Outcome(Reason.INDEX_FAILED, message)


def indexing(case: Case, build: BuildView | None) -> Outcome:
    """Indexes are made, or go."""
    found = sure(build)
    return Outcome(Reason.INDEXING, f"{named(found)}: {_what(case, found)}")


def _what(case: Case, build: BuildView) -> str:
    under_way, missing, going = build.indexes.under_way, lacking(case, build), leaving(case, build)
    if under_way is not None:
        which = f"index {missing[0]}" if missing else "an index"
        waits = f"; it waits for a transaction of {under_way.waits_for}" if under_way.waits_for else ""
        return f"{which} is made, {under_way.percent} %{waits}"
    if missing:
        return f"index {missing[0]} is to be made"
    return f"index {going[0]} is to be dropped" if going else "statistics are made"


def percent(case: Case, build: BuildView) -> int:
    """How much of all indexes of `build` is made."""
    asked, missing = len(wanted(case, build)), len(lacking(case, build))
    under_way = build.indexes.under_way
    part = under_way.percent if under_way is not None and missing else 0
    return ((asked - missing) * 100 + part) // asked if asked else 100


def statuses(case: Case, build: BuildView) -> Iterator[IndexStatus]:
    """Of `build`, in the order of the spec."""
    missing = lacking(case, build)
    made = _made_now(build, missing)
    for index in wanted(case, build):
        why = build.indexes.failure(index) if index in missing else None
        yield IndexStatus(
            columns=index.columns,
            method=index.method,
            state="Building" if index == made else "Missing" if index in missing else "Valid",
            percent=build.indexes.under_way.percent if index == made and build.indexes.under_way else None,
            message=None if why is None else why.message,
        )
    for index in leaving(case, build):
        yield IndexStatus(columns=index.columns, method=index.method, state="Dropping")


def _made_now(build: BuildView, missing: tuple[Index, ...]) -> Index | None:
    """They are made in their order; what failed before comes after that, and again in its order."""
    if build.indexes.under_way is None:
        return None
    fresh = (index for index in missing if build.indexes.failure(index) is None)
    return next(fresh, missing[0] if missing else None)
