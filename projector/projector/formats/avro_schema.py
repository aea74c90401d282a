"""Writer schemas of Avro, made ready for fastavro: what becomes of bytes and of logical types is ours to say.

fastavro rounds decimals to the precision of the schema, wraps times around midnight and knows no nanoseconds, all
without a word. So logical types go by names of ours, which its documented table of readers then leads to our functions.
"""

import base64
import json
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, Context, Decimal
from typing import Any
from uuid import UUID

import fastavro
from fastavro import read

from projector.formats.avro_shape import is_endless, is_recursive
from projector.formats.errors import Undecodable
from projector.formats.registry import Schema

EVENT = "event"
"""Field of the record that wraps the event, so that every schema is a record to fastavro, a union or a name too."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_EXACT = Context(prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN)
_WIDEST = 512
"""Bytes of a decimal: three times what any column takes. Time to read one grows with the square of its length."""
_DAY_NANOS = 86_400 * 10**9
_NANOS = {"millis": 10**6, "micros": 10**3, "nanos": 1}

Reader = Callable[[Any, Mapping[str, Any]], Any]
"""The stored value and its part of the schema to the value of the event. Raises ValueError or OverflowError."""


def _text64(stored: bytes, _schema: Mapping[str, Any]) -> str:
    return base64.b64encode(stored).decode()


def _decimal(stored: bytes, schema: Mapping[str, Any]) -> Decimal:
    if len(stored) > _WIDEST:
        raise ValueError(f"it holds a decimal of more than {_WIDEST} bytes")
    return _EXACT.scaleb(Decimal(int.from_bytes(stored, "big", signed=True)), -schema.get("scale", 0))


def _date(stored: int, _schema: Mapping[str, Any]) -> date:
    return date.fromordinal(_EPOCH_DAY + stored)


def _uuid(stored: bytes, _schema: Mapping[str, Any]) -> str:
    return str(UUID(bytes=stored))


def _instant(unit: int) -> Reader:
    def read_instant(stored: int, _schema: Mapping[str, Any]) -> datetime:
        return _EPOCH + timedelta(microseconds=stored * unit // 1000)

    return read_instant


def _local(unit: int) -> Reader:
    def read_local(stored: int, _schema: Mapping[str, Any]) -> str:
        return (_EPOCH + timedelta(microseconds=stored * unit // 1000)).replace(tzinfo=None).isoformat()

    return read_local


def _time(unit: int) -> Reader:
    def read_time(stored: int, _schema: Mapping[str, Any]) -> str:
        if not 0 <= stored * unit < _DAY_NANOS:
            raise ValueError("it holds a time of day beyond the day")
        return (_EPOCH + timedelta(microseconds=stored * unit // 1000)).time().isoformat()

    return read_time


_READERS: dict[tuple[str, str], Reader] = {
    ("bytes", "decimal"): _decimal,
    ("fixed", "decimal"): _decimal,
    ("int", "date"): _date,
    ("fixed", "uuid"): _uuid,
    ("int", "time-millis"): _time(_NANOS["millis"]),
    ("long", "time-micros"): _time(_NANOS["micros"]),
    **{("long", f"timestamp-{unit}"): _instant(nanos) for unit, nanos in _NANOS.items()},
    **{("long", f"local-timestamp-{unit}"): _local(nanos) for unit, nanos in _NANOS.items()},
    ("bytes", "base64"): _text64,
    ("fixed", "base64"): _text64,
}


def _three(reader: Reader) -> Callable[[Any, Any, Any], Any]:
    """As fastavro calls it, with a reader's schema, of which there is none here."""
    return lambda stored, schema, _: reader(stored, schema)


# The table of fastavro's C code and of its Python code alike.
read.LOGICAL_READERS.update(
    {f"{stored}-projector-{logical}": _three(reader) for (stored, logical), reader in _READERS.items()}
)


def parsed(schema: Schema) -> tuple[dict[str, Any], bool]:
    """A schema for fastavro, wrapped in a record of one field, and whether some type holds itself.

    Raises Undecodable without naming the schema.
    """
    if schema.kind != "AVRO":
        raise Undecodable(f"it is {schema.kind}, not AVRO")
    named: dict[str, Any] = {}
    try:
        for text in _in_order(schema, {}):
            _parse(json.loads(text), named)
        main = json.loads(schema.text)
        wrapper = {"type": "record", "name": "projector_event", "fields": [{"name": EVENT, "type": main}]}
        result = _parse(wrapper, named)
        if is_endless(result, named):
            raise Undecodable("the items of a list have no bytes: nothing would bound how many an event claims to hold")
        return result, is_recursive(result, named)
    except RecursionError:
        raise Undecodable("it is nested too deeply") from None
    except fastavro.schema.UnknownType as error:
        raise Undecodable(f"it names the type {error.name}, which neither it nor its references define") from None
    except (LookupError, TypeError, ValueError, AttributeError, fastavro.schema.SchemaParseException) as error:
        raise Undecodable(f"it is no Avro schema: {error}") from None


def _in_order(schema: Schema, seen: dict[str, None]) -> list[str]:
    """Texts of all references, each after those it needs and once, however many name it."""
    for _, reference in schema.references:
        _in_order(reference, seen)
        seen[reference.text] = None
    return list(seen)


def _parse(schema: Any, named: dict[str, Any]) -> Any:
    return fastavro.parse_schema(_prepared(schema), named_schemas=named)


def _prepared(schema: Any) -> Any:
    """The schema with our names of logical types, bytes among them."""
    if isinstance(schema, list):
        return [_prepared(branch) for branch in schema]
    if not isinstance(schema, dict):
        return {"type": "bytes", "logicalType": "projector-base64"} if schema == "bytes" else schema
    parts = {name: _prepared(schema[name]) for name in ("items", "values") if name in schema}
    if "fields" in schema:
        # Defaults are for readers with a schema of their own.
        parts["fields"] = [{"name": field["name"], "type": _prepared(field["type"])} for field in schema["fields"]]
    rest = {name: part for name, part in schema.items() if name != "logicalType"}
    return {**rest, **parts, **_logical(schema)}


def _logical(schema: dict[str, Any]) -> dict[str, str]:
    """Our name of a logical type. One that is unknown or wrong is ignored, as Avro demands."""
    stored, logical = schema.get("type"), schema.get("logicalType")
    known = (stored, logical) in _READERS
    if (logical == "decimal" and not _is_decimal(schema)) or (logical == "uuid" and schema.get("size") != 16):  # noqa: PLR2004 - bytes of a UUID
        known = False
    if known:
        return {"logicalType": f"projector-{logical}"}
    return {"logicalType": "projector-base64"} if stored in {"bytes", "fixed"} else {}


def _is_decimal(schema: dict[str, Any]) -> bool:
    precision, scale = schema.get("precision"), schema.get("scale", 0)
    return type(precision) is int and type(scale) is int and 0 <= scale <= precision and precision > 0
