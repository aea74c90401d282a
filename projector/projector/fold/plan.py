"""Rules with their expressions parsed and checked against the columns: what code is generated from."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from projector.expr.ast import Ast, Name, Node, children
from projector.expr.check import CONDITION, NONE, Expected, Variables, check, element
from projector.expr.errors import ExprError
from projector.expr.parse import parse
from projector.expr.types import Type
from projector.fold import algebra
from projector.fold.columns import KINDS, Columns
from projector.fold.delta import AnyDelta, Key, Kind, Parked, ParkedEvent
from projector.fold.folded import Folded
from projector.fold.record import Record
from projector.spec.definition import Definition
from projector.spec.models import Rule
from projector.spec.problems import InvalidSpec, Problem
from projector.spec.selectors import TOMBSTONE

OPERATIONS = tuple(KINDS)
"""Operations of a rule that change columns."""


@dataclass(frozen=True, slots=True, eq=False)
class Assignment:
    """A column's value. `operation` is `key`, `guard` or one of `OPERATIONS`; `type` is the column's.

    With `instant`, the value is the record's timestamp as the log has it; with `of_list`, it must be a list or null.
    """

    operation: str
    column: str
    type: str
    tree: Ast
    instant: bool = False
    of_list: bool = False

    @property
    def nullable(self) -> bool:
        """Whether null is a value here."""
        return self.operation == "set"

    @property
    def kind(self) -> Kind:
        """How it changes its column."""
        return KINDS[self.operation]


@dataclass(frozen=True, slots=True)
class RulePlan:
    """One rule: `key` in the order of the definition's key; `guard` where the ordering is Guarded."""

    index: int
    for_each: Ast | None
    when: Ast | None
    key: tuple[Assignment, ...]
    changes: tuple[Assignment, ...]
    guard: Assignment | None
    delete: bool
    on_missing: str

    @property
    def assignments(self) -> tuple[Assignment, ...]:
        """Everything that has a value."""
        return (*self.key, *self.changes, *([self.guard] if self.guard else []))

    @property
    def value_names(self) -> list[str]:
        """Locals of generated code that hold the values."""
        return [f"v{self.index}_{number}" for number in range(len(self.assignments))]

    @property
    def trees(self) -> tuple[Ast, ...]:
        """All expressions."""
        first = tuple(tree for tree in (self.for_each, self.when) if tree is not None)
        return (*first, *(assignment.tree for assignment in self.assignments))


@dataclass(frozen=True, slots=True)
class Plan:
    """All rules."""

    definition: Definition
    rules: tuple[RulePlan, ...]
    columns: Columns

    def rules_of(self, event_type: str, version: int) -> tuple[RulePlan, ...]:
        """Rules for events of a type and schema version, in order."""
        return tuple(
            rule
            for rule in self.rules
            if any(
                selector.name == event_type and selector.matches(version)
                for selector in self.definition.rules[rule.index].selectors
            )
        )

    def follow(self, folded: Folded, key: Key, change: AnyDelta, record: Record) -> None:
        """`projector.fold.algebra.follow` for these columns."""
        algebra.follow(self.columns, folded, key, change, record)

    def park(self, folded: Folded, keys: Mapping[Key, str], record: Record) -> None:
        """Keep an event aside under each of `keys`, with the reason for it."""
        for key, reason in keys.items():
            self.follow(folded, key, Parked(None, [ParkedEvent(record, reason)]), record)


def plan(definition: Definition) -> Plan:
    """Parse and check every expression of a definition. Raises InvalidSpec with all problems found.

    The definition has passed `projector.spec.checks`; only its expressions are looked at here.
    """
    planner = _Planner(definition)
    rules = tuple(planner.rule(index, rule) for index, rule in enumerate(definition.rules))
    if planner.problems:
        raise InvalidSpec(tuple(planner.problems))
    return Plan(definition, rules, planner.columns)


def plan_handler(definition: Definition) -> tuple[Plan, Assignment | None]:
    """The plan of a definition that has a handler, and its guard. Raises InvalidSpec where that is not right."""
    planner = _Planner(definition)
    guard = planner.guard()
    if planner.problems:
        raise InvalidSpec(tuple(planner.problems))
    return Plan(definition, (), planner.columns), guard


