"""A compiled definition at work: records to deltas."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import msgspec

from projector.expr.errors import EvalError
from projector.fold.folded import TOMBSTONE, BadEvent, Folded
from projector.fold.generate import Generated
from projector.fold.record import NO_TIMESTAMP, Record
from projector.spec.definition import Definition

Decode = Callable[[bytes], Any]
TypeOf = Callable[[Record], str | bytes | None]
"""How the type of an event is found; None: the record names none. Raises EvalError."""

_NUL = b"\\u0000"


@dataclass(frozen=True, slots=True)
class Handler:
    """One event type: the typed function serves events whose fields are of the inferred types, the other the rest."""

    decode_typed: Decode
    typed: Generated
    decode_untyped: Decode
    untyped: Generated


class Program:
    """Folds records by the rules of a definition. Made by `projector.fold.compile.compile_definition`."""

    def __init__(self, definition: Definition, type_of: TypeOf, handlers: dict[str, Handler]) -> None:
        self.definition = definition
        self.event_types = frozenset(handlers)
        self._type_of = type_of
        self._handlers: dict[str | bytes | None, Handler] = {}
        for name, handler in handlers.items():
            self._handlers[name] = self._handlers[name.encode()] = handler

    def fold(self, records: Iterable[Record], into: Folded) -> None:
        """Fold records of one partition, in order, onto `into`.

        Raises BadEvent at the first record that cannot be applied; everything before it is in `into`.
        """
        type_of, handlers, deltas = self._type_of, self._handlers, into.deltas
        record: Record | None = None
        last: Record | None = None
        applied = 0
        try:
            for record in records:
                event_type = type_of(record)
                handler = handlers.get(event_type)
                if handler is None:
                    _ignore(event_type, record, into, self.definition.type)
                else:
                    value = record.value()
                    try:
                        event = handler.decode_typed(value)  # type: ignore[arg-type]  # None is refused below
                    except Exception:  # noqa: BLE001 - whatever it is, the untyped way says it in words
                        self._fold_untyped(handler, record, deltas)
                    else:
                        if _NUL in value:  # type: ignore[operator]  # None was not decoded
                            self._fold_untyped(handler, record, deltas)
                        else:
                            handler.typed.apply(event, record, deltas)
                    applied += 1
                last = record
        except EvalError as error:
            assert record is not None  # noqa: S101 - only records raise
            raise BadEvent(record.offset(), f"{error}{self._site(error)}") from None
        finally:
            into.events += applied
            _note_time(last, into)

    @staticmethod
    def _fold_untyped(handler: Handler, record: Record, deltas: Any) -> None:
        handler.untyped.apply(decoded(handler.decode_untyped, record.value()), record, deltas)

    def _site(self, error: EvalError) -> str:
        """Rule and column in brackets, from the line of generated code that the error passed through."""
        step: TracebackType | None = error.__traceback__
        found = ""
        while step is not None:
            generated = self._generated.get(step.tb_frame.f_code.co_filename)
            if generated is not None:
                found = generated.sites.get(step.tb_lineno, found)
            step = step.tb_next
        return f" ({found})" if found else ""

    @property
    def _generated(self) -> dict[str, Generated]:
        both = [generated for handler in self._handlers.values() for generated in (handler.typed, handler.untyped)]
        return {generated.filename: generated for generated in both}


def decoded(decode: Decode, value: bytes | None) -> Any:
    """The decoded value of a record. Raises EvalError, in words, where it cannot be read."""
    if value is None:
        raise EvalError("the value is empty, which is no event")
    try:
        return decode(value)
    except msgspec.ValidationError as error:
        raise EvalError(_unfit(value, error)) from None
    except RecursionError:
        raise EvalError("the value is nested too deeply") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise EvalError(f"the value is not JSON: {error}") from None


def _unfit(value: bytes, error: msgspec.ValidationError) -> str:
    if value.lstrip()[:1] != b"{":
        return "the value is JSON, but not an object"
    return f"the value cannot be read: {error}"


def _ignore(event_type: str | bytes | None, record: Record, into: Folded, place: str) -> None:
    if event_type is None:
        if record.value() is not None:
            raise EvalError(f"{place} is missing: the record names no event type")
        event_type = TOMBSTONE
    name = event_type.decode(errors="replace") if isinstance(event_type, bytes) else event_type
    into.ignored[name] = into.ignored.get(name, 0) + 1


def _note_time(last: Record | None, into: Folded) -> None:
    if last is not None:
        kind, milliseconds = last.timestamp()
        if kind != NO_TIMESTAMP:
            into.last_timestamp_ms = milliseconds
