"""The closed list of reasons in conditions and events, each with the sentence of what to do.

A reason in `STALLED` needs a person: nothing moves until someone acts. All others move by themselves. Either way the
operator looks again after `patience` seconds, so that nothing has to be restarted once the cause is mended.
"""

from enum import StrEnum


class Reason(StrEnum):
    """One-word reasons."""

    # On the way, or arrived.
    PENDING = "Pending"
    BEGINNING = "Beginning"
    REPLAYING = "Replaying"
    INDEXING = "Indexing"
    CATCHING_UP = "CatchingUp"
    PLANNED = "Planned"
    REBUILDS_LIMITED = "RebuildsLimited"
    AWAITING_APPROVAL = "AwaitingApproval"
    SWAPPING = "Swapping"
    SWAP_WAITING = "SwapWaiting"
    ROLLING_BACK = "RollingBack"
    HELD = "Held"
    SERVING = "Serving"
    SUSPENDED = "Suspended"
    SCALED_TO_ZERO = "ScaledToZero"
    ABANDONING = "Abandoning"
    DELETING = "Deleting"
    PROGRESSING = "Progressing"
    SETTLED = "Settled"
    MEASURED = "Measured"
    AS_EXPECTED = "AsExpected"
    NO_BUILD = "NoBuild"
    NO_REBUILD = "NoRebuild"
    NOT_NEEDED = "NotNeeded"
    NOT_HELD = "NotHeld"

    # Outages: they pass.
    TARGET_UNAVAILABLE = "TargetUnavailable"
    SOURCE_UNAVAILABLE = "SourceUnavailable"
    CLUSTER_UNAVAILABLE = "ClusterUnavailable"
    DEPOSED = "Deposed"
    OUT_OF_STEP = "OutOfStep"
    NO_WORKER_READY = "NoWorkerReady"

    # A person is needed.
    INVALID_SPEC = "InvalidSpec"
    DEFINITION_CHANGED = "DefinitionChanged"
    ABORTED = "Aborted"
    REJECTED = "Rejected"
    PARTIAL_HISTORY = "PartialHistory"
    NO_PROGRESS = "NoProgress"
    INDEX_FAILED = "IndexFailed"
    SWAP_REFUSED = "SwapRefused"
    HELD_VERSION_MISSING = "HeldVersionMissing"
    SECRET_MISSING = "SecretMissing"  # noqa: S105 - a reason's name, not a secret
    SECRET_KEY_MISSING = "SecretKeyMissing"  # noqa: S105 - a reason's name, not a secret
    SECRET_INVALID = "SecretInvalid"  # noqa: S105 - a reason's name, not a secret
    AUTHENTICATION_FAILED = "AuthenticationFailed"
    NOT_PERMITTED = "NotPermitted"
    TOPIC_MISSING = "TopicMissing"
    TARGET_TAKEN = "TargetTaken"
    TARGET_CHANGED = "TargetChanged"
    TARGET_IN_USE = "TargetInUse"
    TARGET_UNSUITABLE = "TargetUnsuitable"
    FOREIGN_REGISTRY = "ForeignRegistry"
    SOURCE_CHANGED = "SourceChanged"
    PARTITIONS_GROWN = "PartitionsGrown"
    PARTITIONS_STUCK = "PartitionsStuck"
    PARKED_KEYS = "ParkedKeys"
    SOURCE_BLOCKED = "SourceBlocked"
    DEPLOYMENT_REFUSED = "DeploymentRefused"

    # Events only.
    BUILD_BEGUN = "BuildBegun"
    PUBLISHED = "Published"
    SWAPPED = "Swapped"
    ROLLED_BACK = "RolledBack"
    RETIRED = "Retired"
    INDEX_BUILT = "IndexBuilt"
    INDEX_DROPPED = "IndexDropped"
    BUILD_GIVEN_UP = "BuildGivenUp"
    RECOVERED = "Recovered"


STALLED = frozenset(
    {
        Reason.INVALID_SPEC,
        Reason.DEFINITION_CHANGED,
        Reason.ABORTED,
        Reason.REJECTED,
        Reason.PARTIAL_HISTORY,
        Reason.NO_PROGRESS,
        Reason.INDEX_FAILED,
        Reason.SWAP_REFUSED,
        Reason.HELD_VERSION_MISSING,
        Reason.SECRET_MISSING,
        Reason.SECRET_KEY_MISSING,
        Reason.SECRET_INVALID,
        Reason.AUTHENTICATION_FAILED,
        Reason.NOT_PERMITTED,
        Reason.TOPIC_MISSING,
        Reason.TARGET_TAKEN,
        Reason.TARGET_CHANGED,
        Reason.TARGET_IN_USE,
        Reason.TARGET_UNSUITABLE,
        Reason.FOREIGN_REGISTRY,
        Reason.SOURCE_CHANGED,
        Reason.PARTITIONS_GROWN,
        Reason.DEPLOYMENT_REFUSED,
    }
)
"""Reasons that set Stalled=True."""

