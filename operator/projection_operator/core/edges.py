"""What to do next: the first edge whose guard holds decides. The last one always holds, so the table is total."""

from projection_operator.core.beginning import BEGINNING
from projection_operator.core.case import Case
from projection_operator.core.outcome import Edge, Outcome
from projection_operator.core.registration import REGISTRATION
from projection_operator.core.rollout import CANDIDATE, GIVEN_UP
from projection_operator.core.serving import EMERGENCY, LIVE
from projection_operator.core.teardown import DELETION

EDGES: tuple[Edge, ...] = (*DELETION, *EMERGENCY, *REGISTRATION, *GIVEN_UP, *LIVE, *CANDIDATE, *BEGINNING)


def outcome(case: Case) -> Outcome:
    """What the table says about `case`."""
    return edge(case).then(case)


def edge(case: Case) -> Edge:
    """The row that decides `case`."""
    return next(row for row in EDGES if row.when(case))
