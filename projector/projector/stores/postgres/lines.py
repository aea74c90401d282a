"""Source rows as COPY reads them in its CSV form: JSON arrays without brackets, made by one call for many rows.

With `NULL 'null'` and a backslash for ESCAPE, a JSON string is a quoted CSV field and a JSON number a bare one. Only
the escapes of control characters are JSON's alone.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from math import isfinite
from typing import Any

import msgspec

from projector.fold.delta import Upsert
from projector.spec.models import ColumnType
from projector.stores.postgres.texts import NUL, json_text

_encode = msgspec.json.Encoder().encode_lines
_ESCAPE = re.compile(rb'\\(?:["\\]|u00(..)|(.))')
_CONTROLS = {b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t"}
_HIGHEST = 2**63 - 1


class Lines:
    """Writes source rows of the given columns."""

    def __init__(self, types: Sequence[ColumnType]) -> None:
        self._special = [(place, _SPECIAL[kind]) for place, kind in enumerate(types) if kind in _SPECIAL]

    def of(self, rows: Sequence[Upsert]) -> bytes:
        """A line for each row. Raises ValueError, TypeError."""
        if self._special:
            rows = list(map(self._as_json, rows))
        try:
            text = _encode(rows)
        except OverflowError:
            text = _encode([list(map(_bounded, row)) for row in rows])
        # A line end within a string is escaped, so this one stands between rows only.
        text = text.replace(b"]\n[", b"\n")[1:-2] + b"\n"
        return _ESCAPE.sub(_plain, text) if b"\\" in text else text

    def _as_json(self, row: Upsert) -> Upsert:
        copied = row.copy()
        for place, form in self._special:
            if row[place] is not None:
                copied[place] = form(row[place])
        return copied


def _bounded(value: Any) -> Any:
    """Numbers beyond 64 bits as text: the server says that they do not fit."""
    return str(value) if type(value) is int and not -_HIGHEST <= value <= _HIGHEST else value


def _double(value: float) -> float | str:
    """JSON has no double that is not finite."""
    return value if isfinite(value) else repr(value)


_SPECIAL: Mapping[ColumnType, Callable[[Any], Any]] = {"double precision": _double, "jsonb": json_text}
"""Types of which some values are not in CSV what they are in JSON."""


def _plain(escape: re.Match[bytes]) -> bytes:
    """What CSV has instead of an escape."""
    code, letter = escape.groups()
    if code is not None:
        if code == b"00":
            raise ValueError(NUL)
        return bytes([int(code, 16)])
    return escape[0] if letter is None else _CONTROLS[letter]
