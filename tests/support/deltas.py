"""Upserts written by hand."""

from collections.abc import Collection, Sequence
from typing import Any, Final

from projector.fold.delta import Upsert

U: Final = object()
"""A column that is not touched."""


def upsert(*values: Any, absolute: Collection[int] = (), more: Sequence[Any] = ()) -> Upsert:
    """Changes columns to `values`, in their order; those of `absolute` are set although they accumulate.

    `more` are the places behind the columns: the guard, and whether the row is deleted.
    """
    touched = sum(1 << index for index, value in enumerate(values) if value is not U)
    bits = touched | sum(1 << len(values) + index for index in absolute if values[index] is not U)
    return [bits, *(None if value is U else value for value in values), *more]
