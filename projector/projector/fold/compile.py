"""A definition to a `Program`: parsed, checked, typed and compiled once, before any event."""

from typing import Any

from projector.fold import decode as decoding
from projector.fold.decode import Attributes, Decode
from projector.fold.generate import Apply, apply_function, keys_function
from projector.fold.handled import HandlerProgram
from projector.fold.handler_code import function_of
from projector.fold.infer import fields, needs_whole
from projector.fold.loops import by_field, by_header, one_by_one
from projector.fold.plan import Plan, RulePlan, plan
from projector.fold.program import Alone, Handler, Loop, Program, RuleProgram
from projector.fold.routes import Routes
from projector.fold.scope import EventScope
from projector.spec.definition import Definition
from projector.spec.selectors import TOMBSTONE

__all__ = ["Program", "compile_definition"]


def compile_definition(definition: Definition, decode: Decode | None = None) -> Program:
    """The program of a definition that has passed `projector.spec.checks`.

    `decode` makes a dict of a record's value, and raises EvalError where it cannot; None: values are JSON. Raises
    InvalidSpec where expressions do not parse or their types do not fit, and where a handler cannot be imported: this
    runs the code of its module.
    """
    if definition.handler is not None:
        return HandlerProgram(definition, function_of(definition.handler), decode)
    planned = plan(definition)
    compiler = _Compiler(planned, decode)
    routes = Routes(planned, compiler.handler, decode)
    return RuleProgram(planned, routes.names, routes, compiler.loop(routes))


class _Compiler:
    def __init__(self, planned: Plan, decode: Decode | None) -> None:
        self._plan = planned
        self._decode = decode
        kind, name = planned.definition.type.split(".", 1)
        self._header = name if kind == "header" else None
        self._tag = name if kind == "event" else None
        self._classes: dict[str, type] = {}

    def handler(self, event_type: str, rules: tuple[RulePlan, ...]) -> Handler:
        """What rules do with events of a type."""
        whole = self._decode is not None or needs_whole(rules)
        given = decoding.attributes(fields(rules))
        shape: Any = dict[str, Any] if whole else decoding.open_struct(given)
        untyped = EventScope(event_type, given, typed=False, whole=whole)
        return Handler(
            fast=None if self._decode or event_type == TOMBSTONE else self._fast(event_type, rules, given, whole),
            decode=self._decode or decoding.careful(shape),
            careful=apply_function(self._plan, rules, untyped.fresh()),
            alone=tuple(self._alone(rule, untyped) for rule in rules),
            empty={} if whole else shape(),
        )

    def _fast(self, event_type: str, rules: tuple[RulePlan, ...], given: Attributes, whole: bool) -> Any:
        """The typed way; with the type in a field of the event, only where the class can be told by it."""
        scope = EventScope(event_type, given, typed=True, whole=whole, type_field=self._tag)
        if whole:
            return (decoding.fast(dict[str, Any]), apply_function(self._plan, rules, scope)) if self._header else None
        shape = decoding.typed_struct(event_type, given, self._tag)
        self._classes[event_type] = shape
        return decoding.fast(shape), apply_function(self._plan, rules, scope)

    def _alone(self, rule: RulePlan, scope: EventScope) -> Alone:
        return Alone(apply_function(self._plan, (rule,), scope.fresh()), keys_function(self._plan, rule, scope.fresh()))

    def loop(self, routes: Routes) -> Loop:
        """The loop over records."""
        fast: dict[str, tuple[Decode, Apply]] = {
            name: (handler.fast[0], handler.fast[1].call) for name, handler in routes.plain.items() if handler.fast
        }
        if self._header:
            return by_header(self._header, {name.encode(): found for name, found in fast.items()})
        classes = {name: self._classes[name] for name in fast if name in self._classes}
        if self._tag is None or not classes:
            return one_by_one
        return by_field(
            decoding.one_of(self._tag, classes.values()), {classes[name]: fast[name][1] for name in classes}
        )
