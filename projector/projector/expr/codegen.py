"""Syntax tree to Python source. Where types are sure the source is plain Python; else it calls `expr.runtime`.

The fragments are total: whatever the event holds, they give the value that the language says, or raise EvalError.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from projector.expr import ast, convert, runtime
from projector.expr.check import LITERAL_TYPES, is_meta
from projector.expr.literals import INT64_MAX, INT64_MIN
from projector.expr.types import NUMBERS, Type


@dataclass(frozen=True, slots=True)
class Fragment:
    """Python source of a value. `type` is sure at run time, or DYN; `fails` says whether it can raise EvalError.

    `ready` names a column type that takes the value as it is; `nullable` says that it may be None besides.
    """

    text: str
    type: Type = Type.DYN
    fails: bool = True
    ready: str = ""
    nullable: bool = False


class Scope(Protocol):
    """Where generated code finds the event, its metadata and constants."""

    def event(self) -> Fragment:
        """The whole event, as a dict."""
        ...

    def field(self, name: str) -> Fragment:
        """A field of the event; the source raises EvalError where it is missing."""
        ...

    def has_field(self, name: str) -> str:
        """Source of whether the event has a field."""
        ...

    def meta(self, name: str) -> Fragment:
        """A field of `meta`."""
        ...

    def header(self, name: str) -> Fragment:
        """A header by its name."""
        ...

    def constant(self, value: object) -> str:
        """Name under which generated code finds a value."""
        ...

    def temporary(self) -> str:
        """A fresh local name."""
        ...


NAMESPACE: dict[str, object] = {
    **{
        name: getattr(runtime, name)
        for name in (
            "missing",
            "overflow",
            "select",
            "has",
            "index",
            "add",
            "subtract",
            "multiply",
            "divide",
            "modulo",
            "negate",
            "truth",
            "both",
            "either",
            "equals",
            "compare",
            "within",
        )
    },
    **{
        name: getattr(convert, name)
        for name in (
            "size",
            "to_int",
            "to_double",
            "to_string",
            "to_timestamp",
            "starts_with",
            "ends_with",
            "contains",
        )
    },
}
"""Names that generated source uses."""

_FUNCTIONS: dict[str, tuple[str, Type]] = {
    "size": ("size", Type.INT),
    "int": ("to_int", Type.INT),
    "double": ("to_double", Type.DOUBLE),
    "string": ("to_string", Type.STRING),
    "timestamp": ("to_timestamp", Type.TIMESTAMP),
    "startsWith": ("starts_with", Type.BOOL),
    "endsWith": ("ends_with", Type.BOOL),
    "contains": ("contains", Type.BOOL),
}
_ARITHMETIC = {"+": "add", "-": "subtract", "*": "multiply", "/": "divide", "%": "modulo"}
_PLAIN_SCALARS = frozenset({Type.INT, Type.DOUBLE, Type.STRING, Type.BOOL, Type.TIMESTAMP})


def generate(tree: ast.Ast, scope: Scope) -> Fragment:
    """Source of a checked expression."""
    return _Generator(tree, scope).of(tree.root)


def condition(tree: ast.Ast, scope: Scope) -> str:
    """Source of a checked expression that must be true or false."""
    generator = _Generator(tree, scope)
    return generator.as_bool(tree.root, generator.of(tree.root))


def event_field(node: ast.Node) -> str | None:
    """The field's name where a node is `event.name` or `event["name"]`, and JSON writes the name as it is."""
    match node:
        case ast.Select(operand=ast.Name(name="event"), field=name):
            return name
        case ast.Index(operand=ast.Name(name="event"), index=ast.Literal(value=str(name))) if name.isidentifier():
            return name
        case _:
            return None


