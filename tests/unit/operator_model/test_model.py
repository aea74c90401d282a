"""The operator in a world in memory where anything happens in any order: the laws hold, and it comes to rest."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule

from tests.support.model_ends import check_expired, check_rest
from tests.support.model_people import ON_THE_WAY, VERSIONS, People
from tests.support.model_weather import Weather
from tests.support.model_world import World

DAYS = 10 * 86_400
LIVES = [[], ["1"], ["1"], ["1", "2"], ["1", "2"]]
"""Versions that were live before anything else happens."""


class Model(People, Weather):
    """One example is a life of a projection."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()

    @initialize(versions=st.sampled_from(LIVES), fragile=st.sampled_from([False, False, True]), keep_warm=st.booleans())
    def begin(self, versions: list[str], fragile: bool, keep_warm: bool) -> None:
        self.fragile = fragile
        self.world.edit(rollback={"keepWarm": keep_warm})
        for version in versions:
            self.ask_for_a_version(version)
            self.world.settle()

    @rule(times=st.integers(1, 3))
    def pass_(self, times: int) -> None:
        for _ in range(times):
            self.world.pass_()

    @rule(rounds=st.integers(1, 8), arriving=st.integers(0, 9), pace=st.sampled_from([None, 0, 7, 25]))
    def all_goes_on(self, rounds: int, arriving: int, pace: int | None) -> None:
        self.world.go_on(rounds, arriving, pace)

    @rule(version=VERSIONS, rounds=st.integers(2, 12), arriving=st.integers(0, 9))
    def change_the_version_in_peace(self, version: str, rounds: int, arriving: int) -> None:
        self.ask_for_a_version(version)
        self.world.go_on(rounds, arriving, 25)

    @rule(version=VERSIONS, passes=st.integers(2, 6))
    def begin_a_candidate(self, version: str, passes: int) -> None:
        """While workers do little."""
        self.ask_for_a_version(version)
        self.pass_(passes)
        for build in self.world.kept_in(ON_THE_WAY):
            self.world.work(build, {0: 12, 1: 18})

    @rule()
    def rest(self) -> None:
        """With all that users have set."""
        self.world.heal_servers()
        self.world.settle()
        check_rest(self.world, healed=False)

    @invariant()
    def laws_hold(self) -> None:
        assert self.world.ledger.broken == []

    def teardown(self) -> None:
        try:
            self.end()
        finally:
            self.world.close()

    def end(self) -> None:
        """With nothing in the way: the version that is asked for, or the reason why not; after that, nothing more."""
        self.world.heal_servers()
        self.world.heal_wishes()
        self.world.settle()
        check_rest(self.world, healed=True)
        self.world.later(DAYS)
        self.world.settle()
        check_rest(self.world, healed=True)
        check_expired(self.world)
        self.laws_hold()


TestModel = Model.TestCase
TestModel.settings = settings(max_examples=settings().max_examples // 5, stateful_step_count=50)
