"""Rows of deletion, finalizer, spec and registration."""

from typing import Any

from projection_operator.core import actions
from projection_operator.core.observation import FINALIZER
from projection_operator.core.reasons import Reason
from projector.registry import PublicName
from tests.support.projections import (
    INVALID,
    NO_SECRET,
    TARGET_DOWN,
    UNREADABLE,
    build,
    observation,
    resource,
    view,
)
from tests.unit.operator_core.rows import F, Row, T, U

DELETING: dict[str, Any] = {"deleting": True, "delete_target": True, "finalizers": (FINALIZER,)}

REGISTRATION_ROWS = (
    Row(
        "deleting, not ours to hold",
        observation(resource=resource(deleting=True)),
        Reason.DELETING, (), (F, T, F),
    ),
    Row(
        "deleting, target kept",
        observation(resource=resource(deleting=True, finalizers=(FINALIZER,))),
        Reason.DELETING, (actions.RemoveFinalizer,), (F, T, F),
    ),
    Row(
        "deleting, registry unknown",
        observation(resource=resource(**DELETING), registry=NO_SECRET),
        Reason.SECRET_MISSING, (), (F, F, T),
    ),
    Row(
        "deleting, entries left",
        observation(resource=resource(**DELETING)),
        Reason.DELETING, (actions.RemoveDeployment, actions.DeleteProjection), (F, T, F),
    ),
    Row(
        "deleting, nothing left",
        observation(resource=resource(**DELETING), registry=None, children=()),
        Reason.DELETING, (actions.RemoveFinalizer,), (F, T, F),
    ),
    Row(
        "finalizer missing",
        observation(resource=resource(delete_target=True), registry=None, children=()),
        Reason.PENDING, (actions.AddFinalizer,), (F, T, F),
    ),
    Row(
        "finalizer not wanted",
        observation(resource=resource(finalizers=(FINALIZER,))),
        Reason.PENDING, (actions.RemoveFinalizer,), (T, T, F),
    ),
    Row("spec invalid", observation(desired=INVALID), Reason.INVALID_SPEC, (), (T, F, T)),
    Row(
        "spec invalid",
        observation(desired=UNREADABLE, registry=None, children=()),
        Reason.INVALID_SPEC, (), (F, F, T),
    ),
    Row("registry unknown", observation(registry=TARGET_DOWN, children=()), Reason.TARGET_UNAVAILABLE, (), (F, T, F)),
    Row(
        "registry unknown",
        observation(registry=TARGET_DOWN, resource=resource({"liveBuild": 7, "liveVersion": "1"})),
        Reason.TARGET_UNAVAILABLE, (), (U, T, F),
    ),
    Row("not registered", observation(registry=None, children=()), Reason.PENDING, (actions.Claim,), (F, T, F)),
    Row(
        "not registered",
        observation(registry=view(build(), resource_uid="uid-0")),
        Reason.PENDING, (actions.Claim,), (T, T, F),
    ),
    Row(
        "other public name",
        observation(registry=view(build(), public_name=PublicName("public", "old"))),
        Reason.TARGET_CHANGED, (), (T, F, T),
    ),
)  # fmt: skip
