"""The world of the model test: servers, people, pods, two operators of which one leads, and time."""

import asyncio
from collections.abc import Callable, Collection, Mapping
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Any
from unittest.mock import patch

from projection_operator.core.merge import merge
from projection_operator.core.observation import HOLD_VERSION
from projector.ports import Partition
from projector.registry import BuildState, BuildView
from tests.support.model_cluster import ModelCluster, ModelLog, Object
from tests.support.model_ledger import Ledger
from tests.support.model_operator import Operator, Pass
from tests.support.model_registry import ModelRegistry
from tests.support.projections import NOW
from tests.support.specs import COLUMNS, spec_data

OPERATORS = ("operator-0", "operator-1")
AT_REST = 3
"""Passes in a row that change nothing, and nothing changes around them."""
STEP_DEADLINE = 31 * 60
"""Seconds."""
PATIENCE = 60
"""Passes within which all comes to rest."""


HINDRANCES = (
    ("cluster.wire", "down"),
    ("registry.wire", "down"),
    ("registry", "held_up"),
    ("registry", "swap_refused"),
    ("registry", "index_fails"),
    ("log", "down"),
    ("log", "keeps_groups"),
)
"""What stands in the way for some passes."""


def rules(version: str, *, other: bool = False) -> list[Object]:
    """The definition of a version; or another one, that somebody forgot to give a name of its own."""
    value = f"event.name{version}{'_other' if other else ''}"
    return [{"events": ["E"], "key": {"id": "event.id"}, "set": {"name": value}}]


def first_spec() -> Object:
    """What the first one applies."""
    return {
        **spec_data(rules("1"), COLUMNS[:2]),
        "promotion": {"caughtUp": {"maxLag": 30}},
        "rollback": {"retainFor": "2h"},
        "scaling": {"replicas": 1},
    }


