"""What becomes of a batch: rows to write, and events to keep aside with their keys."""

from collections.abc import Collection

from projector.fold.delta import Forked, Key, Parked, ParkedEvent
from projector.fold.folded import Folded

Aside = list[tuple[Key, ParkedEvent]]
"""Events to park with the row key they wait for, in the order of the log for each key."""


def undecided(folded: Folded) -> list[Key]:
    """Keys whose outcome depends on whether their row exists."""
    return [key for key in folded.special if isinstance(folded.deltas.get(key), Forked)]


def resolve(folded: Folded, existing: Collection[Key]) -> Aside:
    """Decide by the `undecided` keys that exist. Afterwards `folded.deltas` holds only what a store takes."""
    aside: Aside = []
    for key in folded.special:
        delta = folded.deltas.pop(key, None)
        if isinstance(delta, Forked):
            delta = delta.present if key in existing else Parked(None, delta.events)
        if isinstance(delta, Parked):
            aside += [(key, event) for event in delta.events]
            delta = delta.before
        if delta is not None:
            folded.deltas[key] = delta
    folded.special.clear()
    return aside
