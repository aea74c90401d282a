"""Syntax tree to Python source. Where types are sure the source is plain Python; else it calls `expr.runtime`.

The fragments are total: whatever the event holds, they give the value that the language says, or raise EvalError.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from projector.expr import ast, convert, runtime, text, times
from projector.expr.check import LITERAL_TYPES, is_meta
from projector.expr.functions import ACCESSORS, FUNCTIONS
from projector.expr.literals import INT64_MAX, INT64_MIN
from projector.expr.types import ARITHMETIC, NUMBERS, Type, common
from projector.spec.values import parse_timestamp


@dataclass(frozen=True, slots=True)
class Fragment:
    """Python source of a value. `type` is sure at run time, or DYN; `fails` says whether it can raise EvalError.

    `ready` names a column type that takes the value as it is; `nullable` says that it may be None besides.
    `element` is the type of a list's elements, sure at run time, or DYN.
    """

    text: str
    type: Type = Type.DYN
    fails: bool = True
    ready: str = ""
    nullable: bool = False
    element: Type = Type.DYN


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

    def variable(self, name: str) -> Fragment:
        """A variable other than `event` and `meta` that the check has allowed."""
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
            "elements",
            "exists",
            "for_all",
        )
    },
    **{
        function.python: getattr(module, function.python)
        for function in FUNCTIONS.values()
        for module in (convert, text, times)
        if hasattr(module, function.python)
    },
    "zone": times.zone,
}
"""Names that generated source uses."""

_ARITHMETIC = {"+": "add", "-": "subtract", "*": "multiply", "/": "divide", "%": "modulo"}
_PLAIN_SCALARS = frozenset({Type.INT, Type.DOUBLE, Type.STRING, Type.BOOL, Type.TIMESTAMP, Type.DURATION})


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
        self._bound: dict[str, Fragment] = {}

    def of(self, node: ast.Node) -> Fragment:
        return _SOURCES[type(node)](self, node)

    def name(self, node: ast.Name) -> Fragment:
        if node.name == "event":
            return self._scope.event()
        return self._bound.get(node.name) or self._scope.variable(node.name)

    def list_of(self, node: ast.ListOf) -> Fragment:
        values = [self.of(item) for item in node.items]
        items = ", ".join(value.text for value in values)
        element = common(value.type for value in values)
        return Fragment(f"[{items}]", Type.LIST, any(value.fails for value in values), element=element)

    def negation(self, node: ast.Not) -> Fragment:
        value = self.of(node.operand)
        return Fragment(f"(not {self.as_bool(node.operand, value)})", Type.BOOL, _may_fail_as_bool(value))

    def as_bool(self, node: ast.Node, value: Fragment) -> str:
        return value.text if value.type is Type.BOOL else f"truth({value.text}, {self._what(node)})"

    def _what(self, node: ast.Node) -> str:
        return ascii(self._tree.text(node))

    def _names(self, left: ast.Node, right: ast.Node, whole: ast.Node) -> str:
        return self._scope.constant(runtime.Operands(*map(self._tree.text, (left, right, whole))))

    def literal(self, node: ast.Literal) -> Fragment:
        value = node.value
        source = f"({value!r})" if isinstance(value, int | float) else ascii(value)
        return Fragment(source, LITERAL_TYPES[type(value)], fails=False)

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
        return Fragment(f"index({operand.text}, {self.of(node.index).text}, {names})", operand.element)

    def has(self, node: ast.Has) -> Fragment:
        if isinstance(node.operand, ast.Name) and node.operand.name == "event":
            return Fragment(self._scope.has_field(node.field), Type.BOOL, fails=False)
        operand = self.of(node.operand)
        return Fragment(f"has({operand.text}, {node.field!r}, {self._what(node.operand)})", Type.BOOL)

    def arithmetic(self, node: ast.Arithmetic) -> Fragment:
        left, right = self.of(node.left), self.of(node.right)
        sure = left.type if left.type is right.type else None
        if sure is Type.INT and node.op in "+-*":
            return self._int64(f"{left.text} {node.op} {right.text}", node)
        if (sure is Type.STRING and node.op == "+") or (sure is Type.DOUBLE and node.op in "+-*"):
            return Fragment(f"({left.text} {node.op} {right.text})", sure, left.fails or right.fails)
        names = self._names(node.left, node.right, node)
        known = _gives(node.op, left.type, right.type)
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
            other = right if left.type is Type.NULL else left
            if other.type in (Type.DYN, Type.NULL) or other.nullable:
                return Fragment(f"({left.text} {_IS[node.op]} {right.text})", Type.BOOL, fails)
            if not fails:  # nor may it stand there: Python warns of `1 is None`
                return Fragment(str(node.op == "!="), Type.BOOL, fails)
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
        source = f"({then.text} if {self.as_bool(node.condition, condition)} else {otherwise.text})"
        fails = _may_fail_as_bool(condition) or then.fails or otherwise.fails
        element = common((then.element, otherwise.element))
        return Fragment(source, common((then.type, otherwise.type)), fails, element=element)

    def call(self, node: ast.Call) -> Fragment:
        function = FUNCTIONS[node.function]
        if (constant := self._constant(node)) is not None:
            return Fragment(self._scope.constant(constant), function.result, fails=False)
        arguments = [self.of(argument) for argument in node.args]
        plain = PLAIN.get((node.function, *(argument.type for argument in arguments)))
        if plain is not None:
            source = plain.format(*(argument.text for argument in arguments))
            return Fragment(source, function.result, any(argument.fails for argument in arguments))
        texts = [argument.text for argument in arguments]
        if node.function == "matches":
            texts[1] = self._scope.constant(text.search(_literal_text(node.args[1])))
        elif node.function in ACCESSORS and len(texts) > 1:
            texts[1] = self._zone(node.args[1], texts[1])
        element = Type.STRING if node.function == "split" else Type.DYN
        return Fragment(
            f"{function.python}({', '.join(texts)}, {self._arguments(node)})", function.result, True, element=element
        )

    def _arguments(self, node: ast.Call) -> str:
        """What a function names its arguments by: the text of the only one, or those of all and of the whole."""
        if len(FUNCTIONS[node.function].params) == 1:
            return self._what(node.args[0])
        return self._scope.constant(tuple(map(self._tree.text, (*node.args, node))))

    def _constant(self, node: ast.Call) -> object | None:
        """The timestamp or duration that a literal writes; the check has read it already."""
        parse = _CONSTANTS.get(node.function)
        if parse is None or not (isinstance(node.args[0], ast.Literal) and isinstance(node.args[0].value, str)):
            return None
        return parse(node.args[0].value)

    def _zone(self, node: ast.Node, source: str) -> str:
        if isinstance(node, ast.Literal):
            return self._scope.constant(times.parse_zone(_literal_text(node)))
        return f"zone({source}, {self._what(node)})"

    def macro(self, node: ast.Macro) -> Fragment:
        items = self.of(node.range)
        local = self._scope.temporary()
        element = Type.STRING if items.type is Type.MAP else items.element
        self._bound[node.variable.name] = Fragment(local, element, fails=False)
        condition = node.condition and self._truth(node.condition)
        result = self._bound[node.variable.name] if node.result is None else self.of(node.result)
        del self._bound[node.variable.name]
        source = items.text if items.type in _RANGES else f"elements({items.text}, {self._what(node.range)})"
        if node.macro in _QUANTIFIERS:
            return Fragment(f"{_QUANTIFIERS[node.macro]}({source}, lambda {local}: {condition})", Type.BOOL)
        if_holds = f" if {condition}" if condition else ""
        listed = self._comprehension(f"{result.text} for {local} in", source, if_holds)
        if node.macro == "exists_one":
            return Fragment(f"(len({listed}) == 1)", Type.BOOL)
        return Fragment(listed, Type.LIST, element=result.type)

    def _truth(self, node: ast.Node) -> str:
        return self.as_bool(node, self.of(node))

    def _comprehension(self, head: str, source: str, tail: str) -> str:
        """Python takes no `:=` where a comprehension names what it goes over."""
        if ":=" not in source:
            return f"[{head} {source}{tail}]"
        local = self._scope.temporary()
        return f"([{head} {local}{tail}] if ({local} := {source}) is not None else [])"


PLAIN: dict[tuple[str | Type, ...], str] = {
    ("size", Type.STRING): "len({})",
    ("size", Type.LIST): "len({})",
    ("size", Type.MAP): "len({})",
    ("startsWith", Type.STRING, Type.STRING): "{}.startswith({})",
    ("endsWith", Type.STRING, Type.STRING): "{}.endswith({})",
    ("contains", Type.STRING, Type.STRING): "({1} in {0})",
    ("int", Type.INT): "{}",
    ("double", Type.DOUBLE): "{}",
    ("double", Type.INT): "float({})",
    ("bool", Type.BOOL): "{}",
    ("string", Type.STRING): "{}",
    ("string", Type.INT): "str({})",
    ("timestamp", Type.TIMESTAMP): "{}",
    ("duration", Type.DURATION): "{}",
}
"""Plain Python for functions of sure types."""

_CONSTANTS: dict[str, Callable[[str], object]] = {"timestamp": parse_timestamp, "duration": times.parse_duration}
_QUANTIFIERS = {"exists": "exists", "all": "for_all"}
_RANGES = frozenset({Type.LIST, Type.MAP})
_IS = {"==": "is", "!=": "is not"}


def _may_fail_as_bool(value: Fragment) -> bool:
    return value.fails or value.type is not Type.BOOL


def _literal_name(node: ast.Select | ast.Index) -> str | None:
    if isinstance(node, ast.Select):
        return node.field
    return node.index.value if isinstance(node.index, ast.Literal) and isinstance(node.index.value, str) else None


def _literal_text(node: ast.Node) -> str:
    assert isinstance(node, ast.Literal)  # noqa: S101 - the check says so; narrows the type
    return str(node.value)


def _gives(op: str, left: Type, right: Type) -> Type:
    """Type of a result that run time has checked."""
    return common(
        gives for one, other, gives in ARITHMETIC[op] if left in (one, Type.DYN) and right in (other, Type.DYN)
    )


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
    ast.Macro: _Generator.macro,
}
