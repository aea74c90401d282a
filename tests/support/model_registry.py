"""The registry in memory for the model test, as strict as `projector.stores.postgres`: the same states and refusals."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, TypeVar

from projector.indexes import Indexes, IndexFailure, Indexing, IndexView
from projector.ports import Ends, Partition, StoreUnavailable
from projector.registry import (
    BuildState,
    BuildView,
    CheckpointView,
    Deposed,
    EndedBuild,
    Ending,
    Identity,
    ProjectionView,
    PublicName,
    Survey,
    SwapTerms,
    SwapWaiting,
    WrongState,
)
from projector.spec.definition import Definition
from projector.spec.models import Index
from tests.support.model_ledger import GIVEN_UP, Ledger
from tests.support.model_wire import GATE, Wire
from tests.support.projections import SURVEY

T = TypeVar("T")
STEPS = 5
"""Events of a partition that workers apply while a swap waits for them."""
REMEMBERED = 20
"""Ended builds that `observe` tells of."""

_OPEN = {BuildState.CATCHING_UP, BuildState.LIVE, BuildState.WARM}


@dataclass
class Entry:
    """A projection with all builds that it ever had."""

    uid: str
    public_name: PublicName
    live: int | None = None
    builds: dict[int, BuildView] = field(default_factory=dict)


class ModelRegistry:
    """One database with one projection. Its methods do what the adapter's transactions do."""

    def __init__(
        self,
        clock: Callable[[], datetime],
        ledger: Ledger,
        may_delete: Callable[[], bool],
        lease_holder: Callable[[], str],
    ) -> None:
        self.wire = Wire(StoreUnavailable("db:5432/app: no answer"))
        self.entry: Entry | None = None
        self.epoch = 0
        self.swap_refused = self.held_up = self.index_fails = 0
        self.making: set[int] = set()
        """Builds whose indexes are being made."""
        self.workers_run: Callable[[BuildView], bool] = lambda _: False
        self._clock, self._ledger, self._may_delete, self._holder = clock, ledger, may_delete, lease_holder
        self._numbers = 0

    @property
    def builds(self) -> Mapping[int, BuildView]:
        """All builds, retired ones included."""
        return {} if self.entry is None else self.entry.builds

    @property
    def kept(self) -> tuple[BuildView, ...]:
        """Builds that are not given up, oldest first."""
        return tuple(one for one in self.builds.values() if one.state not in GIVEN_UP)

    @property
    def live(self) -> BuildView | None:
        """What readers see."""
        return None if self.entry is None or self.entry.live is None else self.entry.builds[self.entry.live]

    def change(self, number: int, **changes: Any) -> None:
        """Write a build's row."""
        self._sure().builds[number] = replace(self.builds[number], **changes)

    def move(self, number: int, epoch: int, to: Mapping[Partition, int]) -> bool:
        """A worker's commit: nothing, where it is fenced."""
        build = self.builds.get(number)
        if build is None or build.epoch != epoch or build.state in GIVEN_UP:
            return False
        self._move(build, to)
        self._look()
        return True

    def act(self, who: str, epoch: int, what: str, do: Callable[[], T]) -> T:
        """One transaction under the operator's epoch."""

        def led() -> T:
            if not self._leads(epoch):
                raise Deposed(f"another operator leads this registry since epoch {epoch}")
            result = do()
            self._ledger.acted(who, what)
            self._look()
            return result

        return self.wire.write(led)

    def _leads(self, epoch: int) -> bool:
        return epoch == self.epoch

    def lead(self, who: str) -> int:
        """Raise the epoch."""

        def take() -> int:
            self.epoch += 1
            self._ledger.led(who, self._holder())
            return self.epoch

        return self.wire.write(take)

    def view(self, identity: Identity) -> ProjectionView | None:
        """As `observe` gives it."""
        self.wire.read()
        if self.entry is None:
            return None
        present = tuple(self._told(one) for one in self.builds.values() if one.state is not BuildState.RETIRED)
        ended = sorted((one for one in self.builds.values() if one.ending is not None), key=lambda one: -one.number)
        told = tuple(
            EndedBuild(one.number, one.version, one.token, one.ending, one.reason, one.changed_at)
            for one in ended[:REMEMBERED]
            if one.ending is not None
        )
        return ProjectionView(identity, self.entry.uid, self.entry.public_name, self.entry.live, present, told)

    def _told(self, build: BuildView) -> BuildView:
        under_way = Indexing(50) if build.number in self.making else None
        return replace(build, indexes=replace(build.indexes, under_way=under_way))

    def survey(self) -> Survey | None:
        """As the port says."""
        self.wire.read()
        return None if self.live is None else SURVEY

    def claim(self, uid: str, public_name: PublicName) -> None:
        """Register or adopt."""
        if self.entry is None:
            self.entry = Entry(uid, public_name)
        if self.entry.live is not None and self.entry.public_name != public_name:
            raise WrongState(f"the public name cannot become {public_name} while build {self.entry.live} is live")
        self.entry.uid, self.entry.public_name = uid, public_name

    def begin(
        self,
        epoch_of_build: int,
        identity: Identity,
        what: tuple[str, str, Definition],
        partitions: Mapping[Partition, Ends],
        role: str,
    ) -> int:
        """Create a build, or find the one of this version and token."""
        version, token, definition = what
        if self.entry is None:
            raise WrongState("the projection is not registered")
        for one in self.kept:
            if (one.version, one.token) == (version, token):
                if one.fingerprint != definition.fingerprint:
                    raise WrongState(f"version {version} is build {one.number}, of another definition")
                return one.number
        self._numbers += 1
        number, now = self._numbers, self._clock()
        points = tuple(
            CheckpointView(one, ends.start, ends.start, ends.end, None, now, None) for one, ends in partitions.items()
        )
        group = f"projections.{identity.installation[:8]}.{identity.namespace}.{identity.name}.b{number}"
        build = BuildView(
            number, version, token, BuildState.REPLAYING, epoch_of_build, definition, definition.fingerprint,
            f"t__b{number}", now, None, "", points, role, now, group,
        )  # fmt: skip
        self.entry.builds[number] = build
        self._ledger.began(build, GATE.get().body)
        return number

    def build_indexes(self, number: int, wanted: Sequence[Index], needless: Sequence[Index], *, analyze: bool) -> None:
        """Make, drop and analyze; a failure is noted."""
        build, now = self._get(number), self._clock()
        if build.state in GIVEN_UP:
            raise WrongState(f"build {number} was given up")
        made = {one.index: one for one in build.indexes.made if one.index not in needless}
        failures = tuple(IndexFailure(index, "could not extend file", now) for index in wanted if self.index_fails)
        made |= {index: IndexView(index, valid=True) for index in wanted if not failures}
        analyzed_at = now if analyze and not failures else build.indexes.analyzed_at
        self.change(number, indexes=Indexes(tuple(made.values()), failures, None, analyzed_at))

    def open_catch_up(self, number: int) -> None:
        """Replaying → CatchingUp."""
        if number in self.making and self._get(number).state is BuildState.REPLAYING:
            raise WrongState(f"an index of build {number} is being made")
        if self._get(number).state in _OPEN:
            return
        self._require(number, BuildState.REPLAYING)
        self._enter(number, BuildState.CATCHING_UP, replayed_at=self._clock())

    def publish(self, number: int) -> None:
        """CatchingUp → Live where nothing is live."""
        if self._get(number).state is BuildState.LIVE:
            return
        self._require(number, BuildState.CATCHING_UP)
        if self.live is not None:
            raise WrongState(f"build {self.live.number} is live")
        self._ledger.shows(self._get(number), GATE.get().body)
        self._enter(number, BuildState.LIVE, published_at=self._clock())
        self._sure().live = number

    def swap(self, number: int, terms: SwapTerms) -> None:
        """CatchingUp or Warm → Live, where it is as far as the live one or comes there within the gate."""
        coming, live = self._get(number), self.live
        if live is None:
            raise WrongState(f"nothing is live that build {number} could take the place of")
        if live.number == number:
            return
        if coming.state not in {BuildState.CATCHING_UP, BuildState.WARM}:
            raise WrongState(f"build {number} is {coming.state}, not CatchingUp or Warm")
        if self.held_up:
            raise SwapWaiting("pid 4711 reads public.t")
        self._gate(coming, live, terms.ungated)
        if self.swap_refused:
            raise WrongState("public.t cannot get other columns while objects depend on it: view totals")
        self._ledger.shows(self._get(number), GATE.get().body)
        self._enter(live.number, BuildState.WARM)
        self._enter(number, BuildState.LIVE, published_at=self._clock())
        self._sure().live = number

    def _gate(self, coming: BuildView, live: BuildView, ungated: Collection[Partition]) -> None:
        if self.workers_run(coming):
            ahead = {point.partition: point.next_offset for point in live.checkpoints}
            steps = {point.partition: point.next_offset + STEPS for point in coming.checkpoints}
            self._move(coming, {one: min(at, ahead[one]) for one, at in steps.items() if one in ahead})
        at = {point.partition: point.next_offset for point in self.builds[coming.number].checkpoints}
        for point in live.checkpoints:
            if at.get(point.partition, -1) < point.next_offset and point.partition not in ungated:
                raise SwapWaiting(f"build {coming.number} is behind build {live.number} in {point.partition}")

    def abandon(self, number: int, ending: Ending, reason: str) -> None:
        """Fence the workers."""
        build = self._get(number)
        if build.state in GIVEN_UP:
            return
        if self.live is not None and number == self.live.number:
            raise WrongState(f"build {number} is live")
        self._enter(number, BuildState.ABANDONED, ending=ending, reason=reason, epoch=build.epoch + 1)
        self._ledger.ended(build, ending, self._sure().live)

    def retire(self, number: int) -> None:
        """Abandoned → Retired."""
        if self._get(number).state is BuildState.RETIRED:
            return
        self._require(number, BuildState.ABANDONED)
        self._enter(number, BuildState.RETIRED, checkpoints=())
        self._ledger.dropped(number, self._sure().live)

    def delete(self) -> None:
        """Drop all of it."""
        if self.entry is None:
            return
        self._ledger.forgot(asked_for=self._may_delete())
        self.entry = None

    def _move(self, build: BuildView, to: Mapping[Partition, int]) -> None:
        now = self._clock()
        moved = tuple(
            replace(point, next_offset=to[point.partition], moved_at=now)
            if to.get(point.partition, 0) > point.next_offset
            else point
            for point in build.checkpoints
        )
        self.change(build.number, checkpoints=moved)

    def _enter(self, number: int, state: BuildState, **changes: Any) -> None:
        self.change(number, state=state, changed_at=self._clock(), **changes)

    def _get(self, number: int) -> BuildView:
        if number not in self.builds:
            raise WrongState(f"there is no build {number}")
        return self.builds[number]

    def _require(self, number: int, state: BuildState) -> None:
        if self._get(number).state is not state:
            raise WrongState(f"build {number} is {self._get(number).state}, not {state}")

    def _sure(self) -> Entry:
        assert self.entry is not None
        return self.entry

    def _look(self) -> None:
        self._ledger.looked(self.builds, None if self.entry is None else self.entry.live)


