"""The facts of one decision, derived from an observation."""

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from projection_operator.core import lag
from projection_operator.core.observation import (
    FINALIZER,
    HOLD_VERSION,
    Child,
    Observation,
    SourceView,
    Topics,
    Unknown,
)
from projection_operator.core.reasons import Reason
from projector.registry import BuildState, BuildView, EndedBuild, Ending, Identity, ProjectionView, PublicName
from projector.spec.models import ProjectionSpec


@dataclass(frozen=True)
class Case:
    """What the guards of the edges ask. Nothing here changes anything."""

    obs: Observation
    now: datetime

    @cached_property
    def spec(self) -> ProjectionSpec | None:
        """The spec, if its shape is right, whether or not its content is."""
        return self.obs.desired.spec

    @cached_property
    def valid(self) -> bool:
        """Whether the spec can be built."""
        return self.spec is not None and not self.obs.desired.problems

    @cached_property
    def suspended(self) -> bool:
        """Whether the user stopped the projection."""
        return self.spec is not None and self.spec.suspend

    @cached_property
    def view(self) -> ProjectionView | None:
        """The registry's entry, if it is known to exist."""
        return None if isinstance(self.obs.registry, Unknown) else self.obs.registry

    @cached_property
    def public_name(self) -> PublicName | None:
        """The name that the spec asks for."""
        if self.spec is None:
            return None
        return PublicName(self.spec.target.postgresql.db_schema, self.spec.target.postgresql.table)

    @cached_property
    def live(self) -> BuildView | None:
        """The build that the public name shows."""
        if self.view is None or self.view.live_build is None:
            return None
        return next((build for build in self.view.builds if build.number == self.view.live_build), None)

    @cached_property
    def candidate(self) -> BuildView | None:
        """The newest build on its way."""
        on_the_way = (BuildState.REPLAYING, BuildState.CATCHING_UP)
        found = [build for build in self._builds if build.state in on_the_way]
        return max(found, key=lambda build: build.number, default=None)

    @cached_property
    def current(self) -> BuildView | None:
        """The build that lag and replicas speak of."""
        return self.live or self.candidate

    @cached_property
    def warm(self) -> tuple[BuildView, ...]:
        """Builds that were live and are kept."""
        return tuple(build for build in self._builds if build.state is BuildState.WARM)

    @cached_property
    def returning(self) -> BuildView | None:
        """The kept build that is asked for in the place of the live one."""
        if self.live is None or self.asked(self.live):
            return None
        return max(filter(self.asked, self.warm), key=lambda build: build.number, default=None)

    @cached_property
    def held(self) -> str | None:
        """The version that an annotation holds, whatever the spec says."""
        return self.obs.resource.annotations.get(HOLD_VERSION) or None

    @cached_property
    def held_against_spec(self) -> bool:
        """Whether the annotation holds another version than the spec asks for."""
        return self.held is not None and self.spec is not None and self.held != self.spec.version

    @cached_property
    def ended(self) -> EndedBuild | None:
        """The attempt at what the spec asks for that ended for good."""
        found = () if self.view is None else self.view.ended
        final = (Ending.ABORTED, Ending.REJECTED)
        return next((one for one in found if self.of_spec(one) and one.ending in final), None)

    @cached_property
    def kept(self) -> tuple[BuildView, ...]:
        """Builds that are not given up."""
        return tuple(build for build in self._builds if build.state is not BuildState.ABANDONED)

    @cached_property
    def abandoned(self) -> tuple[BuildView, ...]:
        """Builds given up whose remains are to be removed."""
        return tuple(build for build in self._builds if build.state is BuildState.ABANDONED)

    @cached_property
    def _builds(self) -> tuple[BuildView, ...]:
        return () if self.view is None else self.view.builds

    @cached_property
    def children(self) -> tuple[Child, ...]:
        """Deployments seen; none where they could not be read (see `children_known`)."""
        return () if isinstance(self.obs.children, Unknown) else self.obs.children

    @cached_property
    def children_known(self) -> bool:
        """Whether the Deployments could be read."""
        return not isinstance(self.obs.children, Unknown)

    @cached_property
    def has_finalizer(self) -> bool:
        """Whether deletion waits for us."""
        return FINALIZER in self.obs.resource.finalizers

    def asked(self, build: BuildView) -> bool:
        """Whether `build` is what is to serve: by the spec's version and token, or by the version that is held."""
        if self.held is not None:
            return build.version == self.held
        return self.of_spec(build)

    def of_spec(self, build: BuildView | EndedBuild) -> bool:
        """Whether the spec speaks of `build`, whatever is held."""
        spec = self.spec
        return spec is not None and (build.version, build.token) == (spec.version, spec.rebuild_token)

    def redefined(self, build: BuildView) -> bool:
        """Whether the spec changed the definition of `build` under the same version and token."""
        definition = self.obs.desired.definition
        same = self.of_spec(build)
        return definition is not None and same and definition.fingerprint != build.fingerprint

    def log(self, topics: Topics) -> SourceView | Unknown:
        """The log of these topics."""
        return self.obs.logs.get(topics, self.obs.source)

    def log_of(self, build: BuildView) -> SourceView | Unknown:
        """The log that `build` reads."""
        return self.log(build.definition.topics)

    @cached_property
    def log_of_spec(self) -> SourceView | Unknown:
        """The log that the spec asks for."""
        return self.obs.source if self.spec is None else self.log(self.spec.source.kafka.topics)

    def lag_of(self, build: BuildView) -> lag.Lag | Unknown:
        """How far `build` is behind its log."""
        return lag.measure(build, self.log_of(build), self.now)

    @cached_property
    def lag(self) -> lag.Lag | Unknown:
        """Of the current build."""
        if self.current is None:
            return Unknown(Reason.NO_BUILD, "nothing has been built yet")
        return self.lag_of(self.current)

    def misfit_of(self, build: BuildView) -> Unknown | None:
        """Why `build` and its log do not fit, as far as both are known; a topic that is gone included."""
        source = self.log_of(build)
        if isinstance(source, SourceView):
            return lag.source_changed(build, source) or lag.grown(build, source)
        return source if source.reason is Reason.TOPIC_MISSING else None

    @cached_property
    def misfit(self) -> Unknown | None:
        """Of the current build."""
        return None if self.current is None else self.misfit_of(self.current)

    @cached_property
    def identity(self) -> Identity:
        """Who the projection is, in the registry and in commands."""
        resource = self.obs.resource
        return Identity(self.obs.site.installation, resource.namespace, resource.name)

    def child_of(self, build: BuildView) -> Child | None:
        """The Deployment of `build`."""
        return next((child for child in self.children if child.build == build.number), None)

    @cached_property
    def child(self) -> Child | None:
        """The Deployment of the current build; where the registry is silent, the newest there is."""
        if self.current is not None:
            return self.child_of(self.current)
        if isinstance(self.obs.registry, Unknown):
            return max(self.children, key=lambda child: child.build, default=None)
        return None
