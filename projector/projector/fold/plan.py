"""Rules with their expressions parsed and checked against the columns: what code is generated from."""

from collections.abc import Iterable
from dataclasses import dataclass

from projector.expr.ast import Ast
from projector.expr.check import CONDITION, Expected, check
from projector.expr.errors import ExprError
from projector.expr.parse import parse
from projector.expr.types import Type
from projector.fold.delta import Kind, Row
from projector.spec.definition import Definition
from projector.spec.models import Column, Rule
from projector.spec.problems import InvalidSpec, Problem
from projector.spec.values import default_value

OPERATIONS: dict[str, Kind] = {"set": Kind.SET, "increment": Kind.ADD, "min": Kind.MIN, "max": Kind.MAX}


@dataclass(frozen=True, slots=True)
class Assignment:
    """A column's value. `operation` is `key`, `set`, `increment`, `min` or `max`; `type` the column's type."""

    operation: str
    column: str
    type: str
    tree: Ast

    @property
    def nullable(self) -> bool:
        """Whether null is a value here."""
        return self.operation == "set"


@dataclass(frozen=True, slots=True)
class RulePlan:
    """One rule: `key` in the order of the definition's key."""

    index: int
    when: Ast | None
    key: tuple[Assignment, ...]
    changes: tuple[Assignment, ...]
    delete: bool
    creates: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """All rules; `accumulated` gives the defaults, other than NULL, of columns that some rule accumulates."""

    definition: Definition
    rules: tuple[RulePlan, ...]
    defaults: Row
    accumulated: Row

    def rules_of(self, event_type: str) -> tuple[RulePlan, ...]:
        """Rules for an event type, in order."""
        return tuple(rule for rule in self.rules if event_type in self.definition.rules[rule.index].events)


def plan(definition: Definition) -> Plan:
    """Parse and check every expression of a definition. Raises InvalidSpec with all problems found.

    The definition has passed `projector.spec.checks`; only its expressions are looked at here.
    """
    planner = _Planner(definition.columns)
    rules = tuple(planner.rule(index, rule, definition.key) for index, rule in enumerate(definition.rules))
    if planner.problems:
        raise InvalidSpec(tuple(planner.problems))
    defaults: Row = {
        column.name: default_value(column) for column in definition.columns if column.name not in definition.key
    }
    accumulating = {change.column for rule in rules for change in rule.changes if change.operation != "set"}
    accumulated: Row = {name: value for name, value in defaults.items() if name in accumulating and value is not None}
    return Plan(definition, rules, defaults, accumulated)


class _Planner:
    def __init__(self, columns: Iterable[Column]) -> None:
        self._types = {column.name: column.type for column in columns}
        self.problems: list[Problem] = []

    def rule(self, index: int, rule: Rule, key: tuple[str, ...]) -> RulePlan:
        path = f"spec.rules[{index}]"
        when = self._tree(f"{path}.when", rule.when, CONDITION) if rule.when is not None else None
        keys = [self._assignment(path, "key", column, rule.key[column]) for column in key]
        changes = [
            self._assignment(path, operation, column, text)
            for operation in OPERATIONS
            for column, text in (getattr(rule, operation) or {}).items()
        ]
        creates = rule.on_missing == "Create"
        return RulePlan(index, when, tuple(filter(None, keys)), tuple(filter(None, changes)), rule.delete, creates)

    def _assignment(self, path: str, operation: str, column: str, text: str) -> Assignment | None:
        kind = self._types[column]
        tree = self._tree(f"{path}.{operation}.{column}", text, expected(column, kind, operation))
        return Assignment(operation, column, kind, tree) if tree else None

    def _tree(self, path: str, text: str, wanted: Expected) -> Ast | None:
        try:
            tree = parse(text)
            check(tree, wanted)
        except ExprError as error:
            self.problems.append(Problem(path, error.message, error.position))
            return None
        return tree


def expected(column: str, kind: str, operation: str) -> Expected:
    """What a column takes of an expression."""
    accepts, hints = _ACCEPTS[kind]
    if operation == "set":
        accepts |= {Type.NULL}
    return Expected(accepts, f"column `{column}` is {kind}", hints)


_INTEGER = frozenset({Type.INT}), ((Type.DOUBLE, "use int()"), (Type.STRING, "use int()"))
_PARSED = frozenset({Type.STRING})
_JSON = frozenset({Type.STRING, Type.INT, Type.DOUBLE, Type.BOOL, Type.LIST, Type.MAP})
_TO_TEXT = tuple((kind, "use string()") for kind in (Type.INT, Type.DOUBLE, Type.BOOL, Type.TIMESTAMP))
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
    "jsonb": (_JSON, ((Type.TIMESTAMP, "use string()"),)),
}
