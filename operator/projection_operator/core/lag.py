"""How far a build is behind its log, from the registry's checkpoints and the log's read_committed ends."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from projection_operator.core.observation import SourceView, Unknown
from projection_operator.core.reasons import Reason
from projector.ports import Ends, Partition
from projector.registry import BuildView, CheckpointView, Identity

CAUGHT_UP = 100
"""Unread events at which a first build is good enough to be shown."""


@dataclass(frozen=True, slots=True)
class Lag:
    """Events not yet in the read model, and the age in seconds of the oldest (None: its age could not be read)."""

    events: int
    seconds: int | None


def unread(build: BuildView, ends: Mapping[Partition, Ends]) -> dict[Partition, int]:
    """Offset of the first event to read, for each partition that has one. New partitions count from their start."""
    behind: dict[Partition, int] = {}
    at = {checkpoint.partition: checkpoint.next_offset for checkpoint in build.checkpoints}
    for partition, bounds in ends.items():
        position = max(at.get(partition, bounds.start), bounds.start)
        if bounds.end > position:
            behind[partition] = position
    return behind


def measure(build: BuildView, source: SourceView | Unknown, now: datetime) -> Lag | Unknown:
    """The lag, or why it is not known."""
    if isinstance(source, Unknown):
        return source
    changed = source_changed(build, source)
    if changed is not None:
        return changed
    behind = unread(build, source.ends)
    events = sum(source.ends[partition].end - position for partition, position in behind.items())
    return Lag(events, _age(source.oldest, now) if behind else 0)


def _age(oldest: Mapping[Partition, int] | None, now: datetime) -> int | None:
    if not oldest:
        return None
    return max(0, int(now.timestamp() - min(oldest.values()) / 1000))


def source_changed(build: BuildView, source: SourceView) -> Unknown | None:
    """Why the checkpoints do not fit the log: another incarnation of the topic, or one that ends before them."""
    for checkpoint in build.checkpoints:
        message = _misfit(checkpoint, source.ends)
        if message:
            return Unknown(Reason.SOURCE_CHANGED, f"spec.source.kafka.topics[0]: {message}")
    return None


def _misfit(checkpoint: CheckpointView, ends: Mapping[Partition, Ends]) -> str:
    partition = checkpoint.partition
    bounds = ends.get(partition)
    if bounds is None:
        return (
            f"topic {partition.topic}, partition {partition.number}, is not the one that was read: "
            f"it was deleted and created again (id then {partition.topic_id})"
        )
    if checkpoint.next_offset > bounds.end:
        return (
            f"topic {partition.topic}, partition {partition.number}, ends at offset {bounds.end}, "
            f"before the position {checkpoint.next_offset} of the read model: records were lost or cut off"
        )
    return ""


def grown(build: BuildView, source: SourceView) -> Unknown | None:
    """Why the build does not read the whole topic: partitions were added after it began."""
    known = {checkpoint.partition for checkpoint in build.checkpoints}
    new = sorted(partition for partition in source.ends if partition not in known)
    if not new:
        return None
    return Unknown(
        Reason.PARTITIONS_GROWN,
        f"spec.source.kafka.topics[0]: topic {new[0].topic} has {len(source.ends)} partitions, "
        f"build {build.number} was begun with {len(known)}",
    )


def replayed(build: BuildView) -> bool:
    """Whether every checkpoint has reached the end that was fixed when the build began."""
    return all(checkpoint.next_offset >= checkpoint.replay_end for checkpoint in build.checkpoints)


def percent(build: BuildView) -> int:
    """How much of the replay is done, rounded down, so that 100 means all."""
    total = sum(max(0, checkpoint.replay_end - checkpoint.start) for checkpoint in build.checkpoints)
    done = sum(
        max(0, min(checkpoint.next_offset, checkpoint.replay_end) - checkpoint.start)
        for checkpoint in build.checkpoints
    )
    return 100 if total == 0 else done * 100 // total


def stuck(build: BuildView, owner: Identity) -> Unknown | None:
    """Which events stand in the way, and the command that passes over the first of them."""
    found = [checkpoint.stuck for checkpoint in build.checkpoints if checkpoint.stuck is not None]
    if not found:
        return None
    first = min(found, key=lambda event: event.partition)
    at = first.partition
    more = f" ({len(found) - 1} more partitions are stuck)" if len(found) > 1 else ""
    return Unknown(
        Reason.PARTITIONS_STUCK,
        f"topic {at.topic}, partition {at.number}, offset {first.offset}: {first.message}{more}. "
        f"The partition waits in front of this event. To pass over it: projector discard "
        f"--installation {owner.installation} --namespace {owner.namespace} --name {owner.name} "
        f"--partition {at.topic}/{at.number} --offset {first.offset} --reason <why>",
    )