class RegistrySession:
    """The registry port in the hands of one operator."""

    def __init__(self, registry: ModelRegistry, who: str) -> None:
        self._registry, self._who = registry, who

    def take_leadership(self, holder: str, take_over: str | None = None) -> int:
        del holder, take_over
        return self._registry.lead(self._who)

    def observe(self, identity: Identity) -> ProjectionView | None:
        return self._registry.view(identity)

    def survey(self, identity: Identity) -> Survey | None:
        del identity
        return self._registry.survey()

    def claim(self, epoch: int, identity: Identity, resource_uid: str, public_name: PublicName) -> None:
        del identity
        self._act(epoch, "claim", lambda: self._registry.claim(resource_uid, public_name))

    def begin(
        self,
        epoch: int,
        identity: Identity,
        version: str,
        token: str,
        definition: Definition,
        partitions: Mapping[Partition, Ends],
        worker_role: str,
    ) -> int:
        what = (version, token, definition)
        return self._act(epoch, "begin", lambda: self._registry.begin(1, identity, what, partitions, worker_role))

    def admit_partitions(self, epoch: int, build: int, partitions: Collection[Partition]) -> None:
        raise AssertionError("the topics of the model do not grow", epoch, build, partitions)

    def admit_worker(self, epoch: int, build: int, worker_role: str) -> None:
        raise AssertionError("the workers of the model keep their role", epoch, build, worker_role)

    def build_indexes(
        self, epoch: int, build: int, wanted: Sequence[Index], needless: Sequence[Index], *, analyze: bool
    ) -> None:
        make = self._registry.build_indexes
        self._act(epoch, "build_indexes", lambda: make(build, wanted, needless, analyze=analyze))

    def open_catch_up(self, epoch: int, build: int) -> None:
        self._act(epoch, "open_catch_up", lambda: self._registry.open_catch_up(build))

    def publish(self, epoch: int, build: int) -> None:
        self._act(epoch, "publish", lambda: self._registry.publish(build))

    def swap(self, epoch: int, build: int, terms: SwapTerms) -> None:
        self._act(epoch, "swap", lambda: self._registry.swap(build, terms))

    def abandon(self, epoch: int, build: int, ending: Ending, reason: str) -> None:
        self._act(epoch, "abandon", lambda: self._registry.abandon(build, ending, reason))

    def retire(self, epoch: int, build: int) -> None:
        self._act(epoch, "retire", lambda: self._registry.retire(build))

    def delete(self, epoch: int, identity: Identity) -> None:
        del identity
        self._act(epoch, "delete", self._registry.delete)

    def discard(self, partition: Partition, offset: int, identity: Identity, reason: str) -> None:
        raise AssertionError("the operator discards nothing", partition, offset, identity, reason)

    def close(self) -> None:
        pass

    def _act(self, epoch: int, what: str, do: Callable[[], T]) -> T:
        return self._registry.act(self._who, epoch, what, do)
