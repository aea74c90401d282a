"""Where a projection may come to rest: the reason that the status gives, and whether it is true."""

from collections.abc import Callable

from projection_operator.core.reasons import STALLED, Reason
from projector.registry import BuildState, BuildView
from tests.support.model_world import World

HEALED = {
    Reason.SERVING,
    Reason.DEFINITION_CHANGED,
    Reason.ABORTED,
    Reason.PARTIAL_HISTORY,
    Reason.SOURCE_CHANGED,
    Reason.NO_PROGRESS,
}
"""Reasons that may be left where all servers are up and nobody holds anything back: history, and the log itself."""


def check_rest(world: World, *, healed: bool) -> None:
    """Nothing happens any more: is that right."""
    if world.cluster.body is None:
        _nothing_runs(world, set())
        return
    assert not world.deleting, "deletion does not go on"
    reason = reason_of(world)
    facts = f"{reason}: {world.status['conditions']}"
    assert not healed or reason in HEALED, facts
    assert reason in TRUE, f"not a named end: {facts}"
    assert TRUE[reason](world), f"not true: {facts}"
    live = world.registry.live
    assert world.status.get("liveBuild") == (None if live is None else live.number)
    _nothing_runs(world, {build.number for build in world.registry.kept})
    given_up = [one.number for one in world.registry.builds.values() if one.state is BuildState.ABANDONED]
    assert not given_up or world.log.keeps_groups or reason is Reason.INVALID_SPEC, f"{given_up} are never dropped"


def check_expired(world: World) -> None:
    """Long after the last change: what was replaced is gone."""
    if world.cluster.body is None:
        return
    left = [one.number for one in world.registry.kept if one.state is BuildState.WARM and not _asked(world, one)]
    assert not left, f"builds {left} are kept for ever"


def reason_of(world: World) -> Reason:
    """The one word for where it stands."""
    found = {one["type"]: one for one in world.status["conditions"]}
    if found["Stalled"]["status"] == "True":
        assert found["Stalled"]["reason"] in STALLED
        return Reason(found["Stalled"]["reason"])
    return Reason(found["Reconciling"]["reason"])


def _nothing_runs(world: World, but: set[int]) -> None:
    running = {body["metadata"]["labels"]["projections.dev/build"] for body in world.cluster.deployments_.values()}
    assert running <= {str(number) for number in but}, f"Deployments of {running}, builds {but}"


def _of_spec(world: World, build: BuildView) -> bool:
    return (build.version, build.token) == (world.spec["version"], world.spec.get("rebuildToken", ""))


def _asked(world: World, build: BuildView) -> bool:
    return _of_spec(world, build) if world.held is None else build.version == world.held


def _serves(world: World) -> bool:
    """The version that is asked for is live, and has read all that it may."""
    live = world.registry.live
    if live is None or not _asked(world, live) or _redefined(world):
        return False
    behind = sum(world.log.ends[point.partition].end - point.next_offset for point in live.checkpoints)
    return behind == 0 or (world.spec["scaling"]["replicas"] == 0 and world.status["lag"]["events"] == behind)


def _redefined(world: World) -> bool:
    rules = world.spec["rules"]
    builds = [one for one in world.registry.kept if _of_spec(world, one)]
    return any(one.definition.rules[0].set != rules[0]["set"] for one in builds)


def _aborted(world: World) -> bool:
    version, token = world.spec["version"], world.spec.get("rebuildToken", "")
    return world.spec["promotion"].get("abortVersion") == version or (version, token) in world.ledger.never_again


def _partial(world: World) -> bool:
    allowed, live = world.spec["source"].get("allowPartialHistory"), world.registry.live
    cut = any(bounds.start > 0 for bounds in world.log.ends.values())
    return not allowed and (cut or (live is not None and _lost(world, live)))


def _lost(world: World, build: BuildView) -> bool:
    """The log does not go as far any more as this build has read."""
    ends = {partition: bounds.end for partition, bounds in world.log.ends.items()}
    return any(ends.get(point.partition, -1) < point.next_offset for point in build.checkpoints)


def _source_changed(world: World) -> bool:
    candidates = {BuildState.REPLAYING, BuildState.CATCHING_UP}
    return any(
        one.state in candidates or _asked(world, one) or _of_spec(world, one)
        for one in world.registry.kept
        if not fits(world, one)
    )


def fits(world: World, build: BuildView) -> bool:
    """Whether the log holds what a build reads next."""
    bounds = [(world.log.ends.get(point.partition), point.next_offset) for point in build.checkpoints]
    return all(ends is not None and ends.start <= at <= ends.end for ends, at in bounds)


def _awaits(world: World) -> bool:
    promotion, builds = world.spec["promotion"], world.registry.kept
    if promotion["mode"] != "Manual":
        return False
    return any(one.state is BuildState.CATCHING_UP and _of_spec(world, one) for one in builds)


def _held(world: World) -> bool:
    live = world.registry.live
    return live is not None and world.held is not None and live.version == world.held != world.spec["version"]


def _hold_misses(world: World) -> bool:
    shown = {BuildState.LIVE, BuildState.WARM}
    return world.held is not None and world.held not in {
        one.version for one in world.registry.kept if one.state in shown
    }


def _nobody_works(world: World) -> bool:
    return bool(world.spec.get("suspend")) or world.spec["scaling"]["replicas"] == 0


def _cannot_replay(world: World) -> bool:
    """The log lost records between the position of a build and the end that was fixed when it began."""
    ends = {partition: bounds.end for partition, bounds in world.log.ends.items()}
    replaying = [one for one in world.registry.kept if one.state is BuildState.REPLAYING]
    return any(ends[point.partition] < point.replay_end for one in replaying for point in one.checkpoints)


TRUE: dict[Reason, Callable[[World], bool]] = {
    Reason.SERVING: _serves,
    Reason.HELD: _held,
    Reason.SUSPENDED: lambda world: bool(world.spec.get("suspend")),
    Reason.SCALED_TO_ZERO: _nobody_works,
    Reason.AWAITING_APPROVAL: _awaits,
    Reason.INVALID_SPEC: lambda world: "nowhere" in str(world.spec["rules"]),
    Reason.DEFINITION_CHANGED: _redefined,
    Reason.ABORTED: _aborted,
    Reason.PARTIAL_HISTORY: _partial,
    Reason.SOURCE_CHANGED: _source_changed,
    Reason.HELD_VERSION_MISSING: _hold_misses,
    Reason.NO_PROGRESS: _cannot_replay,
    # Nobody works because a user wants it so; the status says beside it that it is suspended.
    Reason.ROLLING_BACK: _nobody_works,
    Reason.SWAP_WAITING: _nobody_works,
}
"""Named ends, and when each is the right one."""