class World:
    """All of it. A user edits `spec`, which is what the API server has, or would have."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._quiet = [patch(f"projection_operator.loop.{module}.log") for module in ("reconciler", "records")]
        for quiet in self._quiet:
            quiet.start()
        self.now = NOW
        self.ledger = Ledger()
        self.cluster, self.log = ModelCluster(self._clock), ModelLog(self._clock)
        self.registry = ModelRegistry(self._clock, self.ledger, self._may_delete, lambda: self.leader)
        self.cluster.plans = self.ledger.plans
        self.cluster.removes = self._removes
        self.registry.workers_run = lambda build: bool(self._room(build))
        self.leader = OPERATORS[0]
        self.operators = {name: self._operator(name) for name in OPERATORS}
        self.spec = first_spec()
        self.halted: list[Pass] = []
        self.cluster.create(self.spec)

    def _clock(self) -> datetime:
        return self.now

    def _operator(self, name: str) -> Operator:
        held: Callable[[], bool] = lambda: self.leader == name  # noqa: E731
        return Operator(name, self.cluster, self.registry, self.log, held, self._clock)

    def _may_delete(self) -> bool:
        return self.deleting and self.spec.get("deletionPolicy") == "Delete"

    def _removes(self, build: int) -> None:
        if not self.deleting and build in {one.number for one in self.registry.kept}:
            self.ledger.broken.append(f"the Deployment of build {build} was deleted, which is kept")

    def close(self) -> None:
        """End it."""
        self.kill_passes()
        self._loop.close()
        for quiet in self._quiet:
            quiet.stop()

    # People.

    @property
    def deleting(self) -> bool:
        """Whether the Projection is on its way out."""
        return self.cluster.body is not None and "deletionTimestamp" in self.cluster.body["metadata"]

    @property
    def status(self) -> Mapping[str, Any]:
        """What the status says."""
        found: Mapping[str, Any] = {} if self.cluster.body is None else self.cluster.body.get("status", {})
        return found

    @property
    def held(self) -> str | None:
        """The version that the annotation names."""
        body = self.cluster.body
        return None if body is None else body["metadata"]["annotations"].get(HOLD_VERSION)

    def kept_in(self, states: Collection[BuildState]) -> list[BuildView]:
        """Builds in one of these states, oldest first."""
        return [build for build in self.registry.kept if build.state in states]

    def edit(self, **fields: Any) -> None:
        """Sections by their fields; None removes."""
        self.spec = merge(self.spec, fields)
        if self.cluster.body is not None:
            self.cluster.edit(self.spec)

    def create_again(self) -> None:
        """From the same file."""
        self.cluster.create(self.spec)

    # Pods.

    def _room(self, build: BuildView) -> dict[Partition, int]:
        """How far a build's workers may go; empty where none works."""
        works = self.cluster.running().get(build.number) == build.epoch
        if not works or self.log.down or self.registry.wire.down or not self._fits(build):
            return {}
        return {point.partition: self._limit(build, point.partition, point.replay_end) for point in build.checkpoints}

    def _fits(self, build: BuildView) -> bool:
        bounds = {point.partition: self.log.ends.get(point.partition) for point in build.checkpoints}
        return all(
            (ends := bounds[point.partition]) is not None and ends.start <= point.next_offset <= ends.end
            for point in build.checkpoints
        )

    def _limit(self, build: BuildView, partition: Partition, replay_end: int) -> int:
        end = self.log.ends[partition].end
        return min(end, replay_end) if build.state is BuildState.REPLAYING else end

    def work(self, build: BuildView, steps: Mapping[int, int] | None = None) -> bool:
        """Workers of a build commit: so many events by number of the partition, or all. Whether anything moved."""
        room = self._room(build)
        if not room:
            return False
        to = {
            point.partition: min(room[point.partition], point.next_offset + steps.get(point.partition.number, 0))
            if steps is not None
            else room[point.partition]
            for point in build.checkpoints
        }
        moved = any(to[point.partition] > point.next_offset for point in build.checkpoints)
        return moved and self.registry.move(build.number, build.epoch, to)

    def work_all(self) -> bool:
        """All of them go as far as they may, and what takes long is done."""
        return any([self.make_indexes(), *[self.work(build) for build in self.registry.kept]])

    def make_indexes(self) -> bool:
        """Threads of operators come to their end. Whether there were any."""
        return sum(operator.work() for operator in self.operators.values()) > 0

    def go_on(self, rounds: int, arriving: int = 0, pace: int | None = None) -> None:
        """All do what they do; builds that are not live apply at most `pace` events of a partition in each round."""
        for _ in range(rounds):
            self.log.append(0, arriving)
            self.log.append(1, arriving)
            self.pass_()
            self.make_indexes()
            for build in self.registry.kept:
                self.work(build, None if pace is None or build is self.registry.live else {0: pace, 1: pace})
            self.later(3)

    # Operators.

    def later(self, seconds: float) -> None:
        """Time passes."""
        self.now += timedelta(seconds=seconds)

    def pass_(self) -> Pass:
        """The leader's, undisturbed."""
        return self._begin(None)

    def halt_pass(self, writes: int) -> None:
        """The leader's, which stops in front of a write; unless it has not so many."""
        begun = self._begin(writes)
        if begun.halted:
            self.halted.append(begun)

    def _begin(self, writes: int | None) -> Pass:
        begun = self.operators[self.leader].begin_pass(self._loop, writes)
        for thing, name in HINDRANCES:
            of = attrgetter(thing)(self)
            setattr(of, name, max(0, getattr(of, name) - 1))
        return begun

    def kill_passes(self) -> None:
        """Of those that stand still."""
        while self.halted:
            self.halted.pop().kill()

    # Rest.

    def heal_servers(self) -> None:
        """Whatever was down is up, and nothing is held up by others."""
        self.kill_passes()
        self.cluster.wire.heal()
        self.registry.wire.heal()
        self.registry.swap_refused = self.registry.held_up = self.registry.index_fails = 0
        self.log.down = self.log.keeps_groups = 0
        self.cluster.start_pods()
        self.cluster.collect_garbage()

    def heal_wishes(self) -> None:
        """Nothing that a user set stands in the way of the version that is asked for."""
        self.edit(
            suspend=False, scaling={"replicas": 1}, rebuild={"parallelism": 1}, rules=rules(self.spec["version"]),
            promotion={"mode": "Auto", "abortVersion": ""},
        )  # fmt: skip
        if self.cluster.body is not None:
            self.cluster.annotate(HOLD_VERSION, None)

    def settle(self) -> None:
        """Until nothing happens any more, and what stands still is called that."""
        self._quiet_down()
        self.later(STEP_DEADLINE)
        self._quiet_down()

    def _quiet_down(self) -> None:
        """Passes when the operator wants them, workers that work, until nothing happens any more."""
        rest = 0
        for _ in range(PATIENCE):
            before = self._writes()
            done = self.pass_()
            self.cluster.collect_garbage()
            moved = self.work_all()
            rest = 0 if moved or done.failed or self._writes() != before else rest + 1
            if rest == AT_REST or done.after is None:
                return
            self.later(done.after)
        raise AssertionError(f"does not come to rest in {PATIENCE} passes: {self.status.get('conditions')}")

    def _writes(self) -> int:
        return self.cluster.wire.writes + self.registry.wire.writes
