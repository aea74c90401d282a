"""Which handler is for a record: by event type, by schema version, tombstones."""

from collections.abc import Callable, Mapping
from typing import Any

from projector.expr.errors import EvalError
from projector.fold.decode import field_decoder
from projector.fold.generate import Generated
from projector.fold.plan import Plan, RulePlan
from projector.fold.program import Decode, Handler
from projector.fold.record import Record, header_of
from projector.fold.scope import UNSET
from projector.spec.selectors import FIRST_VERSION

TextOf = Callable[[Record], Any]
"""A header as bytes, a field as JSON has it; None or UNSET where it is missing. Raises EvalError."""

Make = Callable[[str, tuple[RulePlan, ...]], Handler]
"""Compiles the handler of an event type for some of its rules."""


class Routes:
    """`projector.fold.program.Router` of a definition. Handlers for versions are made when such an event is met."""

    def __init__(self, plan: Plan, make: Make, decode: Decode | None) -> None:
        definition = plan.definition
        self._generated: dict[str, Generated] = {}
        self._plan = plan
        self._make = make
        self._type_place = definition.type
        self._type = place(definition.type, decode)
        self._version_place = definition.event_version or ""
        self._version = place(definition.event_version, decode) if definition.event_version else None
        self._versioned = {
            selector.name for rule in definition.rules for selector in rule.selectors if selector.op is not None
        }
        self._known: dict[tuple[str, tuple[int, ...]], Handler] = {}
        found = {name: self._handler(name, FIRST_VERSION) for name in self.names if name not in self._versioned}
        self.plain = {name: handler for name, handler in found.items() if handler is not None}

    @property
    def generated(self) -> Mapping[str, Generated]:
        """See Router."""
        return self._generated

    @property
    def names(self) -> list[str]:
        """Event types that some rule is for."""
        rules = self._plan.definition.rules
        return list(dict.fromkeys(selector.name for rule in rules for selector in rule.selectors))

    def type_of(self, record: Record) -> str | None:
        """See Router."""
        return event_type_of(self._type(record), self._type_place)

    def handler(self, event_type: str, record: Record) -> Handler | None:
        """See Router."""
        if event_type in self._versioned:
            return self._handler(event_type, self._version_of(record))
        return self.plain.get(event_type)

    def _handler(self, event_type: str, version: int) -> Handler | None:
        rules = self._plan.rules_of(event_type, version)
        if not rules:
            return None
        wanted = event_type, tuple(rule.index for rule in rules)
        if wanted not in self._known:
            self._known[wanted] = handler = self._make(event_type, rules)
            self._generated |= {generated.filename: generated for generated in handler.generated}
        return self._known[wanted]

    def _version_of(self, record: Record) -> int:
        return version_of(self._version(record) if self._version else None, self._version_place)


def event_type_of(found: Any, where: str) -> str | None:
    """The event type, by what stands at `where`. Raises EvalError where it is no text."""
    if found is None or type(found) is str:
        return found
    if type(found) is bytes:
        return found.decode(errors="replace")
    raise EvalError(f"{where} is no event type: it is missing or not text")


def version_of(found: Any, where: str) -> int:
    """The schema version, by what stands at `where`. Raises EvalError where it is no whole number."""
    if found is None or found is UNSET:
        return FIRST_VERSION
    text = found.decode(errors="replace") if type(found) is bytes else str(found)
    if not text.isdecimal():
        raise EvalError(f"{where} is no schema version: it is not a whole number")
    return int(text)


def place(where: str, decode: Decode | None) -> TextOf:
    """What reads `header.<name>` or `event.<field>`; `decode` makes a dict of a value (None: values are JSON)."""
    kind, name = where.split(".", 1)
    if kind == "header":
        return lambda record: header_of(record.headers(), name)
    read = field_decoder(name) if decode is None else lambda value: decode(value).get(name, UNSET)
    return lambda record: None if (value := record.value()) is None else read(value)
