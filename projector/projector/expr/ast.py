"""Syntax tree of an expression: small, frozen, independent of the parser that read it.

`start` and `end` are 0-based character offsets into the source; `end` is exclusive.
"""

from dataclasses import dataclass
from typing import Literal as OneOf

ArithmeticOp = OneOf["+", "-", "*", "/", "%"]
CompareOp = OneOf["==", "!=", "<", "<=", ">", ">="]
LogicOp = OneOf["&&", "||"]
MacroName = OneOf["map", "filter", "exists", "all", "exists_one"]
Constant = int | float | str | bool | None


@dataclass(frozen=True, slots=True)
class Node:
    """Base of all nodes: where the node stands in the source."""

    start: int
    end: int

    @property
    def position(self) -> int:
        """1-based column of the node."""
        return self.start + 1


@dataclass(frozen=True, slots=True)
class Literal(Node):
    """A constant."""

    value: Constant


@dataclass(frozen=True, slots=True)
class Name(Node):
    """A variable: `event`, `meta`, `item` of a rule's forEach, or the one that a macro binds."""

    name: str


@dataclass(frozen=True, slots=True)
class Select(Node):
    """`operand.field`."""

    operand: Node
    field: str


@dataclass(frozen=True, slots=True)
class Has(Node):
    """`has(operand.field)`."""

    operand: Node
    field: str


@dataclass(frozen=True, slots=True)
class Index(Node):
    """`operand[index]`."""

    operand: Node
    index: Node


@dataclass(frozen=True, slots=True)
class ListOf(Node):
    """`[item, …]`."""

    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Not(Node):
    """`!operand`."""

    operand: Node


@dataclass(frozen=True, slots=True)
class Negate(Node):
    """`-operand`."""

    operand: Node


@dataclass(frozen=True, slots=True)
class Arithmetic(Node):
    """`left op right` on numbers, times and durations; `+` on text and lists too."""

    op: ArithmeticOp
    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class Compare(Node):
    """`left op right`, a truth value."""

    op: CompareOp
    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class In(Node):
    """`left in right`: an element of a list, or a key of an object."""

    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class Logic(Node):
    """`left && right`, `left || right`."""

    op: LogicOp
    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class Ternary(Node):
    """`condition ? then : otherwise`."""

    condition: Node
    then: Node
    otherwise: Node


@dataclass(frozen=True, slots=True)
class Call(Node):
    """`function(args…)`; with `method`, the first argument stood before the dot."""

    function: str
    args: tuple[Node, ...]
    method: bool


@dataclass(frozen=True, slots=True)
class Macro(Node):
    """`range.macro(variable, condition)`, and `map(variable[, condition], result)`: over elements or fields' names."""

    macro: MacroName
    range: Node
    variable: Name
    condition: Node | None
    result: Node | None


@dataclass(frozen=True, slots=True)
class Ast:
    """A parsed expression with its source."""

    source: str
    root: Node

    def text(self, node: Node) -> str:
        """The source of a node on one line, for messages; at most 60 characters."""
        text = " ".join(self.source[node.start : node.end].split())
        return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


_SHOWN = 60


def children(node: Node) -> tuple[Node, ...]:  # noqa: PLR0911 - one for each shape of a node
    """The direct operands of a node, left to right."""
    match node:
        case Select(operand=operand) | Has(operand=operand) | Not(operand=operand) | Negate(operand=operand):
            return (operand,)
        case Index(operand=operand, index=index):
            return (operand, index)
        case ListOf(items=items) | Call(args=items):
            return items
        case Arithmetic() | Compare() | In() | Logic():
            return (node.left, node.right)
        case Ternary():
            return (node.condition, node.then, node.otherwise)
        case Macro():
            return tuple(part for part in (node.range, node.condition, node.result) if part is not None)
        case _:
            return ()
