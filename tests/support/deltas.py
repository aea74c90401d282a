"""Upserts written by hand."""

from collections.abc import Collection, Sequence
from typing import Any, Final

from projector.fold.delta import EITHER, FIRST_BIT, Key, Upsert, Writes

U: Final = object()
"""A column that is not touched."""


def upsert(key: Key | str, *values: Any, absolute: Collection[int] = (), more: Sequence[Any] = ()) -> Upsert:
    """Changes columns to `values`, in their order; those of `absolute` are set although they accumulate.

    A text is a key of one column. `more` are the places behind the columns: the guard, and whether the row is deleted.
    """
    bits = EITHER
    for index, value in enumerate(values):
        if value is not U:
            bits |= 1 << FIRST_BIT + index
            bits |= (index in absolute) << FIRST_BIT + len(values) + index
    parts = (key,) if isinstance(key, str) else key
    return [*parts, bits, *(None if value is U else value for value in values), *more]


def writes(*upserts: Upsert, key: int = 1) -> Writes:
    """What a store gets; `key` is the number of key columns."""
    return {tuple(one[:key]): one for one in upserts}
