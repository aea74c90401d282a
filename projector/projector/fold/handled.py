"""A Python handler at work: records to the same deltas that rules give."""

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any

from projector.expr.errors import EvalError
from projector.fold.columns import Columns
from projector.fold.decode import Decode, careful
from projector.fold.delta import AnyDelta, Key
from projector.fold.folded import BadEvent, Folded
from projector.fold.generate import guard_function
from projector.fold.handler_code import printable, raised
from projector.fold.loops import one_by_one
from projector.fold.plan import Assignment, Plan, plan_handler
from projector.fold.program import Halted
from projector.fold.record import Record, header_of, instant
from projector.fold.returned import Returned
from projector.fold.routes import event_type_of, version_of
from projector.fold.scope import EventScope
from projector.handlers import TOMBSTONE, Change, Delete, Event, Handler, Meta, Upsert
from projector.spec.definition import Definition

Made = list[tuple[Key, AnyDelta]]

GUARDS_KEPT = 256
"""Event types whose guard is kept compiled: a log may name any number of them."""


class HandlerProgram:
    """The `projector.fold.program.Program` of a handler. Raises InvalidSpec where `ordering.by` is not right.

    `decode` makes a dict of a record's value, and raises EvalError where it cannot; None: values are JSON.
    """

    def __init__(self, definition: Definition, function: Handler, decode: Decode | None) -> None:
        plan, guard = plan_handler(definition)
        self._plan = plan
        self._function = function
        self._decode = decode or careful(dict[str, Any])
        self._returned = Returned(definition, plan.columns)
        self._guard = None if guard is None else _guards(plan, guard)

    @property
    def definition(self) -> Definition:
        """See Program."""
        return self._plan.definition

    @property
    def columns(self) -> Columns:
        """See Program."""
        return self._plan.columns

    @property
    def event_types(self) -> frozenset[str]:
        """See Program."""
        return frozenset()

    @property
    def sources(self) -> Mapping[str, str]:
        """See Program; the handler's own is in its image."""
        return {}

    def fold(self, records: Iterable[Record], into: Folded) -> None:
        """See Program."""
        try:
            one_by_one(records, into, self._one)
        except Halted as halted:
            raise self._bad(halted.record, str(halted.error)) from None

    def settle(self, bad: BadEvent, into: Folded, *, park: bool) -> None:
        """See Program."""
        bad_keys = bad.keys or {}
        event, changes = self._called(bad.record) if bad_keys else (None, [])
        made: Made = []
        for number, change in enumerate(changes):
            key = self._returned.key(number, change)
            if event is not None and key not in bad_keys:
                made.append((key, self._delta(number, key, change, event, bad.record)))
        self._follow(made, bad.record, into)
        if park:
            self._plan.park(into, bad_keys, bad.record)
        into.events += 1

    def keys(self, record: Record, reason: str) -> dict[Key, str] | None:
        """See Program."""
        try:
            _, changes = self._called(record)
            return {self._returned.key(number, change): reason for number, change in enumerate(changes)} or None
        except EvalError:
            return None

    def _one(self, record: Record, into: Folded) -> None:
        """Fold one record: all deltas are made before one is applied, so that a bad event leaves no trace."""
        event, changes = self._called(record)
        keys = [self._returned.key(number, change) for number, change in enumerate(changes)]
        numbered = enumerate(zip(keys, changes, strict=True))
        made = [(key, self._delta(number, key, change, event, record)) for number, (key, change) in numbered]
        self._follow(made, record, into)
        into.events += 1

    def _follow(self, made: Made, record: Record, into: Folded) -> None:
        for key, delta in made:
            self._plan.follow(into, key, delta, record)

    def _bad(self, record: Record, message: str) -> BadEvent:
        keys: dict[Key, str] = {}
        try:
            event, changes = self._called(record)
            for number, change in enumerate(changes):
                key = self._returned.key(number, change)
                try:
                    self._delta(number, key, change, event, record)
                except EvalError as error:
                    keys[key] = printable(str(error))
        except EvalError:
            keys = {}
        return BadEvent(record, printable(message), keys or None)

    def _delta(self, number: int, key: Key, change: Change, event: Event, record: Record) -> AnyDelta:
        return self._returned.delta(number, key, change, record, self._guard(event, record) if self._guard else None)

    def _called(self, record: Record) -> tuple[Event, list[Change]]:
        """The event and what the handler makes of it. Raises EvalError."""
        event, meta = self._event(record), _meta(record)
        try:
            returned = self._function(event, meta)
            changes = list(returned) if _serves(returned) else None
        except Exception as error:  # noqa: BLE001 - a team's code may raise anything
            raise EvalError(f"{self.definition.handler} raised {raised(error)}") from None
        if changes is None:
            raise EvalError(
                f"{self.definition.handler} returned {type(returned).__name__}: return a list of Upsert and Delete, or "
                "yield them"
            )
        for number, change in enumerate(changes):
            if not isinstance(change, Upsert | Delete):
                raise EvalError(f"change {number} is {type(change).__name__}, not Upsert or Delete")
        return event, changes

    def _event(self, record: Record) -> Event:
        content = record.value()
        value: dict[str, Any] | None = None if content is None else self._decode(content)
        where = self.definition.event_version
        version = version_of(_found(where, record, value), where) if where else 1
        if value is None:
            return Event(TOMBSTONE, None, version)
        where = self.definition.type
        return Event(event_type_of(_found(where, record, value), where), value, version)


def _serves(returned: object) -> bool:
    """Whether something may be a handler's changes: a text or a dict may be gone through, too, and is a mistake."""
    return isinstance(returned, Iterable) and not isinstance(returned, str | bytes | Mapping)


def _found(where: str, record: Record, value: Mapping[str, Any] | None) -> Any:
    """What stands at `header.<name>` or `event.<field>`; None where it is missing."""
    kind, name = where.split(".", 1)
    return header_of(record.headers(), name) if kind == "header" else (value or {}).get(name)


def _meta(record: Record) -> Meta:
    key = record.key()
    return Meta(
        topic=record.topic(),
        partition=record.partition(),
        offset=record.offset(),
        timestamp=instant(record),
        key=_text(key),
        headers={name: _text(content) for name, content in record.headers() or ()},
    )


def _text(content: bytes | None) -> str | None:
    return None if content is None else content.decode(errors="surrogateescape")


def _guards(plan: Plan, guard: Assignment) -> Callable[[Event, Record], int]:
    """What gives the guard of an event; the expression may ask for the event's type."""

    @lru_cache(maxsize=GUARDS_KEPT)
    def function(event_type: str) -> Any:
        return guard_function(plan, guard, EventScope(event_type, {}, typed=False, whole=True)).call

    def find(event: Event, record: Record) -> int:
        try:
            found: int = function(event.type or "")(event.value or {}, record)
        except EvalError as error:
            raise EvalError(f"{error} (spec.ordering.by)") from None
        return found

    return find
