"""What people do with parked events of a `Target`, as `projector parked` does it on a real one."""

from collections.abc import Collection
from datetime import UTC, datetime

from projector.fold.delta import Key
from projector.fold.program import Program
from projector.parked import replayed
from projector.ports import BadRow, Park, Partition
from projector.registry import ParkedKey, ParkedRecord, Waiting
from tests.support.memory_store import Target

Place = tuple[Partition, Key]
_THEN = datetime(2026, 1, 1, tzinfo=UTC)


def parked(target: Target) -> dict[Place, list[int]]:
    """Offsets of the events that wait, in the order in which they do."""
    found: dict[Place, list[int]] = {}
    for park in target.parked:
        found.setdefault((park.partition, park.key), []).append(park.record.offset())
    return found


def replay(target: Target, program: Program, place: Place) -> bool:
    """Apply the events of a key as far as they can be applied; False: the target refuses the row, nothing happens."""
    waiting = _waiting(target, place)
    delta, staying = replayed(program, waiting)
    try:
        if delta is not None:
            target.write({waiting.key: delta})
    except BadRow:
        return False
    _keep(target, place, {offset for offset, _ in staying})
    return True


def discard(target: Target, place: Place, offsets: Collection[int]) -> None:
    """Pass over some of the events of a key."""
    target.discarded |= {(place[0], offset): "a person said so" for offset in offsets}
    _keep(target, place, set(parked(target)[place]) - set(offsets))


def _keep(target: Target, place: Place, offsets: Collection[int]) -> None:
    target.parked = [park for park in target.parked if _of(park) != place or park.record.offset() in offsets]
    target.generations[place[0]] = target.generations.get(place[0], 0) + 1


def _waiting(target: Target, place: Place) -> Waiting:
    partition, key = place
    records = tuple(_kept(park) for park in target.parked if _of(park) == place)
    first = ParkedKey(1, partition, str(key), len(records), records[0].at_offset, records[0].reason, _THEN)
    gone = frozenset(offset for where, offset in target.discarded if where == partition)
    return Waiting(first, key, target.generations.get(partition, 0), records, key in target.rows, gone)


def _of(park: Park) -> Place:
    return park.partition, park.key


def _kept(park: Park) -> ParkedRecord:
    record = park.record
    return ParkedRecord(
        park.reason,
        _THEN,
        record.topic(),
        record.partition(),
        record.offset(),
        record.timestamp(),
        record.key(),
        record.value(),
        tuple(record.headers() or ()),
    )
