"""Row keys as text, one text for equal keys: a JSON array of the key's values in the definition's order."""

import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from projector.fold.delta import Key, Value
from projector.spec.models import ColumnType
from projector.spec.values import parse_timestamp


def key_text(key: Key) -> str:
    """The key's canonical text. Keys that are equal have the same: 1.0 and 1.00, or one moment in two time zones."""
    text = json.dumps([_plain(value) for value in key], separators=(",", ":"), ensure_ascii=False)
    # A lone surrogate has no place in the database; any other text shall be readable.
    return text if text.isprintable() else json.dumps(json.loads(text), separators=(",", ":"))


def key_of(text: str, types: Sequence[ColumnType]) -> Key:
    """The key that `key_text` wrote."""
    return tuple(_typed(value, kind) for value, kind in zip(json.loads(text), types, strict=True))


def key_digest(text: str) -> str:
    """Short name of a key of any length, for an index: 32 hex digits of its SHA-256."""
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _plain(value: Value) -> Any:
    if isinstance(value, Decimal):
        return _shortest(value)
    if isinstance(value, float):
        return value + 0.0
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    return str(value) if isinstance(value, date | UUID) else value


def _shortest(value: Decimal) -> str:
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def _typed(value: Any, kind: ColumnType) -> Value:
    if value is None:
        return None
    if kind == "numeric":
        return Decimal(value)
    if kind == "timestamptz":
        return parse_timestamp(value)
    if kind == "date":
        return date.fromisoformat(value)
    return UUID(value) if kind == "uuid" else value
