"""Parked events of a key, folded once more: what they come to, and which of them go on waiting."""

from projector.fold.delta import Delta, Upsert
from projector.fold.folded import BadEvent, Folded
from projector.fold.outcome import resolve
from projector.fold.program import Program
from projector.registry import RegistryError, Waiting

Outcome = tuple[Upsert | Delta | None, list[tuple[int, str]]]
"""What happens to the row, and the events that stay parked: offset and reason."""


def replayed(program: Program, waiting: Waiting) -> Outcome:
    """Fold the events of a parked key as the worker does, one behind the other, for this key alone.

    Where one still cannot be applied, it stays parked with all behind it. One that was discarded is passed over.
    Raises RegistryError where an event does not even tell its keys.
    """
    folded = Folded()
    for record in waiting.records:
        try:
            program.fold([record], folded)
        except BadEvent as bad:
            _settle(program, waiting, bad, folded)
    aside = resolve(folded, [waiting.key] if waiting.exists else [])
    staying = [(event.record.offset(), event.reason) for key, event in aside if key == waiting.key]
    delta = folded.deltas.get(waiting.key)
    return (None if delta is None else _written(delta)), staying


def _settle(program: Program, waiting: Waiting, bad: BadEvent, folded: Folded) -> None:
    passed_over = bad.offset in waiting.discarded
    if bad.keys is None and not passed_over:
        raise RegistryError(f"offset {bad.offset} cannot be applied, nor told whose it is: {bad.message}")
    program.settle(bad, folded, park=not passed_over)


def _written(delta: object) -> Upsert | Delta:
    if not isinstance(delta, list | Delta):
        raise TypeError("a resolved delta is one that a store takes")
    return delta


def shown(value: bytes | None) -> str | None:
    """Bytes for people: as text where they are text, else in hex."""
    if value is None:
        return None
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return "0x" + value.hex()
    return "".join(c if c.isprintable() or c in "\n\t" else repr(c)[1:-1] for c in text)
