"""Expressions give what cel-go gives, or fail where it fails. docs/expressions.md lists where we differ on purpose."""

import copy
from collections import Counter
from datetime import datetime
from itertools import product
from typing import Any

import pytest
from hypothesis import assume, given, settings

from projector.expr.ast import Ast
from projector.expr.check import check
from projector.expr.errors import ExprError
from projector.expr.parse import parse
from tests.contract.cel.process import Reference
from tests.contract.cel.values import CASES
from tests.support import generated_expressions as ours
from tests.support.random_expressions import METAS, events, expressions

EXAMPLES = max(1_500, settings().max_examples)


def compared(reference: Reference, tree: Ast, event: Any, meta: dict[str, Any]) -> Any:
    """The tagged value that the reference gives, once ours are found to be the same."""
    wanted = reference.evaluate(tree.source, event, meta)
    read = {**meta, "timestamp": datetime.fromisoformat(meta["timestamp"])}
    for sure in (False, True):
        found = ours.evaluate(tree, copy.deepcopy(event), copy.deepcopy(read), sure)
        if found != wanted:
            with ours.like_the_reference():
                found = ours.evaluate(tree, event, read, sure)
        assert found == wanted, f"{event}, with{'' if sure else 'out'} types of fields"
    return wanted


@pytest.mark.parametrize("text", CASES)
def test_every_operator_and_function_on_all_values(reference: Reference, text: str) -> None:
    tree = parse(text)
    check(tree)
    meta = {"timestamp": "2026-01-01T00:00:00Z"}
    names = CASES[text]
    results = [
        compared(reference, tree, dict(zip(names, values, strict=True)), meta) for values in product(*names.values())
    ]
    assert any(result is not None for result in results)


def test_random_expressions_on_random_events(reference: Reference) -> None:
    outcomes: Counter[str] = Counter()

    @settings(max_examples=EXAMPLES)
    @given(expressions(), events(), METAS)
    def compare(text: str, event: dict[str, Any], meta: dict[str, Any]) -> None:
        assume(len(text) < 1_000)
        try:
            tree = parse(text)
            check(tree)
        except ExprError:
            outcomes["refused"] += 1
            assume(False)
        wanted = compared(reference, tree, event, meta)
        outcomes["error" if wanted is None else "value"] += 1

    compare()
    assert outcomes["value"] >= EXAMPLES // 2, outcomes
    assert outcomes["error"] >= EXAMPLES // 20, outcomes
