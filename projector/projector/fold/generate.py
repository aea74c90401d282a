"""Python functions made from the rules of an event type.

A function first works out every value, then changes the deltas: an event that cannot be applied leaves no trace.
Each value stands on a line of its own, so that the line of an error tells which rule and column it belongs to.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from projector.expr.codegen import NAMESPACE, Fragment, condition, generate
from projector.expr.types import Type
from projector.fold import algebra, delta, fit, record
from projector.fold.folded import Folded
from projector.fold.merges import Merge
from projector.fold.plan import Assignment, Plan, RulePlan
from projector.fold.scope import UNSET, EventScope

Apply = Callable[[object, record.Record, Folded], None]
"""Composes what an event does onto what the batch has. Raises EvalError; then the batch is as it was."""

KeysOf = Callable[[object, record.Record], list[delta.Key]]
"""The row keys of a rule. Raises EvalError."""

_NAMES: dict[str, object] = {
    **NAMESPACE,
    "UNSET": UNSET,
    **{kind.name: kind for kind in delta.Kind},
    "ERASED": algebra.ERASED,
    "exact_add": algebra.EXACT.add,
    **{kind.__name__: kind for kind in (delta.Delta, delta.Update, delta.Forked, delta.ParkedEvent)},
    **{name: getattr(record, name) for name in ("instant", "moment", "key_text", "header", "headers")},
    **{name: getattr(fit, name) for name in ("required", "utc", "own_list", "items")},
    **{f"fit_{kind}".replace(" ", "_"): function for kind, function in fit.FITS.items()},
}
WHY = {
    "key": "a key has a value",
    "increment": "an increment needs a number",
    "min": "min needs a value",
    "max": "max needs a value",
    "guard": "the guard of an ordering has a value",
}
_FIRST = 3
"""Lines before those of the rules."""
_CHECK_INSTANT = f"at = at if kind and {record.FIRST_MS} <= at <= {record.LAST_MS} else missing('meta.timestamp')"


@dataclass(frozen=True, slots=True)
class Generated:
    """A function with its source; `sites` tells what each line (1-based) works out: `rule 0, key order_id`."""

    call: Any
    filename: str
    source: str
    sites: dict[int, str]


def apply_function(plan: Plan, rules: tuple[RulePlan, ...], scope: EventScope) -> Generated:
    """An `Apply` for rules of one event type, in the given scope."""
    writer = _Writer(plan, scope, "def apply(event, record, folded):")
    for rule in rules:
        writer.values(rule)
    writer.line(1, "deltas = folded.deltas")
    for rule in rules:
        writer.merge(rule)
    return writer.finish("apply")


def keys_function(plan: Plan, rule: RulePlan, scope: EventScope) -> Generated:
    """A `KeysOf` for one rule."""
    writer = _Writer(plan, scope, "def keys(event, record):")
    writer.line(1, "found = []")
    depth = writer.loop(rule)
    for number, assignment in enumerate(rule.key):
        writer.value(depth, rule, f"k{number}", assignment)
    key = "".join(f"k{number}, " for number in range(len(rule.key)))
    writer.line(depth, f"found.append(({key}))")
    writer.line(1, "return found")
    return writer.finish("keys")


def guard_function(plan: Plan, guard: Assignment, scope: EventScope) -> Generated:
    """A function of event and record that gives the guard, for handlers. Raises EvalError."""
    writer = _Writer(plan, scope, "def guard(event, record):")
    writer.result(guard)
    return writer.finish("guard")


class _Writer:
    def __init__(self, plan: Plan, scope: EventScope, head: str) -> None:
        self._plan = plan
        self._scope = scope
        self._lines: list[str] = []
        self._sites: dict[int, str] = {}
        self._head = head

    def values(self, rule: RulePlan) -> None:
        """Lines that work out the rule's values."""
        if rule.for_each is not None:
            self.line(1, f"rows{rule.index} = []")
        depth = self.loop(rule)
        if rule.when is not None:
            self.line(depth, f"hit{rule.index} = {condition(rule.when, self._scope)}", f"rule {rule.index}, when")
            self.line(depth, f"if hit{rule.index}:")
            depth += 1
        instants = [assignment for assignment in rule.assignments if assignment.instant]
        if instants:
            self._scope.uses_milliseconds = True
            self.line(depth, _CHECK_INSTANT, _site(rule, instants[0]))
        names = rule.value_names
        for name, assignment in zip(names, rule.assignments, strict=True):
            self.value(depth, rule, name, assignment)
        if rule.for_each is not None:
            self.line(depth, f"rows{rule.index}.append(({', '.join(names)},))")

    def loop(self, rule: RulePlan) -> int:
        """The head of a loop over the rule's items, if it has any; how deep what follows stands."""
        if rule.for_each is None:
            return 1
        what = ascii(rule.for_each.text(rule.for_each.root))
        items = generate(rule.for_each, self._scope)
        self.line(1, f"for item in items({items.text}, {what}):", f"rule {rule.index}, forEach")
        return 2

    def value(self, depth: int, rule: RulePlan, name: str, assignment: Assignment) -> None:
        """Line that works out one value."""
        self.line(depth, f"{name} = {self._value(assignment)}", _site(rule, assignment))

    def result(self, assignment: Assignment) -> None:
        """Line that returns one value."""
        self.line(1, f"return {self._value(assignment)}")

    def merge(self, rule: RulePlan) -> None:
        """Lines that compose the rule's change onto the deltas so far."""
        depth = 1
        if rule.for_each is not None:
            self.line(1, f"for {', '.join(rule.value_names)}, in rows{rule.index}:")
            depth = 2
        elif rule.when is not None:
            self.line(1, f"if hit{rule.index}:")
            depth = 2
        for text in Merge(self._plan, rule).lines():
            self.line(depth, text)

    def finish(self, name: str) -> Generated:
        """Compile the lines."""
        # One line more or less must not move the sites of the others.
        first = [
            "now = instant(record)" if self._scope.uses_instant else "",
            "kind, at = record.timestamp()" if self._scope.uses_milliseconds else "",
        ]
        source = "\n".join([self._head, *(f"    {line}" for line in first), *self._lines]) + "\n"
        filename = f"<{name} of {self._scope.event_type} {id(self):x}>"
        namespace: dict[str, object] = {**_NAMES, "follow": self._plan.follow, **self._scope.constants}
        exec(compile(source, filename, "exec"), namespace)  # noqa: S102 - source made from checked trees only
        return Generated(namespace[name], filename, source, self._sites)

    def line(self, depth: int, text: str, site: str = "") -> None:
        """Add a line; `site` says what it works out."""
        self._lines.append("    " * depth + text)
        if site:
            self._sites[_FIRST + len(self._lines)] = site

    def _value(self, assignment: Assignment) -> str:
        if assignment.instant:
            return "at"
        value = generate(assignment.tree, self._scope)
        what = ascii(assignment.tree.text(assignment.tree.root))
        text = value.text
        if assignment.operation == "append":
            return f"fit_jsonb({text}, {what})"
        if not _fits(value, assignment.type, self._scope.typed):
            text = f"fit_{assignment.type.replace(' ', '_')}({text}, {what})"
        if assignment.of_list:
            return f"own_list({text}, {what})"
        if assignment.nullable or _never_null(value):
            return text
        return f"required({text}, {what}, {WHY[assignment.operation]!r})"


def _site(rule: RulePlan, assignment: Assignment) -> str:
    return f"rule {rule.index}, {assignment.operation} {assignment.column}".rstrip()


def _fits(value: Fragment, column_type: str, typed: bool) -> bool:
    """Whether a value needs no look at fold time. NUL in text sends an event to the untyped function."""
    if value.ready == column_type:
        return True
    if value.nullable:
        return False
    if column_type == "text":
        return value.type is Type.STRING and typed and "\\x00" not in value.text
    return value.type is _SAME.get(column_type)


_SAME = {"bigint": Type.INT, "boolean": Type.BOOL, "timestamptz": Type.TIMESTAMP}


def _never_null(value: Fragment) -> bool:
    return (value.type not in (Type.DYN, Type.NULL) or bool(value.ready)) and not value.nullable
