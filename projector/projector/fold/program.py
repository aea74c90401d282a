"""A compiled definition at work: records to deltas."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any, Protocol

from projector.expr.errors import EvalError
from projector.fold.columns import Columns
from projector.fold.delta import Key
from projector.fold.folded import BadEvent, Folded
from projector.fold.generate import Generated
from projector.fold.plan import Plan
from projector.fold.record import Record
from projector.spec.definition import Definition
from projector.spec.selectors import TOMBSTONE

Decode = Callable[[bytes], Any]


@dataclass(frozen=True, slots=True)
class Alone:
    """One rule by itself, for events that cannot be applied as a whole: what it does, and the keys it does it to."""

    apply: Generated
    keys: Generated


@dataclass(frozen=True, slots=True)
class Handler:
    """What the rules do with events of one type and version.

    `fast` serves events whose fields are of the inferred types (None: there is no such way), `careful` any event.
    `decode` raises EvalError; `empty` stands for an event that has no value, or cannot be decoded.
    """

    fast: tuple[Decode, Generated] | None
    decode: Decode
    careful: Generated
    alone: tuple[Alone, ...]
    empty: Any

    @property
    def generated(self) -> list[Generated]:
        """All functions."""
        fast = [self.fast[1]] if self.fast else []
        return [*fast, self.careful, *(code for alone in self.alone for code in (alone.apply, alone.keys))]

    def event(self, record: Record) -> Any:
        """The decoded event. Raises EvalError."""
        value = record.value()
        return self.empty if value is None else self.decode(value)


class Router(Protocol):
    """Finds out what a record is, and what to do with it."""

    @property
    def generated(self) -> Mapping[str, Generated]:
        """All functions of all handlers so far, by their file names."""
        ...

    def type_of(self, record: Record) -> str | None:
        """The event type; None where the record names none. Raises EvalError."""
        ...

    def handler(self, event_type: str, record: Record) -> Handler | None:
        """What to do with it; None where no rule is for it. Raises EvalError."""
        ...


One = Callable[[Record, Folded], None]
"""Folds one record of any kind. Raises EvalError."""

Loop = Callable[[Iterable[Record], Folded, One], None]
"""Folds records; those that are not of the usual kind it gives to the function. Raises Halted."""


class Halted(Exception):
    """The loop met a record that cannot be applied."""

    def __init__(self, record: Record, error: EvalError) -> None:
        self.record = record
        self.error = error
        super().__init__()


class Program(Protocol):
    """Folds records as a definition says. Made by `projector.fold.compile.compile_definition`."""

    @property
    def definition(self) -> Definition:
        """What it was made from."""
        ...

    @property
    def columns(self) -> Columns:
        """The columns that its deltas are about."""
        ...

    @property
    def event_types(self) -> frozenset[str]:
        """Event types that some rule is for; none where a handler gets every event."""
        ...

    @property
    def sources(self) -> Mapping[str, str]:
        """Source of the functions made so far, by file name: for people who want to see them."""
        ...

    def fold(self, records: Iterable[Record], into: Folded) -> None:
        """Fold records of one partition, in order, onto `into`.

        Raises BadEvent at the first record that cannot be applied; everything before it is in `into`. An iterator then
        stands behind that record, so that folding can go on once it is settled.
        """
        ...

    def settle(self, bad: BadEvent, into: Folded, *, park: bool) -> None:
        """Apply what of a bad event can be applied; its bad keys are parked with it, or it is passed over for them."""
        ...

    def keys(self, record: Record, reason: str) -> dict[Key, str] | None:
        """The row keys that an event changes, each with `reason`; None where they cannot be told."""
        ...


class RuleProgram:
    """The `Program` of rules."""

    def __init__(self, plan: Plan, event_types: Iterable[str], router: Router, loop: Loop) -> None:
        self._event_types = frozenset(event_types)
        self._plan = plan
        self._router = router
        self._loop = loop

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
        return self._event_types

    @property
    def sources(self) -> Mapping[str, str]:
        """See Program."""
        return {filename: generated.source for filename, generated in self._router.generated.items()}

    def fold(self, records: Iterable[Record], into: Folded) -> None:
        """See Program."""
        try:
            self._loop(records, into, self._one)
        except Halted as halted:
            raise self._bad(halted.record, halted.error) from None

    def settle(self, bad: BadEvent, into: Folded, *, park: bool) -> None:
        """See Program."""
        bad_keys = bad.keys or {}
        for _, folded, _ in self._rules(bad.record) if bad.keys else ():
            for key, delta in folded.deltas.items():
                if key not in bad_keys:
                    self._plan.follow(into, key, delta, bad.record)
        if park:
            self._plan.park(into, bad_keys, bad.record)
        into.events += 1

    def keys(self, record: Record, reason: str) -> dict[Key, str] | None:
        """See Program."""
        folded = Folded()
        try:
            self._one(record, folded)
        except EvalError:
            return None
        return dict.fromkeys(folded.deltas, reason) or None

    def _one(self, record: Record, into: Folded) -> None:
        event_type = self._type(record)
        handler = self._router.handler(event_type, record)
        if handler is None:
            into.ignored[event_type] = into.ignored.get(event_type, 0) + 1
            return
        handler.careful.call(handler.event(record), record, into)
        into.events += 1

    def _type(self, record: Record) -> str:
        event_type = TOMBSTONE if record.value() is None else self._router.type_of(record)
        if event_type is None:
            raise EvalError(f"{self.definition.type} is missing: the record names no event type")
        return event_type

    def _bad(self, record: Record, error: EvalError) -> BadEvent:
        message = self._said(error)
        keys: dict[Key, str] = {}
        try:
            for keys_of, _, reason in self._rules(record):
                if reason:
                    keys |= dict.fromkeys(keys_of(), reason)
        except EvalError:
            return BadEvent(record, message, None)
        return BadEvent(record, message, keys or None)

    def _rules(self, record: Record) -> Iterator[tuple[Callable[[], list[Key]], Folded, str]]:
        """Each rule by itself: its keys, what it does, and why it cannot. Raises EvalError where no rule is known."""
        handler = self._router.handler(self._type(record), record)
        assert handler is not None  # noqa: S101 - a record that no rule is for, is not bad
        unread = ""
        try:
            event = handler.event(record)
        except EvalError as error:
            event, unread = handler.empty, self._said(error)
        for rule in handler.alone:
            folded, reason = (Folded(), unread) if unread else self._tried(rule, event, record)
            yield partial(rule.keys.call, event, record), folded, reason

    def _tried(self, rule: Alone, event: Any, record: Record) -> tuple[Folded, str]:
        folded = Folded()
        try:
            rule.apply.call(event, record, folded)
        except EvalError as error:
            return Folded(), self._said(error)
        return folded, ""

    def _said(self, error: EvalError) -> str:
        """The error, with rule and column in brackets: from the line of generated code that it passed through."""
        step: TracebackType | None = error.__traceback__
        found = ""
        while step is not None:
            generated = self._router.generated.get(step.tb_frame.f_code.co_filename)
            if generated is not None:
                found = generated.sites.get(step.tb_lineno, found)
            step = step.tb_next
        return f"{error} ({found})" if found else str(error)