class _Generator:
    def __init__(self, tree: ast.Ast, scope: Scope) -> None:
        self._tree = tree
        self._scope = scope

    def of(self, node: ast.Node) -> Fragment:
        return _SOURCES[type(node)](self, node)

    def name(self, _node: ast.Name) -> Fragment:
        return self._scope.event()

    def list_of(self, node: ast.ListOf) -> Fragment:
        values = [self.of(item) for item in node.items]
        text = ", ".join(value.text for value in values)
        return Fragment(f"[{text}]", Type.LIST, any(value.fails for value in values))

    def negation(self, node: ast.Not) -> Fragment:
        value = self.of(node.operand)
        return Fragment(f"(not {self.as_bool(node.operand, value)})", Type.BOOL, _may_fail_as_bool(value))

    def as_bool(self, node: ast.Node, value: Fragment) -> str:
        return value.text if value.type is Type.BOOL else f"truth({value.text}, {self._what(node)})"

    def _what(self, node: ast.Node) -> str:
        return ascii(self._tree.text(node))

    def _names(self, left: ast.Node, right: ast.Node, whole: ast.Node) -> str:
        text = self._tree.text
        return self._scope.constant(runtime.Operands(text(left), text(right), text(whole)))

    def literal(self, node: ast.Literal) -> Fragment:
        value = node.value
        text = f"({value!r})" if isinstance(value, int | float) else ascii(value)
        return Fragment(text, LITERAL_TYPES[type(value)], fails=False)

    def access(self, node: ast.Select | ast.Index) -> Fragment:
        if (name := event_field(node)) is not None:
            return self._scope.field(name)
        if isinstance(node, ast.Select) and is_meta(node.operand):
            return self._scope.meta(node.field)
        name = _literal_name(node)
        if name is not None and is_meta(node.operand, "headers"):
            return self._scope.header(name)
        operand = self.of(node.operand)
        if isinstance(node, ast.Select):
            return Fragment(f"select({operand.text}, {node.field!r}, {self._what(node.operand)}, {self._what(node)})")
        names = self._names(node.operand, node.index, node)
        return Fragment(f"index({operand.text}, {self.of(node.index).text}, {names})")

    def has(self, node: ast.Has) -> Fragment:
        if isinstance(node.operand, ast.Name):
            return Fragment(self._scope.has_field(node.field), Type.BOOL, fails=False)
        operand = self.of(node.operand)
        return Fragment(f"has({operand.text}, {node.field!r}, {self._what(node.operand)})", Type.BOOL)

    def arithmetic(self, node: ast.Arithmetic) -> Fragment:
        left, right = self.of(node.left), self.of(node.right)
        sure = left.type if left.type is right.type else None
        if sure is Type.INT and node.op in "+-*":
            return self._int64(f"{left.text} {node.op} {right.text}", node)
        if sure is Type.STRING or (sure is Type.DOUBLE and node.op in "+-*"):
            return Fragment(f"({left.text} {node.op} {right.text})", sure, left.fails or right.fails)
        names = self._names(node.left, node.right, node)
        known = Type.INT if node.op == "%" else _first_known(left.type, right.type)
        return Fragment(f"{_ARITHMETIC[node.op]}({left.text}, {right.text}, {names})", known)

    def _int64(self, text: str, node: ast.Node) -> Fragment:
        local = self._scope.temporary()
        checked = f"({local} if {INT64_MIN} <= ({local} := {text}) <= {INT64_MAX} else overflow({self._what(node)}))"
        return Fragment(checked, Type.INT)

    def negate(self, node: ast.Negate) -> Fragment:
        value = self.of(node.operand)
        if value.type is Type.INT:
            return self._int64(f"-{value.text}", node)
        if value.type is Type.DOUBLE:
            return Fragment(f"(-{value.text})", Type.DOUBLE, value.fails)
        return Fragment(f"negate({value.text}, {self._names(node.operand, node.operand, node)})")

    def compare(self, node: ast.Compare) -> Fragment:
        left, right = self.of(node.left), self.of(node.right)
        fails = left.fails or right.fails
        if Type.NULL in (left.type, right.type) and node.op in ("==", "!="):
            return Fragment(f"({left.text} {_IS[node.op]} {right.text})", Type.BOOL, fails)
        if _plainly_comparable(left.type, right.type):
            return Fragment(f"({left.text} {node.op} {right.text})", Type.BOOL, fails)
        if node.op in ("==", "!="):
            negation = "not " if node.op == "!=" else ""
            return Fragment(f"({negation}equals({left.text}, {right.text}))", Type.BOOL, fails)
        names = self._names(node.left, node.right, node)
        return Fragment(f"compare({node.op!r}, {left.text}, {right.text}, {names})", Type.BOOL)

    def contained(self, node: ast.In) -> Fragment:
        left, right = self.of(node.left), self.of(node.right)
        if left.type is Type.STRING and _all_text(node.right):
            return Fragment(f"({left.text} in {{{right.text[1:-1]}}})", Type.BOOL, left.fails)
        names = self._names(node.left, node.right, node)
        return Fragment(f"within({left.text}, {right.text}, {names})", Type.BOOL)

    def logic(self, node: ast.Logic) -> Fragment:
        left, right = self.of(node.left), self.of(node.right)
        if not _may_fail_as_bool(left):
            word = "and" if node.op == "&&" else "or"
            fails = _may_fail_as_bool(right)
            return Fragment(f"({left.text} {word} {self.as_bool(node.right, right)})", Type.BOOL, fails)
        names = self._names(node.left, node.right, node)
        function = "both" if node.op == "&&" else "either"
        return Fragment(f"{function}(lambda: {left.text}, lambda: {right.text}, {names})", Type.BOOL)

    def ternary(self, node: ast.Ternary) -> Fragment:
        condition, then, otherwise = self.of(node.condition), self.of(node.then), self.of(node.otherwise)
        text = f"({then.text} if {self.as_bool(node.condition, condition)} else {otherwise.text})"
        known = then.type if then.type is otherwise.type else Type.DYN
        return Fragment(text, known, _may_fail_as_bool(condition) or then.fails or otherwise.fails)

    def call(self, node: ast.Call) -> Fragment:
        name, result = _FUNCTIONS[node.function]
        arguments = ", ".join(self.of(argument).text for argument in node.args)
        what = self._what(node.args[0]) if len(node.args) == 1 else self._names(node.args[0], node.args[1], node)
        return Fragment(f"{name}({arguments}, {what})", result)


