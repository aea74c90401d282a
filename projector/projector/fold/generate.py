"""One Python function per event type, made from its rules.

The function first works out every value, then changes `deltas`: an event that cannot be applied leaves no trace.
Each value stands on a line of its own, so that the line of an error tells which rule and column it belongs to.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC

from projector.expr.ast import Ast
from projector.expr.codegen import NAMESPACE, Fragment, condition, generate
from projector.expr.types import Type
from projector.fold import algebra, fit, record
from projector.fold.delta import Deltas, Kind
from projector.fold.plan import OPERATIONS, Assignment, Plan, RulePlan
from projector.fold.scope import UNSET, EventScope

Apply = Callable[[object, record.Record, Deltas], None]

_NAMES: dict[str, object] = {
    **NAMESPACE,
    "UNSET": UNSET,
    "UTC": UTC,
    "SET": Kind.SET,
    "ADD": Kind.ADD,
    "MIN": Kind.MIN,
    "MAX": Kind.MAX,
    "absorb": algebra.absorb,
    "erase": algebra.erase,
    "accumulate": algebra.accumulate,
    "instant": record.instant,
    "key_text": record.key_text,
    "header": record.header,
    "headers": record.headers,
    "required": fit.required,
    "utc": fit.utc,
    **{name.replace(" ", "_"): function for name, function in ((f"fit_{kind}", f) for kind, f in fit.FITS.items())},
}
_KIND_NAMES = {Kind.ADD: "ADD", Kind.MIN: "MIN", Kind.MAX: "MAX", Kind.SET: "SET"}
_WHY = {
    "key": "a key has a value",
    "increment": "an increment needs a number",
    "min": "min needs a value",
    "max": "max needs a value",
}


@dataclass(frozen=True, slots=True)
class Generated:
    """A function with its source; `sites` tells what each line (1-based) works out: `rule 0, key order_id`."""

    apply: Apply
    filename: str
    source: str
    sites: dict[int, str]


def function(plan: Plan, rules: tuple[RulePlan, ...], scope: EventScope) -> Generated:
    """The function for an event type's rules, in the given scope."""
    writer = _Writer(plan, scope)
    for rule in rules:
        writer.values(rule)
    for rule in rules:
        writer.merge(rule)
    filename = f"<rules of {scope.event_type}, {'typed' if scope.typed else 'untyped'}>"
    return writer.finish(filename)


class _Writer:
    def __init__(self, plan: Plan, scope: EventScope) -> None:
        self._plan = plan
        self._scope = scope
        self._lines = ["def apply(event, record, deltas):", "    at = None"]
        self._sites: dict[int, str] = {}

    def values(self, rule: RulePlan) -> None:
        """Lines that work out the rule's values."""
        depth = 1
        if rule.when is not None:
            self._line(1, f"hit{rule.index} = {self._condition(rule.when)}", f"rule {rule.index}, when")
            self._line(1, f"if hit{rule.index}:")
            depth = 2
        for number, assignment in enumerate((*rule.key, *rule.changes)):
            site = f"rule {rule.index}, {assignment.operation} {assignment.column}"
            self._line(depth, f"v{rule.index}_{number} = {self._value(assignment)}", site)

    def merge(self, rule: RulePlan) -> None:
        """Line that composes the rule's delta onto the deltas so far."""
        key = "".join(f"v{rule.index}_{number}, " for number in range(len(rule.key)))
        call = f"erase(deltas, ({key}))" if rule.delete else f"absorb(deltas, ({key}), {self._changes(rule)})"
        self._line(1, call if rule.when is None else f"if hit{rule.index}: {call}")

    def finish(self, filename: str) -> Generated:
        """Compile the lines."""
        if self._scope.uses_instant:
            self._lines[1] = "    at = instant(record)"
        source = "\n".join(self._lines) + "\n"
        namespace: dict[str, object] = {**_NAMES, **self._scope.constants}
        exec(compile(source, filename, "exec"), namespace)  # noqa: S102 - source made from checked trees only
        apply: Apply = namespace["apply"]  # type: ignore[assignment]  # defined by the source
        return Generated(apply, filename, source, self._sites)

    def _line(self, depth: int, text: str, site: str = "") -> None:
        self._lines.append("    " * depth + text)
        if site:
            self._sites[len(self._lines)] = site

    def _condition(self, tree: Ast) -> str:
        return condition(tree, self._scope)

    def _value(self, assignment: Assignment) -> str:
        value = generate(assignment.tree, self._scope)
        what = ascii(assignment.tree.text(assignment.tree.root))
        text = value.text
        if not _fits(value, assignment.type, self._scope.typed):
            text = f"fit_{assignment.type.replace(' ', '_')}({text}, {what})"
        if assignment.nullable or _never_null(value):
            return text
        return f"required({text}, {what}, {_WHY[assignment.operation]!r})"

    def _changes(self, rule: RulePlan) -> str:
        names = {
            change.column: f"v{rule.index}_{number}" for number, change in enumerate(rule.changes, start=len(rule.key))
        }
        kinds = {change.column: OPERATIONS[change.operation] for change in rule.changes}
        ops = ", ".join(f"{column!a}: ({_KIND_NAMES[kinds[column]]}, {name})" for column, name in names.items())
        if not rule.creates:
            return f"None, {{{ops}}}"
        created = {column: self._created(column, kinds[column], name) for column, name in names.items()}
        untouched = self._plan.accumulated.keys() - created.keys()
        created |= {column: self._scope.constant(self._plan.accumulated[column]) for column in sorted(untouched)}
        row = ", ".join(f"{column!a}: {text}" for column, text in created.items())
        return f"{{{row}}}, {{{ops}}}"

    def _created(self, column: str, kind: Kind, name: str) -> str:
        default = self._plan.accumulated.get(column)
        if kind is Kind.SET or default is None or (default == 0 and type(default) is int and kind is Kind.ADD):
            return name
        return f"accumulate({_KIND_NAMES[kind]}, {self._scope.constant(default)}, {name})"


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
