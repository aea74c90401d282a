"""How another version takes over: the replay, the promotion, the way back."""

from typing import Annotated, Literal

from pydantic import Field

from projector.spec.base import Duration, Model


class Rebuild(Model):
    """The replay of a version beside the live one."""

    parallelism: Annotated[
        int | None, Field(ge=1, le=1000, description="Projector pods of a candidate. Default: scaling.replicas.")
    ] = None
    max_events_per_second: Annotated[
        int | None, Field(ge=10, le=100_000_000, description="Limit of a replay, over all its pods. Default: none.")
    ] = None
    step_deadline: Annotated[
        Duration, Field(description="A candidate that makes no progress for so long is reported as Stalled.")
    ] = "30m"
    history_limit: Annotated[
        int, Field(ge=1, le=100, description="ProjectionRebuild records kept of builds that are over.")
    ] = 10


class CaughtUp(Model):
    """When a candidate is near enough to take over."""

    max_lag: Annotated[int, Field(ge=0, le=1_000_000_000, description="Events that it may be behind the log.")] = 100


class SwapTimes(Model):
    """How long a swap may hold others up; where it does not fit into that, it is tried again later."""

    view_lock: Annotated[Duration, Field(description="Readers wait for no longer. At most 1s.")] = "20ms"
    gate: Annotated[Duration, Field(description="The live build's projectors wait for no longer. At most 2s.")] = (
        "300ms"
    )


class Promotion(Model):
    """When the public name shows another version."""

    mode: Annotated[
        Literal["Auto", "Manual"],
        Field(description="Auto: when it has caught up. Manual: when approvedPlan is status.plan.hash besides."),
    ] = "Auto"
    approved_plan: Annotated[
        str, Field(max_length=64, description="status.plan.hash of the change to be promoted.")
    ] = ""
    abort_version: Annotated[
        str, Field(max_length=40, description="Gives the candidate of this version up, and does not begin it again.")
    ] = ""
    caught_up: CaughtUp = CaughtUp()
    old_snapshots: Annotated[
        Literal["Wait", "Ignore"],
        Field(description="Whether a swap waits for transactions whose next statement could see the past."),
    ] = "Wait"
    swap: SwapTimes = SwapTimes()


class Rollback(Model):
    """What is kept of a version that was replaced."""

    retain_for: Annotated[Duration, Field(description="How long its table is kept.")] = "24h"
    keep_warm: Annotated[
        bool, Field(description="Whether it is fed meanwhile, so that the way back takes no replay and no catching up.")
    ] = True
