"""What a row of the tables of tests is made of."""

from dataclasses import dataclass

from projection_operator.core.observation import Observation
from projection_operator.core.reasons import Reason


@dataclass(frozen=True)
class Row:
    """Expected: the edge, its reason, the actions, and Ready, Reconciling, Stalled."""

    edge: str
    seen: Observation
    reason: Reason
    actions: tuple[type, ...]
    conditions: tuple[str, str, str]


F, T, U = "False", "True", "Unknown"