OUTAGES = frozenset({Reason.TARGET_UNAVAILABLE, Reason.SOURCE_UNAVAILABLE, Reason.CLUSTER_UNAVAILABLE, Reason.DEPOSED})
"""Reasons that pass by themselves and are worth a warning."""

ADVICE: dict[Reason, str] = {
    Reason.INVALID_SPEC: "Mend the spec; a changed definition needs a new version or rebuildToken once a build exists.",
    Reason.DEFINITION_CHANGED: "Put the definition back, or give it a new version.",
    Reason.SECRET_MISSING: "Create it; the operator looks again every few seconds.",
    Reason.SECRET_KEY_MISSING: "Add the key, or name another one in the reference.",
    Reason.SECRET_INVALID: "Put a PostgreSQL URI there, such as postgresql://user:password@host:5432/database.",
    Reason.AUTHENTICATION_FAILED: "Correct the Secret or the role; the operator tries again every few seconds.",
    Reason.NOT_PERMITTED: "Grant the right to the role of the Secret.",
    Reason.TOPIC_MISSING: "Create the topic, or correct the name.",
    Reason.TARGET_TAKEN: "Choose another table, or move the other one out of the way.",
    Reason.TARGET_CHANGED: "Put the old name back; a read model under another name is another Projection.",
    Reason.TARGET_IN_USE: "Drop what depends on it; a deletion goes on without if deletionPolicy is Retain.",
    Reason.TARGET_UNSUITABLE: "Mend the database, or name another one in the Secret.",
    Reason.SOURCE_CHANGED: "Positions in the read model speak of another log. Put the old log back, or build anew.",
    Reason.PARTITIONS_GROWN: "Events of the new partitions are not folded. Build anew, with another ordering if keys "
    "moved between partitions.",
    Reason.NO_PROGRESS: "Look at its pods; or give it up by spec.promotion.abortVersion.",
    Reason.INDEX_FAILED: "Mend what the server names, or take it out of spec.target.postgresql.indexes.",
    Reason.SWAP_REFUSED: "Mend what it names; the operator tries again by itself. The live version keeps serving.",
    Reason.SWAP_WAITING: "The operator tries again by itself; the live version keeps serving.",
    Reason.HELD_VERSION_MISSING: "Hold a version that is kept, or remove the annotation.",
    Reason.DEPLOYMENT_REFUSED: "Look at spec.projector and at quotas and policies of the namespace.",
    Reason.TARGET_UNAVAILABLE: "The operator tries again by itself.",
    Reason.SOURCE_UNAVAILABLE: "The operator tries again by itself.",
    Reason.CLUSTER_UNAVAILABLE: "The operator tries again by itself.",
}
"""What to do, appended to the message; reasons that explain themselves have none."""


def advised(reason: Reason, message: str) -> str:
    """`message` with what to do about it."""
    advice = ADVICE.get(reason)
    if advice is None:
        return message
    return f"{message}{'' if message.endswith('.') else '.'} {advice}"


_QUICK = frozenset(
    {
        Reason.SECRET_MISSING,
        Reason.SECRET_KEY_MISSING,
        Reason.SECRET_INVALID,
        Reason.AUTHENTICATION_FAILED,
        Reason.TARGET_UNAVAILABLE,
        Reason.SOURCE_UNAVAILABLE,
        Reason.CLUSTER_UNAVAILABLE,
        Reason.DEPOSED,
        Reason.OUT_OF_STEP,
        Reason.NO_WORKER_READY,
        Reason.PARTITIONS_STUCK,
        Reason.PARKED_KEYS,
    }
)


def patience(reason: Reason) -> float:
    """Seconds after which a resource with this reason is looked at again."""
    if reason in _QUICK:
        return 5.0
    if reason in STALLED:
        return 15.0
    return 2.0 if reason in _ON_THE_WAY else 30.0


_ON_THE_WAY = frozenset(
    {
        Reason.PENDING,
        Reason.BEGINNING,
        Reason.REPLAYING,
        Reason.INDEXING,
        Reason.CATCHING_UP,
        Reason.PLANNED,
        Reason.REBUILDS_LIMITED,
        Reason.SWAPPING,
        Reason.SWAP_WAITING,
        Reason.ROLLING_BACK,
        Reason.ABANDONING,
        Reason.DELETING,
    }
)
