"""Static types of an expression: what can be known to be wrong before any event is seen."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

from projector.expr import ast
from projector.expr.errors import ExprError
from projector.expr.functions import ACCESSORS, FUNCTIONS, Function
from projector.expr.text import search
from projector.expr.times import parse_duration, parse_zone
from projector.expr.types import ARITHMETIC, META, NUMBERS, ORDERED, VARIABLES, Type, common, listing, near
from projector.spec.values import parse_timestamp


@dataclass(frozen=True, slots=True)
class Expected:
    """What the place of an expression takes: `wanted` in words, and a hint by the type found instead."""

    accepts: frozenset[Type]
    wanted: str
    hints: tuple[tuple[Type, str], ...] = ()


CONDITION = Expected(frozenset({Type.BOOL}), "a condition takes bool")


Variables = Mapping[str, Type]
"""Names that an expression may use besides `event` and `meta`, with their types."""

NONE: Variables = MappingProxyType({})
MAX_MACROS = 8
"""Macros inside one another: the generated code has a loop inside a loop, and the work multiplies."""


def check(tree: ast.Ast, expected: Expected | None = None, variables: Variables = NONE) -> Type:
    """Type of the expression. Raises ExprError with a position where it has none, or not the expected one."""
    found = _Checker(tree, variables).infer(tree.root)
    if expected is None or found is Type.DYN or found in expected.accepts:
        return found
    hint = "".join(f": {text}" for kind, text in expected.hints if kind is found)
    raise ExprError(f"`{tree.text(tree.root)}` is {found}; {expected.wanted}{hint}", tree.root.position)


def element(tree: ast.Ast, variables: Variables = NONE) -> Type:
    """Type of the elements of a checked expression that is a list."""
    return _Checker(tree, variables).element(tree.root)


def infer(tree: ast.Ast, node: ast.Node) -> Type:
    """Type of one node of a checked tree. Variables, of which the node alone does not tell, are DYN."""
    return _Checker(tree, None).infer(node)


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
    """Types of nodes. `variables` None: the tree is known to be right, and every name is taken."""

    def __init__(self, tree: ast.Ast, variables: Variables | None) -> None:
        self._text = tree.text
        self._variables = variables
        self._bound: dict[str, Type] = {}
        self._types: dict[int, Type] = {}
        self._elements: dict[int, Type] = {}

    def infer(self, node: ast.Node) -> Type:
        if id(node) not in self._types:
            self._types[id(node)] = _RULES[type(node)](self, node)
        return self._types[id(node)]

    def element(self, node: ast.Node) -> Type:
        """Type of what a macro over the node, or an index into it, gives. The node has been inferred."""
        if id(node) not in self._elements:
            self._elements[id(node)] = self._element(node)
        return self._elements[id(node)]

    def _element(self, node: ast.Node) -> Type:
        match node:
            case ast.ListOf(items=items):
                return common(map(self.infer, items))
            case ast.Call(function="split"):
                return Type.STRING
            case ast.Ternary(then=then, otherwise=otherwise):
                return common((self.element(then), self.element(otherwise)))
            case ast.Macro(macro="filter"):
                return self._bound_by(node)
            case ast.Macro(macro="map", result=result) if result is not None:
                return self._inside(node, result)
            case _:
                return Type.DYN

    def _bound_by(self, node: ast.Macro) -> Type:
        """Type of a macro's variable: JSON names fields by text."""
        return Type.STRING if self.infer(node.range) is Type.MAP else self.element(node.range)

    def _inside(self, node: ast.Macro, part: ast.Node) -> Type:
        """Type of a part of a macro, where its variable is bound."""
        self._bound[node.variable.name] = self._bound_by(node)
        try:
            return self.infer(part)
        finally:
            del self._bound[node.variable.name]

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
        self._must(node, found, accepts, wanted)
        return found

    def _must(self, node: ast.Node, found: Type, accepts: frozenset[Type], wanted: str) -> None:
        if found is not Type.DYN and found not in accepts:
            raise ExprError(f"`{self._text(node)}` is {found}; {wanted}", node.position)

    def name(self, node: ast.Name) -> Type:
        if node.name == "event":
            return Type.MAP
        if node.name == "meta":
            raise ExprError("`meta` is no value by itself: use a field of it, such as meta.offset", node.position)
        if node.name in self._bound or self._variables is None:
            return self._bound.get(node.name, Type.DYN)
        if node.name in self._variables:
            return self._variables[node.name]
        raise ExprError(f"`{node.name}` is not known{self._meant(node.name)}", node.position)

    def _meant(self, name: str) -> str:
        if name == "item":
            return "; only a rule with forEach has it"
        return near(name, self._taken()) or f"; a field of the event is written `event.{name}`"

    def _taken(self) -> tuple[str, ...]:
        return (*VARIABLES, *(self._variables or ()), *self._bound)

    def macro(self, node: ast.Macro) -> Type:
        self._need(node.range, frozenset({Type.LIST, Type.MAP}), f"`{node.macro}` goes over a list or an object")
        if self._variables is not None:
            self._bindable(node)
        if node.condition is not None:
            found = self._inside(node, node.condition)
            self._must(node.condition, found, CONDITION.accepts, CONDITION.wanted)
        if node.result is not None:
            self._inside(node, node.result)
        return Type.LIST if node.macro in ("map", "filter") else Type.BOOL

    def _bindable(self, node: ast.Macro) -> None:
        variable = node.variable
        if variable.name in self._taken():
            raise ExprError(f"`{variable.name}` is taken already: bind another name", variable.position)
        if len(self._bound) == MAX_MACROS:
            raise ExprError(f"macros are nested more than {MAX_MACROS} deep", node.position)

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
        return Type.STRING if is_meta(node.operand, "headers") else self.element(node.operand)

    def arithmetic(self, node: ast.Arithmetic) -> Type:
        rows = ARITHMETIC[node.op]
        accepts = frozenset(kind for left, right, _ in rows for kind in (left, right))
        wanted = f"`{node.op}` takes {listing(accepts)}"
        left, right = self._need(node.left, accepts, wanted), self._need(node.right, accepts, wanted)
        results = {gives for one, other, gives in rows if left in (one, Type.DYN) and right in (other, Type.DYN)}
        if results:
            return common(results)
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
        inside = self.element(node.right)
        if not _comparable(left, inside) and Type.NULL not in (left, inside):
            raise ExprError(f"`{self._text(node)}` compares {left} with {inside}", node.position)
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
        _called_right(node, function)
        for argument, accepts in zip(node.args, function.params, strict=False):
            self._need(argument, accepts, f"{node.function}() takes {listing(accepts)}")
        self._notation(node)
        return function.result

    def _notation(self, node: ast.Call) -> None:
        """Text that stands in the expression itself can be read beforehand. A pattern must stand there."""
        kind = "zone" if node.function in ACCESSORS else node.function
        parse = _NOTATIONS.get(kind)
        argument = node.args[-1]
        if parse is None or (kind == "zone" and len(node.args) == 1):
            return
        if isinstance(argument, ast.Literal) and isinstance(argument.value, str):
            try:
                parse(argument.value)
            except ValueError as error:
                raise ExprError(f"`{self._text(argument)}` {error}", argument.position) from None
        elif kind == "matches":
            message = f"the pattern `{self._text(argument)}` must be text in the expression itself"
            raise ExprError(f"{message}, so that it can be checked beforehand", argument.position)


def _called_right(node: ast.Call, function: Function) -> None:
    written: Literal["call", "method"] = "method" if node.method else "call"
    if not function.takes(written):
        form = f"x.{node.function}(…)" if function.form == "method" else f"{node.function}(x)"
        raise ExprError(f"`{node.function}` is written {form}", node.position)
    if not len(function.params) - function.optional <= len(node.args) <= len(function.params):
        given = len(node.args) - node.method
        raise ExprError(f"{node.function}() takes {function.arity(written)}, not {given}", node.position)


_NOTATIONS: dict[str, Callable[[str], object]] = {
    "matches": search,
    "timestamp": parse_timestamp,
    "duration": parse_duration,
    "zone": parse_zone,
}
_INDEX_TYPES: dict[Type, frozenset[Type]] = {
    Type.LIST: frozenset({Type.INT}),
    Type.MAP: frozenset({Type.STRING}),
    Type.DYN: frozenset({Type.INT, Type.STRING}),
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
    ast.Macro: _Checker.macro,
}
