"""The facts of one decision, derived from an observation."""

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from projection_operator.core import lag
from projection_operator.core.observation import FINALIZER, Child, Observation, SourceView, Unknown
from projection_operator.core.reasons import Reason
from projector.registry import BuildState, BuildView, Identity, ProjectionView, PublicName
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
        """Whether `build` is of the version and token that the spec asks for."""
        return self.spec is not None and (build.version, build.token) == (self.spec.version, self.spec.rebuild_token)

    def redefined(self, build: BuildView) -> bool:
        """Whether the spec changed the definition of `build` under the same version and token."""
        definition = self.obs.desired.definition
        return definition is not None and self.asked(build) and definition.fingerprint != build.fingerprint

    @cached_property
    def lag(self) -> lag.Lag | Unknown:
        """Of the current build."""
        if self.current is None:
            return Unknown(Reason.NO_BUILD, "nothing has been built yet")
        return lag.measure(self.current, self.obs.source, self.now)

    @cached_property
    def misfit(self) -> Unknown | None:
        """Why the current build and the log do not fit, as far as both are known; a topic that is gone included."""
        source, build = self.obs.source, self.current
        if build is None:
            return None
        if isinstance(source, SourceView):
            return lag.source_changed(build, source) or lag.grown(build, source)
        return source if source.reason is Reason.TOPIC_MISSING else None

    @cached_property
    def stuck(self) -> Unknown | None:
        """Events that stand in the way of the current build."""
        return None if self.current is None else lag.stuck(self.current, self._identity)

    @cached_property
    def blocked(self) -> Unknown | None:
        """Open transactions that hide events from the current build for too long."""
        source, build = self.obs.source, self.current
        if build is None or self.spec is None or not isinstance(source, SourceView):
            return None
        return lag.blocked(build, source, self.spec.source.kafka.bootstrap_servers, self.now)

    @cached_property
    def parked(self) -> Unknown | None:
        """Keys of the current build that wait behind events that could not be applied."""
        return None if self.current is None else lag.parked(self.current, self._identity)

    @cached_property
    def _identity(self) -> Identity:
        resource = self.obs.resource
        return Identity(self.obs.site.installation, resource.namespace, resource.name)

    @cached_property
    def child(self) -> Child | None:
        """The Deployment of the current build; where the registry is silent, the newest there is."""
        if self.current is not None:
            return next((child for child in self.children if child.build == self.current.number), None)
        if isinstance(self.obs.registry, Unknown):
            return max(self.children, key=lambda child: child.build, default=None)
        return None