_IS = {"==": "is", "!=": "is not"}


def _may_fail_as_bool(value: Fragment) -> bool:
    return value.fails or value.type is not Type.BOOL


def _literal_name(node: ast.Select | ast.Index) -> str | None:
    if isinstance(node, ast.Select):
        return node.field
    return node.index.value if isinstance(node.index, ast.Literal) and isinstance(node.index.value, str) else None


def _first_known(left: Type, right: Type) -> Type:
    return right if left is Type.DYN else left


def _plainly_comparable(left: Type, right: Type) -> bool:
    return (left is right and left in _PLAIN_SCALARS) or (left in NUMBERS and right in NUMBERS)


def _all_text(node: ast.Node) -> bool:
    return isinstance(node, ast.ListOf) and all(
        isinstance(item, ast.Literal) and isinstance(item.value, str) for item in node.items
    )


_SOURCES: dict[type[ast.Node], Callable[[_Generator, Any], Fragment]] = {
    ast.Literal: _Generator.literal,
    ast.Name: _Generator.name,
    ast.Select: _Generator.access,
    ast.Index: _Generator.access,
    ast.Has: _Generator.has,
    ast.ListOf: _Generator.list_of,
    ast.Not: _Generator.negation,
    ast.Negate: _Generator.negate,
    ast.Arithmetic: _Generator.arithmetic,
    ast.Compare: _Generator.compare,
    ast.In: _Generator.contained,
    ast.Logic: _Generator.logic,
    ast.Ternary: _Generator.ternary,
    ast.Call: _Generator.call,
}
