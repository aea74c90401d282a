"""Static types of an expression: what can be known to be wrong before any event is seen."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from projector.expr import ast
from projector.expr.errors import ExprError
from projector.expr.types import FUNCTIONS, META, NUMBERS, ORDERED, VARIABLES, Function, Type, listing, near


@dataclass(frozen=True, slots=True)
class Expected:
    """What the place of an expression takes: `wanted` in words, and a hint by the type found instead."""

    accepts: frozenset[Type]
    wanted: str
    hints: tuple[tuple[Type, str], ...] = ()


CONDITION = Expected(frozenset({Type.BOOL}), "a condition takes bool")


def check(tree: ast.Ast, expected: Expected | None = None) -> Type:
    """Type of the expression. Raises ExprError with a position where it has none, or not the expected one."""
    found = infer(tree, tree.root)
    if expected is None or found is Type.DYN or found in expected.accepts:
        return found
    hint = "".join(f": {text}" for kind, text in expected.hints if kind is found)
    raise ExprError(f"`{tree.text(tree.root)}` is {found}; {expected.wanted}{hint}", tree.root.position)


def infer(tree: ast.Ast, node: ast.Node) -> Type:
    """Type of one node of a tree. Raises ExprError."""
    return _Checker(tree).infer(node)


def is_meta(node: ast.Node, field: str | None = None) -> bool:
    """Whether a node is `meta`, or the given field of it."""
    if field is None:
        return isinstance(node, ast.Name) and node.name == "meta"
    return isinstance(node, ast.Select) and node.field == field and is_meta(node.operand)


LITERAL_TYPES: dict[type, Type] = {
    int: Type.INT,
    float: Type.DOUBLE,
    str: Type.STRING,
    bool: Type.BOOL,
    type(None): Type.NULL,
}


class _Checker:
    def __init__(self, tree: ast.Ast) -> None:
        self._text = tree.text

    def infer(self, node: ast.Node) -> Type:
        return _RULES[type(node)](self, node)

    def literal(self, node: ast.Literal) -> Type:
        return LITERAL_TYPES[type(node.value)]

    def list_of(self, node: ast.ListOf) -> Type:
        for item in node.items:
            self.infer(item)
        return Type.LIST

    def negate(self, node: ast.Negate) -> Type:
        return self._need(node.operand, NUMBERS, "`-` takes int or double")

    def logic(self, node: ast.Logic | ast.Not) -> Type:
        sign = node.op if isinstance(node, ast.Logic) else "!"
        for operand in ast.children(node):
            self._need(operand, frozenset({Type.BOOL}), f"`{sign}` takes bool")
        return Type.BOOL

    def _need(self, node: ast.Node, accepts: frozenset[Type], wanted: str) -> Type:
        found = self.infer(node)
        if found is not Type.DYN and found not in accepts:
            raise ExprError(f"`{self._text(node)}` is {found}; {wanted}", node.position)
        return found

    def name(self, node: ast.Name) -> Type:
        if node.name == "event":
            return Type.MAP
        if node.name == "meta":
            raise ExprError("`meta` is no value by itself: use a field of it, such as meta.offset", node.position)
        hint = near(node.name, VARIABLES) or f"; a field of the event is written `event.{node.name}`"
        raise ExprError(f"`{node.name}` is not known{hint}", node.position)

    def select(self, node: ast.Select) -> Type:
        if is_meta(node.operand):
            if node.field not in META:
                hint = near(node.field, META)
                raise ExprError(f"meta has no field `{node.field}`{hint}", node.operand.end + 2)
            return META[node.field]
        self._object(node.operand)
        return Type.STRING if is_meta(node.operand, "headers") else Type.DYN

    def _object(self, node: ast.Node) -> None:
        found = self.infer(node)
        if found not in (Type.MAP, Type.DYN):
            raise ExprError(f"`{self._text(node)}` is {found}, which has no fields", node.position)

    def has(self, node: ast.Has) -> Type:
        if is_meta(node.operand):
            raise ExprError("has() asks for a field of event or of meta.headers", node.position)
        self._object(node.operand)
        return Type.BOOL

    def index(self, node: ast.Index) -> Type:
        operand = self.infer(node.operand)
        accepts = _INDEX_TYPES.get(operand)
        if accepts is None:
            raise ExprError(f"`{self._text(node.operand)}` is {operand}, which has no elements", node.operand.position)
        self._need(node.index, accepts, f"an index into {operand} is {listing(accepts)}")
        return Type.STRING if is_meta(node.operand, "headers") else Type.DYN

    def arithmetic(self, node: ast.Arithmetic) -> Type:
        accepts = _ARITHMETIC_TYPES[node.op]
        wanted = f"`{node.op}` takes {listing(accepts)}"
        left, right = self._need(node.left, accepts, wanted), self._need(node.right, accepts, wanted)
        if left is right or right is Type.DYN:
            return Type.INT if node.op == "%" else left
        if left is Type.DYN:
            return Type.INT if node.op == "%" else right
        hint = ": convert with int() or double()" if {left, right} == NUMBERS else ""
        raise ExprError(f"`{self._text(node)}` mixes {left} and {right}{hint}", node.position)

    def compare(self, node: ast.Compare) -> Type:
        left, right = self.infer(node.left), self.infer(node.right)
        if node.op not in ("==", "!="):
            for operand in (node.left, node.right):
                self._need(operand, ORDERED, f"`{node.op}` takes {listing(ORDERED)}")
        elif Type.NULL in (left, right):
            return Type.BOOL
        if not _comparable(left, right):
            raise ExprError(f"`{self._text(node)}` compares {left} with {right}", node.position)
        return Type.BOOL

    def contained(self, node: ast.In) -> Type:
        left = self.infer(node.left)
        right = self._need(node.right, frozenset({Type.LIST, Type.MAP}), "`in` looks into a list or an object")
        if right is Type.MAP and left not in (Type.STRING, Type.DYN):
            raise ExprError(f"`{self._text(node.left)}` is {left}; names in an object are text", node.left.position)
        return Type.BOOL

    def ternary(self, node: ast.Ternary) -> Type:
        self._need(node.condition, CONDITION.accepts, CONDITION.wanted)
        then, otherwise = self.infer(node.then), self.infer(node.otherwise)
        if then is otherwise or otherwise is Type.NULL:
            return then
        return otherwise if then is Type.NULL else Type.DYN

    def call(self, node: ast.Call) -> Type:
        function = FUNCTIONS.get(node.function)
        if function is None:
            raise ExprError(f"function `{node.function}` is not served{near(node.function, FUNCTIONS)}", node.position)
        self._called_right(node, function)
        for argument, accepts in zip(node.args, function.params, strict=True):
            self._need(argument, accepts, f"{node.function}() takes {listing(accepts)}")
        return function.result

    def _called_right(self, node: ast.Call, function: Function) -> None:
        if not (function.as_method if node.method else function.as_call):
            form = f"x.{node.function}(…)" if function.as_method else f"{node.function}(x)"
            raise ExprError(f"`{node.function}` is written {form}", node.position)
        given, wanted = len(node.args) - node.method, len(function.params) - node.method
        if given != wanted:
            raise ExprError(f"{node.function}() takes {wanted} argument, not {given}", node.position)


_INDEX_TYPES: dict[Type, frozenset[Type]] = {
    Type.LIST: frozenset({Type.INT}),
    Type.MAP: frozenset({Type.STRING}),
    Type.DYN: frozenset({Type.INT, Type.STRING}),
}
_ARITHMETIC_TYPES: dict[str, frozenset[Type]] = {
    "+": NUMBERS | {Type.STRING},
    "-": NUMBERS,
    "*": NUMBERS,
    "/": NUMBERS,
    "%": frozenset({Type.INT}),
}


def _comparable(left: Type, right: Type) -> bool:
    return left is right or Type.DYN in (left, right) or {left, right} <= NUMBERS


_RULES: dict[type[ast.Node], Callable[[_Checker, Any], Type]] = {
    ast.Literal: _Checker.literal,
    ast.Name: _Checker.name,
    ast.Select: _Checker.select,
    ast.Has: _Checker.has,
    ast.Index: _Checker.index,
    ast.ListOf: _Checker.list_of,
    ast.Not: _Checker.logic,
    ast.Logic: _Checker.logic,
    ast.Negate: _Checker.negate,
    ast.Arithmetic: _Checker.arithmetic,
    ast.Compare: _Checker.compare,
    ast.In: _Checker.contained,
    ast.Ternary: _Checker.ternary,
    ast.Call: _Checker.call,
}
