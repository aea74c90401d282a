"""What people do in the model test, as rules."""

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from projection_operator.core.observation import HOLD_VERSION
from projector.registry import BuildState
from tests.support.model_world import World, rules

NOWHERE: list[dict[str, Any]] = [{"events": ["E"], "key": {"id": "event.id"}, "set": {"nowhere": "event.name"}}]
VERSIONS = st.sampled_from(["1", "2", "3"])
TUNINGS: tuple[dict[str, Any], ...] = (
    {"scaling": {"replicas": 0}, "rebuild": {"parallelism": None}},
    {"scaling": {"replicas": 0}, "rebuild": {"parallelism": 3}},
    {"scaling": {"replicas": 1}, "rebuild": {"parallelism": None}},
    {"scaling": {"replicas": 2}, "rebuild": {"parallelism": 3}},
    {"rollback": {"keepWarm": False}},
    {"rollback": {"keepWarm": True}},
    {"rollback": {"retainFor": "0s"}},
    {"rollback": {"retainFor": "1m"}},
    {"rollback": {"retainFor": "2h"}},
    {"source": {"allowPartialHistory": "the old events are in the archive"}},
    {"source": {"allowPartialHistory": ""}},
    {"target": {"postgresql": {"indexes": [{"columns": ["name"]}]}}},
    {"target": {"postgresql": {"indexes": []}}},
)


def there(machine: "People") -> bool:
    """The Projection exists."""
    return machine.world.cluster.body is not None


WARM = {BuildState.WARM}
ON_THE_WAY = {BuildState.REPLAYING, BuildState.CATCHING_UP}


class People(RuleBasedStateMachine):
    """Edits, deletes and creates."""

    world: World

    @rule(version=VERSIONS)
    def ask_for_a_version(self, version: str) -> None:
        self.world.edit(version=version, rules=rules(version))

    @rule(kind=st.sampled_from(["right", "another definition", "another definition", "not valid"]))
    def write_rules(self, kind: str) -> None:
        """Of the same version."""
        right = rules(self.world.spec["version"], other=kind == "another definition")
        self.world.edit(rules=NOWHERE if kind == "not valid" else right)

    @rule(token=st.sampled_from(["", "a", "b"]))
    def rebuild(self, token: str) -> None:
        self.world.edit(rebuildToken=token)

    @rule()
    def suspend_or_resume(self) -> None:
        self.world.edit(suspend=not self.world.spec.get("suspend", False))

    @precondition(lambda self: self.world.kept_in(WARM))
    @rule(data=st.data(), arriving=st.integers(0, 20))
    def go_back(self, data: st.DataObject, arriving: int) -> None:
        self.world.go_on(1, arriving)
        build = data.draw(st.sampled_from(self.world.kept_in(WARM)), label="build")
        self.world.edit(version=build.version, rebuildToken=build.token, rules=rules(build.version))

    @rule(version=st.sampled_from(["", "1", "2"]))
    def abort(self, version: str) -> None:
        self.world.edit(promotion={"abortVersion": version})

    @precondition(lambda self: self.world.kept_in(ON_THE_WAY))
    @rule(rounds=st.integers(0, 6), again=st.booleans())
    def abort_the_candidate(self, rounds: int, again: bool) -> None:
        """And take the abort back after a while, which begins nothing again."""
        self.world.edit(promotion={"abortVersion": self.world.kept_in(ON_THE_WAY)[-1].version})
        self.world.go_on(rounds)
        if again:
            self.world.edit(promotion={"abortVersion": ""})
            self.world.go_on(rounds)

    @rule(mode=st.sampled_from(["Auto", "Manual"]))
    def promote(self, mode: str) -> None:
        self.world.edit(promotion={"mode": mode})

    @precondition(lambda self: self.world.spec["promotion"].get("mode") == "Manual")
    @rule(data=st.data(), right=st.booleans())
    def approve(self, data: st.DataObject, right: bool) -> None:
        found = self.world.status.get("plan", {}).get("hash", "")
        if not right:
            found = data.draw(st.sampled_from(["", "0123456789ab", *self.world.cluster.plans]), label="another")
        self.world.edit(promotion={"approvedPlan": found})

    @precondition(there)
    @rule(version=st.sampled_from([None, None, "1", "2", "9"]))
    def hold(self, version: str | None) -> None:
        self.world.cluster.annotate(HOLD_VERSION, version)

    @rule(fields=st.sampled_from(TUNINGS))
    def tune(self, fields: dict[str, Any]) -> None:
        self.world.edit(**fields)

    @rule(policy=st.sampled_from(["Retain", "Delete"]))
    def choose_what_deletion_does(self, policy: str) -> None:
        self.world.edit(deletionPolicy=policy)

    @precondition(there)
    @rule(passes=st.integers(0, 4))
    def delete(self, passes: int) -> None:
        """And create it again, if it is gone by then."""
        self.world.cluster.delete()
        for _ in range(passes):
            self.world.pass_()
        if not there(self) and passes:
            self.world.create_again()

    @precondition(lambda self: not there(self))
    @rule()
    def create_again(self) -> None:
        self.world.create_again()

    @precondition(there)
    @rule()
    def delete_the_status(self) -> None:
        assert self.world.cluster.body is not None
        self.world.cluster.body.pop("status", None)
