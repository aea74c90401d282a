"""How far a build is behind its log, from the registry's checkpoints and the log's read_committed ends."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from projection_operator.core.observation import SourceView, Unknown
from projection_operator.core.reasons import Reason
from projector.ports import Ends, Partition
from projector.registry import BuildView, CheckpointView, Identity

BLOCKED_AFTER = timedelta(seconds=90)
"""How long a partition's last stable offset may stand still while records are written behind it.

A producer's transaction times out after 60 s unless it asks for more; the broker looks for such every 10 s.
"""


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
        position = at.get(partition, bounds.start)
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
    """Why the checkpoints do not fit the log: another incarnation of the topic, or one that does not hold them."""
    for checkpoint in build.checkpoints:
        message = _misfit(checkpoint, source.ends)
        if message:
            return Unknown(Reason.SOURCE_CHANGED, f"{field(build, checkpoint.partition.topic)}: {message}")
    return None


def lost(build: BuildView, source: SourceView) -> frozenset[Partition]:
    """Partitions in which no other build can come as far as `build`, since the log does not go there any more."""
    return frozenset(
        checkpoint.partition
        for checkpoint in build.checkpoints
        if checkpoint.partition not in source.ends or checkpoint.next_offset > source.ends[checkpoint.partition].end
    )


def behind(build: BuildView, other: BuildView, passed_over: frozenset[Partition]) -> int:
    """Events between `build` and `other`, where `other` is farther; a partition that `build` lacks counts whole."""
    at = {checkpoint.partition: checkpoint.next_offset for checkpoint in build.checkpoints}
    return sum(
        max(0, checkpoint.next_offset - at.get(checkpoint.partition, checkpoint.start))
        for checkpoint in other.checkpoints
        if checkpoint.partition not in passed_over
    )


def field(build: BuildView, topic: str) -> str:
    """Where the spec names the topic."""
    return topic_field(build.definition.topics, topic)


def topic_field(topics: Sequence[str], topic: str) -> str:
    """The same, where these are the spec's topics."""
    place = f"[{topics.index(topic)}]" if topic in topics else ""
    return f"spec.source.kafka.topics{place}"


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
    if checkpoint.next_offset < bounds.start:
        return (
            f"topic {partition.topic}, partition {partition.number}, starts at offset {bounds.start}, after the "
            f"position {checkpoint.next_offset} of the read model: retention (or delete-records) overtook it, and "
            f"{bounds.start - checkpoint.next_offset} offsets can be read no more"
        )
    return ""


def added(build: BuildView, source: SourceView) -> tuple[Partition, ...]:
    """Partitions of the build's topics that it has no checkpoints for; none of a topic that was created anew."""
    known = {checkpoint.partition for checkpoint in build.checkpoints}
    topics = {(partition.topic, partition.topic_id) for partition in known}
    return tuple(sorted(p for p in source.ends if p not in known and (p.topic, p.topic_id) in topics))


def may_grow(build: BuildView) -> bool:
    """Whether rows come out the same however events are spread over partitions."""
    return build.definition.ordering.mode != "PerKey"


def grown(build: BuildView, source: SourceView) -> Unknown | None:
    """Why the build cannot go on where a topic grew: events of a key may lie in two partitions from then on."""
    new = added(build, source)
    if not new or may_grow(build):
        return None
    topic = new[0].topic
    there = sum(1 for partition in source.ends if partition.topic == topic)
    known = sum(1 for checkpoint in build.checkpoints if checkpoint.partition.topic == topic)
    return Unknown(
        Reason.PARTITIONS_GROWN,
        f"{field(build, topic)}: topic {topic} has {there} partitions, build {build.number} was begun with {known}",
    )


def blocked(build: BuildView, source: SourceView, servers: Sequence[str], now: datetime) -> Unknown | None:
    """Which transaction hides what was written after it for too long, and the command that ends it."""
    found = {p: since for p, since in source.unsettled.items() if now - since >= BLOCKED_AFTER and _reads(build, p)}
    if not found:
        return None
    at = min(found, key=lambda partition: (found[partition], partition))
    bounds = source.ends[at]
    hidden = f"{bounds.written - bounds.end} offsets" if bounds.written is not None else "what comes"
    more = f" ({len(found) - 1} more partitions have one)" if len(found) > 1 else ""
    return Unknown(
        Reason.SOURCE_BLOCKED,
        f"topic {at.topic}, partition {at.number}: a transaction that begins at offset {bounds.end} is open since "
        f"{found[at]:%Y-%m-%dT%H:%M:%SZ} or longer{more}; {hidden} from there on cannot be read, and are not counted "
        f"as lag. If its producer is gone: kafka-transactions.sh --bootstrap-server {','.join(servers)} abort "
        f"--topic {at.topic} --partition {at.number} --start-offset {bounds.end}",
    )


def _reads(build: BuildView, partition: Partition) -> bool:
    return any(checkpoint.partition == partition for checkpoint in build.checkpoints)


def replayed(build: BuildView) -> bool:
    """Whether every checkpoint has reached the end that was fixed when the build began."""
    return all(checkpoint.next_offset >= checkpoint.replay_end for checkpoint in build.checkpoints)


def to_replay(build: BuildView) -> int:
    """Offsets between the starts and the ends that were fixed when the build began."""
    return sum(max(0, checkpoint.replay_end - checkpoint.start) for checkpoint in build.checkpoints)


def replayed_events(build: BuildView) -> int:
    """Those of them that are done."""
    return sum(
        max(0, min(checkpoint.next_offset, checkpoint.replay_end) - checkpoint.start)
        for checkpoint in build.checkpoints
    )


def percent(build: BuildView) -> int:
    """How much of the replay is done, rounded down, so that 100 means all."""
    total = to_replay(build)
    return 100 if total == 0 else replayed_events(build) * 100 // total


def stuck(build: BuildView, owner: Identity) -> Unknown | None:
    """Which events stand in the way, and the command that passes over the first of them."""
    found = [checkpoint.stuck for checkpoint in build.checkpoints if checkpoint.stuck is not None]
    if not found:
        return None
    first = min(found, key=lambda event: event.partition)
    at = first.partition
    others = len(found) - 1
    more = f" ({'1 more partition is' if others == 1 else f'{others} more partitions are'} stuck)" if others else ""
    beside = f". Parked keys: {build.parked_keys}; see {parked_list(owner)}" if build.parked_keys else ""
    return Unknown(
        Reason.PARTITIONS_STUCK,
        f"topic {at.topic}, partition {at.number}, offset {first.offset}: {first.message}{more}. "
        f"The partition waits in front of this event. To pass over it: projector discard {_options(owner)} "
        f"--partition {at.topic}/{at.number} --offset {first.offset} --reason <why>{beside}",
    )


def parked(build: BuildView, owner: Identity) -> Unknown | None:
    """How many keys wait behind events that could not be applied, and the command that shows them."""
    if not build.parked_keys:
        return None
    keys, each = ("1 key is", "it") if build.parked_keys == 1 else (f"{build.parked_keys} keys are", "each")
    return Unknown(
        Reason.PARKED_KEYS,
        f"{keys} parked: an event of {each} could not be applied, and its later ones wait behind it; all other keys go "
        f"on. To see them: {parked_list(owner)}. To let one go on, with the same options: projector parked discard "
        f"--key <key> --offset <first> --reason <why>, then projector parked replay --key <key>",
    )


def parked_list(owner: Identity) -> str:
    """The command that lists parked events."""
    return f"projector parked list {_options(owner)}"


def _options(owner: Identity) -> str:
    return f"--installation {owner.installation} --namespace {owner.namespace} --name {owner.name}"
