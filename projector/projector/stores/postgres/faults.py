"""What an error of the server means: try again, give up, or bad data."""

import re

import psycopg
from psycopg import errors

from projector.fold.delta import Writes
from projector.ports import BadRow, Fenced, StoreUnavailable, TooManyParked
from projector.stores.postgres.connection import cause
from projector.stores.postgres.encode import Encoder

FENCED = "PJ001"
"""SQLSTATE that `projections.move` raises."""
TOO_MANY_PARKED = "PJ002"
"""SQLSTATE that `projections.park` raises."""

_GONE = (errors.UndefinedTable, errors.InvalidSchemaName, errors.UndefinedFunction)
"""Table or registry are dropped only after the build was given up."""

# Limits of the server that a value breaks stand among its outages: an index entry or a row that is too long.
_BAD_DATA = (errors.DataError, errors.IntegrityError, errors.ProgramLimitExceeded)

_STAGED_COLUMN = re.compile(r"COPY \S+, line \d+, column (\w+)")


def translated(error: psycopg.Error, target: str, encoder: Encoder, deltas: Writes, max_parked: int) -> Exception:
    """The port's exception for an error of the server or of the connection."""
    if error.sqlstate == FENCED or isinstance(error, _GONE):
        return Fenced(cause(error))
    if error.sqlstate == TOO_MANY_PARKED:
        return TooManyParked(
            f"{cause(error)}, and spec.errors.maxParkedKeys allows {max_parked}: see `projector parked list`, then "
            "replay or discard what is parked, or allow more"
        )
    # Another worker created the same row between our look and our insert: there it is the next time.
    if isinstance(error, _BAD_DATA) and not isinstance(error, errors.UniqueViolation):
        return BadRow(_bad_row(error, encoder, deltas))
    return StoreUnavailable(f"{target}: {cause(error)}")


def _bad_row(error: psycopg.Error, encoder: Encoder, deltas: Writes) -> str:
    said = error.diag.message_primary or str(error)
    if isinstance(error, errors.NumericValueOutOfRange):
        if found := encoder.misfit(deltas):
            return found
        if sums := encoder.sums:
            return f"{said}, in a sum: one of {', '.join(sums)}"
    if match := _STAGED_COLUMN.search(error.diag.context or ""):
        return f"column {encoder.column(match[1])}: {said}"
    if error.diag.column_name:
        return f"column {error.diag.column_name}: {said}"
    return said
