"""Expressions give what cel-go gives, or fail where it fails. docs/expressions.md lists where we differ on purpose."""

import copy
from collections import Counter
from datetime import datetime
from typing import Any

from hypothesis import assume, given, settings

from projector.expr.ast import Ast
from projector.expr.check import check
from projector.expr.errors import ExprError
from projector.expr.parse import parse
from tests.contract.cel import ours
from tests.contract.cel.process import Reference
from tests.contract.cel.strategies import METAS, events, expressions

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
        assert found == wanted, f"with{'' if sure else 'out'} types of fields"
    return wanted


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
