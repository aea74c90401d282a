"""The loops over a batch's records: the hot path. One for each place where the event type may stand."""

from collections.abc import Iterable, Mapping

from projector.expr.errors import EvalError
from projector.fold.folded import Folded
from projector.fold.generate import Apply
from projector.fold.program import Decode, Halted, Loop, One
from projector.fold.record import NO_TIMESTAMP, Record, header_of

_NUL = b"\\u0000"
"""JSON for a character that text columns do not take."""
_ESCAPE = ord("\\")
"""What it begins with: looking for one byte costs next to nothing, for several 150 ns, and most values hold none."""


def by_header(wanted: str, fast: Mapping[bytes | None, tuple[Decode, Apply]]) -> Loop:
    """Records whose type stands in the header `wanted`."""

    def loop(records: Iterable[Record], into: Folded, one: One) -> None:
        find = fast.get
        record = last = None
        applied = 0
        try:
            for record in records:
                try:
                    ((name, content),) = record.headers()  # type: ignore[misc]  # None raises, too
                except (TypeError, ValueError):
                    name, content = wanted, header_of(record.headers(), wanted)
                known = find(content) if name == wanted else None
                value = record.value()
                if known is None or value is None or (_ESCAPE in value and _NUL in value):
                    one(record, into)
                else:
                    decode, apply = known
                    try:
                        event = decode(value)
                    except Exception:  # noqa: BLE001 - whatever it is, the careful way says it in words
                        one(record, into)
                    else:
                        apply(event, record, into)
                        applied += 1
                last = record
        except EvalError as error:
            raise Halted(_met(record), error) from None
        finally:
            into.events += applied
            _note_time(last, into)

    return loop


def by_field(decode: Decode, fast: Mapping[type, Apply]) -> Loop:
    """Records whose type is a field of the value: one `decode` finds the type, and gives an instance of its class."""

    def loop(records: Iterable[Record], into: Folded, one: One) -> None:
        record = last = None
        applied = 0
        try:
            for record in records:
                value = record.value()
                if value is None or (_ESCAPE in value and _NUL in value):
                    one(record, into)
                else:
                    try:
                        event = decode(value)
                    except Exception:  # noqa: BLE001 - whatever it is, the careful way says it in words
                        one(record, into)
                    else:
                        fast[event.__class__](event, record, into)
                        applied += 1
                last = record
        except EvalError as error:
            raise Halted(_met(record), error) from None
        finally:
            into.events += applied
            _note_time(last, into)

    return loop


def one_by_one(records: Iterable[Record], into: Folded, one: One) -> None:
    """Records for which there is no fast way."""
    record = last = None
    try:
        for record in records:
            one(record, into)
            last = record
    except EvalError as error:
        raise Halted(_met(record), error) from None
    finally:
        _note_time(last, into)


def _met(record: Record | None) -> Record:
    assert record is not None  # noqa: S101 - only records raise
    return record


def _note_time(last: Record | None, into: Folded) -> None:
    if last is not None:
        kind, milliseconds = last.timestamp()
        if kind != NO_TIMESTAMP:
            into.last_timestamp_ms = milliseconds
