"""A definition to a `Program`: parsed, checked, typed and compiled once, before any event."""

from collections.abc import Callable
from typing import Any

import msgspec

from projector.expr.errors import EvalError
from projector.fold.generate import function
from projector.fold.infer import ANYTHING, Field, fields, needs_whole
from projector.fold.plan import Plan, RulePlan, plan
from projector.fold.program import Decode, Handler, Program, TypeOf, decoded
from projector.fold.record import Record
from projector.fold.scope import UNSET, EventScope
from projector.spec.definition import Definition

__all__ = ["Program", "compile_definition"]


def compile_definition(definition: Definition) -> Program:
    """The program of a definition that has passed `projector.spec.checks`.

    Raises InvalidSpec where expressions do not parse or their types do not fit.
    """
    planned = plan(definition)
    names = dict.fromkeys(name for rule in definition.rules for name in rule.events)
    handlers = {name: _handler(planned, name) for name in names}
    return Program(definition, _type_of(definition.type), handlers)


def _handler(planned: Plan, event_type: str) -> Handler:
    rules = planned.rules_of(event_type)
    whole = needs_whole(rules)
    read = fields(rules)
    typed, untyped = (_tier(planned, rules, event_type, read, whole, is_typed) for is_typed in (True, False))
    return Handler(*typed, *untyped)


def _tier(
    planned: Plan, rules: tuple[RulePlan, ...], event_type: str, read: tuple[Field, ...], whole: bool, typed: bool
) -> tuple[Decode, Any]:
    attributes = {field.name: (f"f{number}", field) for number, field in enumerate(read)}
    scope = EventScope(event_type, attributes, typed, whole)
    decode = _decoder(dict[str, Any] if whole else _struct(attributes, typed))
    return decode, function(planned, rules, scope)


def _decoder(shape: Any) -> Decode:
    decode: Decode = msgspec.json.Decoder(shape).decode
    return decode


def _struct(attributes: dict[str, tuple[str, Field]], typed: bool) -> type[msgspec.Struct]:
    """Typed fields are required: where one is missing or of another type, the untyped struct takes over."""
    required: list[tuple[str, Any]] = []
    optional: list[tuple[str, Any, Any]] = []
    for attribute, field in attributes.values():
        if typed and field.want != ANYTHING:
            required.append((attribute, field.annotation))
        else:
            optional.append((attribute, Any, UNSET))
    rename = {attribute: name for name, (attribute, _) in attributes.items()}
    return msgspec.defstruct("Event", [*required, *optional], rename=rename, gc=False)


def _type_of(where: str) -> TypeOf:
    kind, name = where.split(".", 1)
    return _from_header(name) if kind == "header" else _from_field(name)


def _from_header(wanted: str) -> Callable[[Record], bytes | None]:
    def type_of(record: Record) -> bytes | None:
        found = None
        for name, content in record.headers() or ():
            if name == wanted:
                found = content
        return found

    return type_of


def _from_field(name: str) -> Callable[[Record], str | None]:
    decode = _decoder(msgspec.defstruct("Typed", [("type", Any, UNSET)], rename={"type": name}))

    def type_of(record: Record) -> str | None:
        value = record.value()
        if value is None:
            return None
        found = decoded(decode, value).type
        if type(found) is not str:
            raise EvalError(f"event.{name} is no event type: it is missing or not text")
        return found

    return type_of
