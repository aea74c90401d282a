"""Our generated code over plain data: a scope in which the event is a dict.

With `sure`, the scope promises the type that each field has in this very event, as the fold does where it decodes
fields as the types that the rules want of them; so both the plain Python and the calls of the run time are compared.
"""

import struct
from collections.abc import Collection
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from unittest.mock import patch

from projector.expr import codegen, convert, runtime
from projector.expr.ast import Ast
from projector.expr.codegen import NAMESPACE, Fragment
from projector.expr.errors import EvalError
from projector.expr.types import Type
from tests.support.oracle_expressions import EPOCH

_SURE = {int: Type.INT, float: Type.DOUBLE, str: Type.STRING, bool: Type.BOOL}
_META_TYPES = {
    "topic": Type.STRING,
    "partition": Type.INT,
    "offset": Type.INT,
    "headers": Type.MAP,
    "type": Type.STRING,
}


@dataclass
class DataScope:
    """`event` and `meta` are names of the generated code."""

    data: Any
    sure: bool
    constants: dict[str, object] = field(default_factory=dict)
    names: int = 0

    def event(self) -> Fragment:
        return Fragment("event", Type.MAP, fails=False)

    def field(self, name: str) -> Fragment:
        known = _SURE.get(type(self.data.get(name))) if self.sure else None
        if known is not None:
            return Fragment(f"event[{name!a}]", known, fails=False)
        return Fragment(f"select(event, {name!a}, 'event', {name!a})")

    def has_field(self, name: str) -> str:
        return f"({name!a} in event)"

    def meta(self, name: str) -> Fragment:
        source = f"meta[{name!a}]"
        if name == "timestamp":
            return Fragment(source, Type.TIMESTAMP)
        return Fragment(source, _META_TYPES.get(name, Type.DYN), fails=False)

    def header(self, name: str) -> Fragment:
        return Fragment(f"select(meta['headers'], {name!a}, 'meta.headers', {name!a})")

    def variable(self, name: str) -> Fragment:
        raise AssertionError(name)

    def constant(self, value: object) -> str:
        name = f"C{len(self.constants)}"
        self.constants[name] = value
        return name

    def temporary(self) -> str:
        self.names += 1
        return f"t{self.names}"


def evaluate(tree: Ast, event: Any, meta: dict[str, Any], sure: bool) -> Any:
    """The tagged value of a checked expression, or None where the event has none."""
    scope = DataScope(event, sure)
    source = codegen.generate(tree, scope).text
    namespace: dict[str, Any] = {**NAMESPACE, **scope.constants}
    exec(f"def value(event, meta):\n    return {source}\n", namespace)  # noqa: S102 - that is what is tested
    try:
        return tagged(namespace["value"](event, meta))
    except EvalError:
        return None


def tagged(value: Any) -> Any:
    """The value as the reference writes it, so that 1, 1.0 and "1" differ, and -0.0 and 0.0."""
    if isinstance(value, list):
        return ["list", [tagged(item) for item in value]]
    if isinstance(value, dict):
        return ["object", {name: tagged(item) for name, item in value.items()}]
    return [runtime.word(value), _text(value)]


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return "nan" if value != value else f"{struct.unpack('>Q', struct.pack('>d', value))[0]:x}"  # noqa: PLR0124 - NaN
    if isinstance(value, datetime | timedelta):
        return str((value - EPOCH if isinstance(value, datetime) else value) // timedelta(microseconds=1))
    return str(value)


def _rounded(left: Any, right: Any) -> bool:
    return {type(left), type(right)} == {int, float} and max(abs(left), abs(right)) > 2**53


def like_the_reference() -> AbstractContextManager[object]:
    """Do four things as cel-go does, where it is not CEL as it is specified and we are.

    It rounds an int to a double before it compares the two, which beyond 2^53 loses digits, and the seconds of a
    duration before it writes them as text, which beyond 2^33 loses microseconds. And it finds that text or a number has
    no field, and goes over nothing in empty text, where CEL has an error.
    """
    exact_equals, exact_compare = runtime.equals, runtime.compare
    exact_has, exact_elements = runtime.has, runtime.elements

    def equals(left: Any, right: Any) -> bool:
        if _rounded(left, right):
            return float(left) == float(right)
        return exact_equals(left, right)

    def compare(op: str, left: Any, right: Any, names: runtime.Operands) -> bool:
        if _rounded(left, right):
            left, right = float(left), float(right)
        return exact_compare(op, left, right, names)

    def has(value: Any, field: str, operand: str) -> bool:
        return isinstance(value, list | dict) and exact_has(value, field, operand)

    def elements(value: Any, what: str) -> Collection[Any]:
        return exact_elements([] if value == "" else value, what)

    def duration_text(value: timedelta) -> str:
        seconds = abs(value) // timedelta(seconds=1) + abs(value).microseconds / 10**6
        return f"{'-' if value < timedelta(0) else ''}{Decimal(repr(seconds)):f}s".replace(".0s", "s")

    patches = ExitStack()
    patches.enter_context(patch.object(convert, "duration_text", duration_text))
    patches.enter_context(patch.object(runtime, "equals", equals))
    patches.enter_context(patch.object(codegen, "NUMBERS", frozenset()))
    patches.enter_context(patch.dict(NAMESPACE, equals=equals, compare=compare, has=has, elements=elements))
    return patches