class _Planner:
    def __init__(self, definition: Definition) -> None:
        self.columns = Columns.of(definition)
        self.problems: list[Problem] = []
        self._definition = definition
        self._types = {column.name: column.type for column in definition.columns}
        self._instants = {
            name for name, instant in zip(self.columns.names, self.columns.instants, strict=True) if instant
        }
        self._appended = {
            name for name, kind in zip(self.columns.names, self.columns.kinds, strict=True) if kind is Kind.APPEND
        }
        self._variables: Variables = NONE

    def rule(self, index: int, rule: Rule) -> RulePlan:
        path = f"spec.rules[{index}]"
        for_each = self._optional(f"{path}.forEach", rule.for_each, LISTED)
        if for_each is not None:
            self._variables = {"item": element(for_each)}
        when = self._optional(f"{path}.when", rule.when, CONDITION)
        keys = [self._assignment(path, "key", column, rule.key[column]) for column in self._definition.key]
        changes = [
            self._assignment(path, operation, column, text)
            for operation in OPERATIONS
            for column, text in (getattr(rule, operation) or {}).items()
        ]
        guard = self.guard()
        self._variables = NONE
        planned = RulePlan(
            index,
            for_each,
            when,
            tuple(filter(None, keys)),
            tuple(filter(None, changes)),
            guard,
            rule.delete,
            rule.on_missing,
        )
        if any(selector.tombstone for selector in rule.selectors):
            self._without_event(path, planned)
        return planned

    def _assignment(self, path: str, operation: str, column: str, text: str) -> Assignment | None:
        kind = self._types[column]
        tree = self._tree(f"{path}.{operation}.{column}", text, expected(column, kind, operation))
        if tree is None:
            return None
        instant = operation != "key" and column in self._instants
        return Assignment(operation, column, kind, tree, instant, operation == "set" and column in self._appended)

    def guard(self) -> Assignment | None:
        """What orders the events of a row, where the ordering is Guarded."""
        by = self._definition.ordering.by
        if by is None:
            return None
        tree = self._tree("spec.ordering.by", by, Expected(frozenset({Type.INT}), "a guard is int"))
        return Assignment("guard", "", "bigint", tree) if tree else None

    def _without_event(self, path: str, rule: RulePlan) -> None:
        for tree in rule.trees:
            for node in _nodes(tree.root):
                if isinstance(node, Name) and node.name == "event":
                    message = f"`{tree.text(tree.root)}` reads the event, but a {TOMBSTONE} has none: use meta"
                    self.problems.append(Problem(path, message))

    def _optional(self, path: str, text: str | None, wanted: Expected) -> Ast | None:
        return None if text is None else self._tree(path, text, wanted)

    def _tree(self, path: str, text: str, wanted: Expected) -> Ast | None:
        try:
            tree = parse(text)
            check(tree, wanted, self._variables)
        except ExprError as error:
            self.problems.append(Problem(path, error.message, error.position))
            return None
        return tree


def _nodes(node: Node) -> Iterable[Node]:
    yield node
    for child in children(node):
        yield from _nodes(child)


LISTED = Expected(frozenset({Type.LIST}), "forEach takes a list")


def expected(column: str, kind: str, operation: str) -> Expected:
    """What a column takes of an expression."""
    if operation == "append":
        return Expected(_JSON | {Type.NULL}, f"an element of column `{column}` is JSON", _JSON_HINTS)
    accepts, hints = _ACCEPTS[kind]
    if operation == "set":
        accepts |= {Type.NULL}
    return Expected(accepts, f"column `{column}` is {kind}", hints)


_INTEGER = frozenset({Type.INT}), ((Type.DOUBLE, "use int()"), (Type.STRING, "use int()"))
_PARSED = frozenset({Type.STRING})
_JSON = frozenset({Type.STRING, Type.INT, Type.DOUBLE, Type.BOOL, Type.LIST, Type.MAP})
_JSON_HINTS = ((Type.TIMESTAMP, "use string()"), (Type.DURATION, "use string()"))
_TO_TEXT = tuple((kind, "use string()") for kind in (Type.INT, Type.DOUBLE, Type.BOOL, Type.TIMESTAMP, Type.DURATION))
_ACCEPTS: dict[str, tuple[frozenset[Type], tuple[tuple[Type, str], ...]]] = {
    "text": (_PARSED, _TO_TEXT),
    "smallint": _INTEGER,
    "integer": _INTEGER,
    "bigint": _INTEGER,
    "numeric": (frozenset({Type.INT, Type.DOUBLE}), ((Type.STRING, "use double()"),)),
    "double precision": (frozenset({Type.DOUBLE}), ((Type.INT, "use double()"), (Type.STRING, "use double()"))),
    "boolean": (frozenset({Type.BOOL}), ()),
    "timestamptz": (frozenset({Type.TIMESTAMP, Type.STRING}), ((Type.INT, "use timestamp()"),)),
    "date": (_PARSED, ()),
    "uuid": (_PARSED, ()),
    "jsonb": (_JSON, _JSON_HINTS),
}
