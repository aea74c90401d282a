"""Text to syntax tree. The grammar is a CEL parser's; what is not served is refused by its name and position."""

import re
from collections.abc import Callable
from functools import cache
from importlib.resources import files

from lark import Lark, Token, Tree
from lark.exceptions import LexError, ParseError, UnexpectedCharacters, UnexpectedToken

from projector.expr import ast, literals
from projector.expr.errors import ExprError

MAX_DEPTH = 64
_MACROS: dict[str, tuple[ast.MacroName, int]] = {
    "map": ("map", 3),
    "filter": ("filter", 2),
    "exists": ("exists", 2),
    "all": ("all", 2),
    "exists_one": ("exists_one", 2),
}
"""Macros, and how many arguments each takes at most; two are the least."""


def parse(text: str) -> ast.Ast:
    """Syntax tree of an expression. Raises ExprError with a position."""
    if not text.strip():
        raise ExprError("the expression is empty", 1)
    try:
        tree = _parser().parse(text)
    except UnexpectedToken as error:
        raise _unexpected(text, error) from None
    except UnexpectedCharacters as error:
        what = "the text literal has no end" if error.char in "\"'" else f"`{error.char}` is not expected here"
        raise ExprError(what, _offset(text, error.line, error.column) + 1) from None
    except (LexError, ParseError):
        raise ExprError("the expression cannot be read", 1) from None
    return ast.Ast(text, _convert(tree, 0))


@cache
def _parser() -> Lark:
    """cel-python's grammar, read with its own options.

    Not its `CELParser`: that one is a process-wide singleton, and loses the place of `true` and `false`.
    """
    return Lark(
        files("celpy").joinpath("cel.lark").read_text(encoding="utf-8"),
        parser="lalr",
        start="expr",
        g_regex_flags=re.MULTILINE,
        lexer_callbacks={"IDENT": _truth_value},
        propagate_positions=True,
        maybe_placeholders=False,
        priority="invert",
    )


def _truth_value(token: Token) -> Token:
    return Token.new_borrow_pos("BOOL_LIT", token.value, token) if token in ("true", "false") else token


def _unexpected(text: str, error: UnexpectedToken) -> ExprError:
    if error.token.type == "$END":
        return ExprError("the expression ends too early", len(text) + 1)
    return ExprError(f"`{error.token}` is not expected here", _offset(text, error.line, error.column) + 1)


def _offset(text: str, line: int, column: int) -> int:
    lines = text.split("\n")
    return sum(len(before) + 1 for before in lines[: line - 1]) + column - 1


def _convert(tree: Tree[Token], depth: int) -> ast.Node:
    """Skip the grammar's levels that hold one thing only, then convert the thing."""
    while tree.data in _LEVELS and len(tree.children) == 1:
        tree = _tree(tree.children[0])
    if depth > MAX_DEPTH:
        raise ExprError(f"the expression is nested more than {MAX_DEPTH} deep", tree.meta.start_pos + 1)
    return _CONVERTERS[tree.data](tree, depth + 1)


def _tree(child: object) -> Tree[Token]:
    assert isinstance(child, Tree)  # noqa: S101 - the grammar says so; narrows the type
    return child


def _span(tree: Tree[Token]) -> tuple[int, int]:
    return tree.meta.start_pos, tree.meta.end_pos


def _ternary(tree: Tree[Token], depth: int) -> ast.Node:
    condition, then, otherwise = (_convert(_tree(child), depth) for child in tree.children)
    return ast.Ternary(*_span(tree), condition, then, otherwise)


def _logic(op: ast.LogicOp) -> "Converter":
    def convert(tree: Tree[Token], depth: int) -> ast.Node:
        left, right = (_convert(_tree(child), depth) for child in tree.children)
        return ast.Logic(*_span(tree), op, left, right)

    return convert


_COMPARE: dict[str, ast.CompareOp] = {
    "relation_lt": "<",
    "relation_le": "<=",
    "relation_gt": ">",
    "relation_ge": ">=",
    "relation_eq": "==",
    "relation_ne": "!=",
}
_ARITHMETIC: dict[str, ast.ArithmeticOp] = {
    "addition_add": "+",
    "addition_sub": "-",
    "multiplication_mul": "*",
    "multiplication_div": "/",
    "multiplication_mod": "%",
}


def _binary(tree: Tree[Token], depth: int) -> ast.Node:
    operator = _tree(tree.children[0])
    left = _convert(_tree(operator.children[0]), depth)
    right = _convert(_tree(tree.children[1]), depth)
    if operator.data == "relation_in":
        return ast.In(*_span(tree), left, right)
    if operator.data in _COMPARE:
        return ast.Compare(*_span(tree), _COMPARE[operator.data], left, right)
    return ast.Arithmetic(*_span(tree), _ARITHMETIC[operator.data], left, right)


def _unary(tree: Tree[Token], depth: int) -> ast.Node:
    operand = _convert(_tree(tree.children[1]), depth)
    kind = ast.Not if _tree(tree.children[0]).data == "unary_not" else ast.Negate
    return kind(*_span(tree), operand)


