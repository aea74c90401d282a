"""Writes docs/edges.md from the table of edges: `python -m projection_operator.edge_docs`, or `make crds`.

Order, names, reasons and acts come from the code; the sentences are kept here. A row without one is an error.
"""

import sys
from collections.abc import Iterator
from dis import Instruction, get_instructions
from types import CodeType, FunctionType
from typing import Any

from projection_operator.core import actions
from projection_operator.core.edges import EDGES
from projection_operator.core.outcome import Edge, Outcome, pass_on
from projection_operator.core.reasons import STALLED, Reason

MEANING = {
    "deleting, not ours to hold": "The Projection is being deleted, and our finalizer is not on it.",
    "deleting, target kept": "It is being deleted, and `deletionPolicy` is `Retain`.",
    "deleting, registry unknown": "It is being deleted with `Delete`, and the registry cannot be read: deletion waits.",
    "deleting, entries left": "It is being deleted with `Delete`, and the registry still has it.",
    "deleting, nothing left": "It is being deleted with `Delete`, and the registry has nothing of it any more.",
    "finalizer missing": "`deletionPolicy` is `Delete`, and nothing would hold a deletion up.",
    "finalizer not wanted": "`deletionPolicy` is `Retain`, and our finalizer is still there.",
    "held version is kept": "The annotation names a version that is kept and near the live one.",
    "spec invalid": "The spec cannot be built.",
    "registry unknown": "The registry cannot be read.",
    "other public name": "Schema or table changed while a build is live.",
    "not registered": "The registry does not have this Projection, or another resource or name for it.",
    "candidate, aborted": "`promotion.abortVersion` names the candidate's version.",
    "candidate, superseded": "Another version or token is asked for than the candidate's, and none is held.",
    "live, held": "What is live is held by the annotation, against the spec.",
    "live, log does not fit": "What is live is asked for; its positions and its log do not fit.",
    "live, redefined": "What is live is asked for, with another definition than its own.",
    "live, suspended": "What is live is asked for, and `suspend` is true.",
    "live, index failed": "What is live is asked for, and an index of it cannot be made.",
    "live, indexes missing": "What is live is asked for, and has not the indexes that the spec asks for.",
    "live": "What is live is asked for.",
    "held version is not kept": "The annotation names a version that is neither live nor kept.",
    "rollback, redefined": "A kept build is asked for, with another definition than its own.",
    "rollback": "A kept build is asked for, and is near the live one.",
    "rollback, log does not fit": "A kept build is asked for and not near; the log does not fit, or lost what is live.",
    "rollback, behind": "A kept build is asked for, and is not near the live one, or that is not known.",
    "candidate, redefined": "The definition changed, and neither version nor token.",
    "candidate, log does not fit": "The log does not fit the candidate, or lost what the live build has read.",
    "suspended": "`suspend` is true.",
    "candidate, index failed": "The candidate has replayed, or is near; an index of it cannot be made.",
    "candidate, indexes missing": "The candidate has replayed, or is near; indexes or statistics are missing.",
    "replayed": "Every position has passed the end that was fixed when the build began.",
    "caught up, first": "The candidate is near the log's end, and nothing is live.",
    "caught up, plan unknown": "The candidate is near the live build; what a swap would meet is not known.",
    "caught up, not approved": "The candidate is near the live build, and a person has to approve the plan.",
    "caught up": "The candidate is near the live build, and may be shown.",
    "candidate, scaled to zero": "The spec asks for no pods.",
    "candidate, log unknown": "The candidate's log cannot be read.",
    "candidate, no access": "The projectors' Secret cannot be read, or does not open the database.",
    "candidate, stands still": "No position has moved for `rebuild.stepDeadline`.",
    "replaying": "The candidate replays.",
    "catching up": "The candidate follows the log, and is not near enough.",
    "no build, abort asked for": "`promotion.abortVersion` names the version that is asked for.",
    "no build, given up before": "The same version and token were aborted or rejected.",
    "no build, log unknown": "The log cannot be read.",
    "no build, compaction unknown": "Whether the topics are compacted cannot be read.",
    "no build, log is partial": "The log lacks events, and `source.allowPartialHistory` does not say why that may be.",
    "no build, no access": "The projectors' Secret cannot be read, or does not open the database.",
    "no build, plan unknown": "A build is live; what a swap would meet is not known.",
    "no build, swap would be blind": "The operator's role cannot see whom a swap has to wait for.",
    "no build, too many rebuilds": "A build is live, and as many rebuilds run as the operator allows.",
    "no build, plan not shown": "A build is live, and `status.plan` does not have this plan yet.",
    "no build": "None of the rows above holds.",
}
"""What has to hold for a row to decide, in words, where no row above it does."""

_HEAD = """\
<!-- Generated from the table of edges by `make crds`. -->
# Edges

What the operator does about one Projection, in the order in which it asks: of all rows, the first one that holds
decides. The last row always holds, so there is always one. Guards and consequences are in
`operator/projection_operator/core/`, and [resource.md](resource.md#reasons-and-what-to-do) explains the reasons;
**bold** ones need a person (Stalled). *What hinders*: the reason of what could not be read, or does not fit.

Beside the acts of the row each pass does what always holds (`core/upkeep.py`): Deployments as the spec asks, added
partitions and another role of the projectors admitted, builds given up that were kept for long enough, and what is left
of builds that were given up removed; indexes are begun that are missing (`core/indexing.py`). Words of the rows: *the
candidate* is the newest build on its way, *kept* is one that was live, *near* is within `promotion.caughtUp.maxLag`.

| | row | where | reason | acts |
|---|---|---|---|---|
"""


def edges_markdown() -> str:
    """The page; equal tables of edges give equal text."""
    return _HEAD + "".join(f"{_row(place, edge)}\n" for place, edge in enumerate(EDGES, 1))


def _row(place: int, edge: Edge) -> str:
    used = list(dict.fromkeys(_used(edge.then)))
    reasons = [_reason(one) for one in used if isinstance(one, Reason)]
    if pass_on in used:
        reasons = ["*what hinders*"]
    acts = [f"`{one.__name__}`" for one in used if isinstance(one, type) and one.__module__ == actions.__name__]
    return f"| {place} | {edge.name} | {MEANING[edge.name]} | {', '.join(reasons)} | {', '.join(acts) or 'none'} |"


def _reason(reason: Reason) -> str:
    return f"**`{reason}`**" if reason in STALLED else f"`{reason}`"


def _used(then: Any) -> Iterator[object]:
    """Globals and reasons that a consequence names, and those of the consequences that it calls."""
    named: object = None
    for step in _steps(then.__code__):
        if named is Reason:
            yield Reason[step.argval]
        named = then.__globals__.get(step.argval) if step.opname == "LOAD_GLOBAL" else None
        if isinstance(named, dict):
            yield from named.values()
        else:
            yield named
        if isinstance(named, FunctionType) and named.__annotations__.get("return") is Outcome:
            yield from _used(named)


def _steps(code: CodeType) -> Iterator[Instruction]:
    for step in get_instructions(code):
        if isinstance(step.argval, CodeType):
            yield from _steps(step.argval)
        yield step


if __name__ == "__main__":
    sys.stdout.write(edges_markdown())
