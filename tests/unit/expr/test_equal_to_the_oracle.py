"""Generated code gives what the reference interpreter gives; tests/contract/cel holds it to a CEL that is not ours."""

import copy
from datetime import datetime
from typing import Any

from hypothesis import assume, given, settings

from projector.expr.check import check
from projector.expr.errors import ExprError
from projector.expr.parse import parse
from tests.support import generated_expressions as ours
from tests.support.oracle_expressions import Refused
from tests.support.oracle_expressions import evaluate as interpreted
from tests.support.random_expressions import METAS, events, expressions


@settings(max_examples=max(1_000, settings().max_examples))
@given(expressions(), events(), METAS)
def test_random_expressions_on_random_events(text: str, event: dict[str, Any], meta: dict[str, Any]) -> None:
    try:
        tree = parse(text)
        check(tree)
    except ExprError:
        assume(False)
    read = {**meta, "timestamp": datetime.fromisoformat(meta["timestamp"])}
    try:
        wanted = ours.tagged(interpreted(text, {"event": copy.deepcopy(event), "meta": read}))
    except Refused:
        wanted = None
    assert ours.evaluate(tree, event, read, sure=False) == wanted
    assert ours.evaluate(tree, event, read, sure=True) == wanted