def _select(tree: Tree[Token], depth: int) -> ast.Node:
    return ast.Select(*_span(tree), _convert(_tree(tree.children[0]), depth), str(tree.children[1]))


def _index(tree: Tree[Token], depth: int) -> ast.Node:
    operand, index = (_convert(_tree(child), depth) for child in tree.children)
    return ast.Index(*_span(tree), operand, index)


def _method(tree: Tree[Token], depth: int) -> ast.Node:
    name = _token(tree.children[1])
    receiver = _convert(_tree(tree.children[0]), depth)
    if name in _MACROS:
        return _macro(tree, receiver, depth)
    return ast.Call(*_span(tree), str(name), (receiver, *_arguments(tree.children[2:], depth)), method=True)


def _call(tree: Tree[Token], depth: int) -> ast.Node:
    name = _token(tree.children[0])
    if name in _MACROS:
        raise _macro_form(name)
    arguments = _arguments(tree.children[1:], depth)
    if name != "has":
        return ast.Call(*_span(tree), str(name), arguments, method=False)
    if len(arguments) != 1 or not isinstance(arguments[0], ast.Select):
        raise ExprError("has() asks for one field, as in has(event.name)", tree.meta.start_pos + 1)
    return ast.Has(*_span(tree), arguments[0].operand, arguments[0].field)


def _token(child: object) -> Token:
    assert isinstance(child, Token)  # noqa: S101 - the grammar says so; narrows the type
    return child


def _macro(tree: Tree[Token], receiver: ast.Node, depth: int) -> ast.Node:
    name = _token(tree.children[1])
    macro, most = _MACROS[name]
    arguments = _arguments(tree.children[2:], depth)
    variable, *others = arguments or (receiver,)
    if not 1 <= len(others) < most or not isinstance(variable, ast.Name):
        raise _macro_form(name)
    result = others.pop() if macro == "map" else None
    condition = others[0] if others else None
    return ast.Macro(*_span(tree), macro, receiver, variable, condition, result)


def _macro_form(name: Token) -> ExprError:
    form = "x.map(name, value) or x.map(name, condition, value)" if name == "map" else f"x.{name}(name, condition)"
    return ExprError(f"`{name}` is written {form}", (name.start_pos or 0) + 1)


def _arguments(children: "list[Token | Tree[Token]]", depth: int) -> tuple[ast.Node, ...]:
    return tuple(_convert(_tree(child), depth) for exprlist in children for child in _tree(exprlist).children)


def _paren(tree: Tree[Token], depth: int) -> ast.Node:
    return _convert(_tree(tree.children[0]), depth)


def _list(tree: Tree[Token], depth: int) -> ast.Node:
    return ast.ListOf(*_span(tree), _arguments(tree.children, depth))


def _name(tree: Tree[Token], _depth: int) -> ast.Node:
    return ast.Name(*_span(tree), str(tree.children[0]))


_LITERALS: dict[str, Callable[[str], ast.Constant]] = {
    "INT_LIT": literals.integer,
    "FLOAT_LIT": literals.double,
    "STRING_LIT": literals.string,
    "MLSTRING_LIT": literals.string,
    "BOOL_LIT": lambda token: token == "true",  # noqa: S105 - a token of a grammar
    "NULL_LIT": lambda _: None,
}
_REFUSED_LITERALS = {"UINT_LIT": "an unsigned int (`u`)", "BYTES_LIT": "a bytes literal (`b`)"}


def _literal(tree: Tree[Token], _depth: int) -> ast.Node:
    token = _token(tree.children[0])
    position = tree.meta.start_pos + 1
    if token.type in _REFUSED_LITERALS:
        raise ExprError(f"{_REFUSED_LITERALS[token.type]} is not served", position)
    try:
        return ast.Literal(*_span(tree), _LITERALS[token.type](str(token)))
    except ValueError as error:
        raise ExprError(str(error), position) from None


def _refused(what: str) -> "Converter":
    def refuse(tree: Tree[Token], _depth: int) -> ast.Node:
        raise ExprError(f"{what} is not served", tree.meta.start_pos + 1)

    return refuse


Converter = Callable[[Tree[Token], int], ast.Node]

_LEVELS = frozenset(
    {
        "expr",
        "conditionalor",
        "conditionaland",
        "relation",
        "addition",
        "multiplication",
        "unary",
        "member",
        "primary",
    }
)
_CONVERTERS: dict[str, Converter] = {
    "expr": _ternary,
    "conditionalor": _logic("||"),
    "conditionaland": _logic("&&"),
    "relation": _binary,
    "addition": _binary,
    "multiplication": _binary,
    "unary": _unary,
    "member_dot": _select,
    "member_dot_arg": _method,
    "member_index": _index,
    "member_object": _refused("an object literal (`Name{…}`)"),
    "dot_ident": _refused("a name with a leading dot"),
    "dot_ident_arg": _refused("a name with a leading dot"),
    "ident_arg": _call,
    "ident": _name,
    "paren_expr": _paren,
    "list_lit": _list,
    "map_lit": _refused("a map literal (`{…}`)"),
    "literal": _literal,
}
