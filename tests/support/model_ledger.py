"""What must never happen, whatever is done in whatever order: told by those who do it, asked after each step."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from projection_operator.core.observation import HOLD_VERSION
from projector.ports import Partition
from projector.registry import BuildState, BuildView, Ending

FINAL = {Ending.ABORTED, Ending.REJECTED}
GIVEN_UP = {BuildState.ABANDONED, BuildState.RETIRED}


@dataclass
class Ledger:
    """The laws as seen from outside. `broken` says which were broken, in the order in which that happened.

    It holds what readers saw, who leads and what was given up on its own account, so that a fake registry that forgets
    a check is found as well as an operator that asks for too much.
    """

    broken: list[str] = field(default_factory=list)
    leader: str = ""
    seen: dict[Partition, int] = field(default_factory=dict)
    lost: set[Partition] = field(default_factory=set)
    shown: bool = False
    given_up: dict[int, Ending] = field(default_factory=dict)
    plans: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    """By hash: all that a user was ever shown."""
    never_again: set[tuple[str, str]] = field(default_factory=set)

    def led(self, who: str, holder: str) -> None:
        """Somebody takes leadership of the registry; `holder` has the Lease."""
        if who != holder:
            self.broken.append(f"{who} leads the registry, and {holder} has the Lease")
        self.leader = who

    def acted(self, who: str, what: str) -> None:
        """An act had an effect."""
        if who != self.leader:
            self.broken.append(f"{what} by {who}, although {self.leader} leads")

    def began(self, build: BuildView, body: Mapping[str, Any]) -> None:
        """A build was begun by a pass that has read `body`."""
        if body["spec"]["promotion"].get("abortVersion") == build.version:
            self.broken.append(f"version {build.version!r} was begun, and abortVersion names it")
        if (build.version, build.token) in self.never_again:
            self.broken.append(f"version {build.version!r}, token {build.token!r} was aborted, and was begun again")

    def shows(self, build: BuildView, body: Mapping[str, Any]) -> None:
        """A build is about to be shown by a pass that has read `body`."""
        spec, promotion, live = body["spec"], body["spec"]["promotion"], self.shown
        if build.state is not BuildState.CATCHING_UP:
            return
        asked = (spec["version"], spec.get("rebuildToken", ""))
        if (build.version, build.token) != asked and HOLD_VERSION not in body["metadata"]["annotations"]:
            self.broken.append(f"build {build.number} was shown, and the spec asks for {asked}")
        if promotion.get("abortVersion") == build.version:
            self.broken.append(f"build {build.number} was shown, and abortVersion names its version")
        if any(point.next_offset < point.replay_end for point in build.checkpoints):
            self.broken.append(f"build {build.number} was shown before it had replayed")
        plan = self.plans.get(promotion.get("approvedPlan", ""), {})
        if live and promotion.get("mode") == "Manual" and plan.get("toVersion") != build.version:
            self.broken.append(f"build {build.number} was shown, and nobody had approved that")

    def ended(self, build: BuildView, ending: Ending, live: int | None) -> None:
        """A build was given up."""
        self.given_up[build.number] = ending
        if build.number == live:
            self.broken.append(f"live build {build.number} was given up")
        if ending in FINAL:
            self.never_again.add((build.version, build.token))

    def dropped(self, build: int, live: int | None) -> None:
        """A table was dropped."""
        if build == live:
            self.broken.append(f"the table of live build {build} was dropped")
        if build not in self.given_up:
            self.broken.append(f"the table of build {build} was dropped before it was given up")

    def looked(self, builds: Mapping[int, BuildView], live: int | None) -> None:
        """The registry changed: is it as it may be, and as readers may see it."""
        showing = [one.number for one in builds.values() if one.state is BuildState.LIVE]
        if showing != ([] if live is None else [live]):
            self.broken.append(f"build {live} is shown, and live are {showing}")
        if live is None:
            if self.shown:
                self.broken.append("nothing is shown any more")
            return
        self.shown = True
        if live in self.given_up:
            self.broken.append(f"build {live} was given up, and is live")
        self._read(builds[live])

    def _read(self, build: BuildView) -> None:
        at = {point.partition: point.next_offset for point in build.checkpoints}
        for partition, offset in self.seen.items():
            if at.get(partition, -1) < offset and partition not in self.lost:
                self.broken.append(f"readers of {partition} went back from {offset} to {at.get(partition)}")
        for partition, offset in at.items():
            self.seen[partition] = max(offset, self.seen.get(partition, 0))

    def forgot(self, *, asked_for: bool) -> None:
        """View, tables and entries are gone."""
        if not asked_for:
            self.broken.append("the projection was dropped, and nobody had asked for that")
        self.shown = False
        self.seen.clear()
        self.never_again.clear()
