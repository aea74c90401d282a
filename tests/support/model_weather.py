"""What happens around the operator in the model test, as rules: events, pods, outages, other operators, time."""

from operator import attrgetter

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from tests.support.model_wire import Fault
from tests.support.model_world import HINDRANCES, OPERATORS, World

PARTITIONS = st.integers(0, 1)
COUNTS = st.integers(1, 30)


class Weather(RuleBasedStateMachine):
    """Nobody asks for it. Where the log is not `fragile`, it keeps all that was written."""

    world: World
    fragile: bool

    @rule(first=st.integers(0, 20), second=st.integers(0, 20))
    def append(self, first: int, second: int) -> None:
        self.world.log.append(0, first)
        self.world.log.append(1, second)

    @precondition(lambda self: self.world.registry.kept)
    @rule(data=st.data(), first=st.integers(0, 40), second=st.integers(0, 40))
    def work(self, data: st.DataObject, first: int, second: int) -> None:
        build = data.draw(st.sampled_from(self.world.registry.kept), label="build")
        self.world.work(build, {0: first, 1: second})

    @precondition(lambda self: self.world.cluster.deployments_)
    @rule(data=st.data(), what=st.sampled_from(["fail", "start", "vanish"]))
    def pods(self, data: st.DataObject, what: str) -> None:
        name = data.draw(st.sampled_from(sorted(self.world.cluster.deployments_)), label="of")
        if what == "fail":
            self.world.cluster.fail_pods(name)
        elif what == "start":
            self.world.cluster.start_pods()
        else:
            del self.world.cluster.deployments_[name]

    @rule(seconds=st.sampled_from([1, 25, 120, 2_000, 8_000, 200_000]))
    def time_passes(self, seconds: int) -> None:
        self.world.cluster.collect_garbage()
        self.world.later(seconds)

    @rule(what=st.sampled_from(HINDRANCES), passes=st.integers(1, 4))
    def something_stands_in_the_way(self, what: tuple[str, str], passes: int) -> None:
        of, name = what
        setattr(attrgetter(of)(self.world), name, passes)

    @rule(server=st.sampled_from(["cluster", "registry"]), fault=st.sampled_from(list(Fault)))
    def a_write_fails(self, server: str, fault: Fault) -> None:
        getattr(self.world, server).wire.fault = fault

    @precondition(lambda self: self.fragile)
    @rule(partition=PARTITIONS, count=COUNTS)
    def retention(self, partition: int, count: int) -> None:
        self.world.log.clean(partition, count)

    @precondition(lambda self: self.fragile)
    @rule(partition=PARTITIONS, count=COUNTS)
    def records_are_lost(self, partition: int, count: int) -> None:
        self.world.log.cut(partition, count)
        at = self.world.log.at(partition)
        if self.world.ledger.seen.get(at, 0) > self.world.log.ends[at].end:
            self.world.ledger.lost.add(at)

    @precondition(lambda self: self.fragile)
    @rule()
    def the_topic_is_created_anew(self) -> None:
        self.world.ledger.lost |= set(self.world.log.ends)
        self.world.log.recreate()

    @rule()
    def another_operator_leads(self) -> None:
        self.world.leader = next(name for name in OPERATORS if name != self.world.leader)

    @rule(writes=st.integers(0, 3))
    def a_pass_halts(self, writes: int) -> None:
        self.world.halt_pass(writes)

    @rule(writes=st.integers(0, 3), rounds=st.integers(1, 4))
    def the_leader_sleeps(self, writes: int, rounds: int) -> None:
        """In the middle of a pass, until long after another leads."""
        self.world.halt_pass(writes)
        self.another_operator_leads()
        self.world.go_on(rounds)
        while self.world.halted:
            self.world.halted.pop(0).go_on()

    @precondition(lambda self: self.world.halted)
    @rule(data=st.data(), killed=st.booleans())
    def a_halted_pass_ends(self, data: st.DataObject, killed: bool) -> None:
        number = data.draw(st.integers(0, len(self.world.halted) - 1), label="number")
        halted = self.world.halted.pop(number)
        if killed:
            halted.kill()
        else:
            halted.go_on()
