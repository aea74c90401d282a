"""Which fields the rules of an event type read, and what type each may be decoded as at once.

A type is inferred where every use of the field wants the same one. An event whose fields are of other types, or are
missing, is decoded again without types; so inference decides about speed only, never about the result.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec

from projector.expr import ast
from projector.expr.check import infer
from projector.expr.codegen import event_field
from projector.expr.literals import INT64_MAX, INT64_MIN
from projector.expr.types import Type
from projector.fold.plan import Assignment, RulePlan
from projector.spec.values import INT_RANGES


@dataclass(frozen=True, slots=True)
class Want:
    """What one use makes of a field: DYN is everything. `column` is the type of the column that takes it as it is."""

    type: Type
    column: str = ""
    nullable: bool = False


@dataclass(frozen=True, slots=True)
class Field:
    """A field to decode: `annotation` for msgspec; `want` is what all uses agree on."""

    name: str
    annotation: Any
    want: Want


ANYTHING = Want(Type.DYN)

_COLUMN_WANTS: dict[str, tuple[Type, Any]] = {
    "text": (Type.STRING, str),
    **{name: (Type.INT, Annotated[int, msgspec.Meta(ge=low, le=high)]) for name, (low, high) in INT_RANGES.items()},
    "double precision": (Type.DOUBLE, float),
    "boolean": (Type.BOOL, bool),
    "timestamptz": (Type.TIMESTAMP, Annotated[datetime, msgspec.Meta(tz=True)]),
    "date": (Type.DYN, date),
    "uuid": (Type.DYN, UUID),
}
_TYPE_ANNOTATIONS: dict[Type, Any] = {
    Type.INT: Annotated[int, msgspec.Meta(ge=INT64_MIN, le=INT64_MAX)],
    Type.STRING: str,
    Type.BOOL: bool,
}
_TEXT_METHODS = frozenset({"startsWith", "endsWith", "contains", "matches", "trim", "lowerAscii", "upperAscii"})


def needs_whole(rules: Iterable[RulePlan]) -> bool:
    """Whether some expression uses the event as a whole, so that all of it is decoded."""
    return any(_whole(tree.root) for tree in _trees(rules))


def fields(rules: Iterable[RulePlan]) -> tuple[Field, ...]:
    """The fields that the rules read, by name."""
    rules = tuple(rules)
    wants: dict[str, list[Want]] = {}
    for rule in rules:
        for name, want in _rule_wants(rule):
            wants.setdefault(name, []).append(want)
    return tuple(_field(name, uses) for name, uses in sorted(wants.items()))


def _trees(rules: Iterable[RulePlan]) -> Iterator[ast.Ast]:
    return (tree for rule in rules for tree in rule.trees)


def _whole(node: ast.Node) -> bool:
    if event_field(node) is not None:
        return False
    if isinstance(node, ast.Has) and isinstance(node.operand, ast.Name):
        return False
    return (isinstance(node, ast.Name) and node.name == "event") or any(map(_whole, ast.children(node)))


def _rule_wants(rule: RulePlan) -> Iterator[tuple[str, Want]]:
    if rule.when:
        yield from _Uses(rule.when).of(rule.when.root, Type.BOOL)
    if rule.for_each:
        yield from _Uses(rule.for_each).of(rule.for_each.root, None)
    for assignment in rule.assignments:
        yield from _assignment_wants(assignment)


def _assignment_wants(assignment: Assignment) -> Iterator[tuple[str, Want]]:
    kind, _ = _COLUMN_WANTS.get(assignment.type, (Type.DYN, None))
    name = event_field(assignment.tree.root)
    if name is None:
        # No hint of double: an int would silently become one on the way into an operator.
        yield from _Uses(assignment.tree).of(assignment.tree.root, kind if kind in _TYPE_ANNOTATIONS else None)
    elif assignment.type in _COLUMN_WANTS and assignment.operation != "append":
        yield name, Want(kind, assignment.type, assignment.nullable)
    else:
        yield name, ANYTHING


def _field(name: str, uses: list[Want]) -> Field:
    want = uses[0]
    for use in uses[1:]:
        want = _agreed(want, use)
    if want.column:
        annotation = _COLUMN_WANTS[want.column][1]
        return Field(name, annotation | None if want.nullable else annotation, want)
    if want.type in _TYPE_ANNOTATIONS:
        return Field(name, _TYPE_ANNOTATIONS[want.type], want)
    return Field(name, Any, ANYTHING)


def _agreed(left: Want, right: Want) -> Want:
    nullable = left.nullable and right.nullable
    if left.column == right.column:
        return Want(left.type, left.column, nullable) if left.type is right.type else ANYTHING
    if left.type is not right.type or left.type not in _TYPE_ANNOTATIONS:
        return ANYTHING
    return Want(left.type)


class _Uses:
    """Uses of fields in one expression; `hint` is the type that the place of a node wants, if it is known."""

    def __init__(self, tree: ast.Ast) -> None:
        self._tree = tree

    def of(self, node: ast.Node, hint: Type | None) -> Iterator[tuple[str, Want]]:
        if (name := event_field(node)) is not None:
            yield name, Want(hint) if hint in _TYPE_ANNOTATIONS else ANYTHING
        elif isinstance(node, ast.Has) and isinstance(node.operand, ast.Name):
            if node.operand.name == "event":
                yield node.field, ANYTHING
        else:
            for child, child_hint in self._children(node, hint):
                yield from self.of(child, child_hint)

    def _children(self, node: ast.Node, hint: Type | None) -> Iterator[tuple[ast.Node, Type | None]]:
        match node:
            case ast.Arithmetic(left=left, right=right) | ast.Compare(left=left, right=right):
                inner = hint if isinstance(node, ast.Arithmetic) else None
                yield left, self._known(right) or inner
                yield right, self._known(left) or inner
            case ast.Logic() | ast.Not():
                yield from ((child, Type.BOOL) for child in ast.children(node))
            case ast.Negate(operand=operand):
                yield operand, hint
            case ast.Ternary(condition=condition, then=then, otherwise=otherwise):
                yield from ((condition, Type.BOOL), (then, hint), (otherwise, hint))
            case ast.Call(function=function) if function in _TEXT_METHODS:
                yield from ((child, Type.STRING) for child in ast.children(node))
            case _:
                yield from ((child, None) for child in ast.children(node))

    def _known(self, node: ast.Node) -> Type | None:
        found = infer(self._tree, node)
        return None if found is Type.DYN else found
