"""PostgreSQL as a target: the registry (`PostgresRegistry`), rows and checkpoints of one build (`PostgresStore`)."""

from projector.stores.postgres.builds import BuildSpec, NoSuchBuild, load_build
from projector.stores.postgres.connection import Probe, current_role, probe
from projector.stores.postgres.parked import PostgresParking
from projector.stores.postgres.registry import PostgresRegistry
from projector.stores.postgres.store import PostgresStore

__all__ = [
    "BuildSpec",
    "NoSuchBuild",
    "PostgresParking",
    "PostgresRegistry",
    "PostgresStore",
    "Probe",
    "current_role",
    "load_build",
    "probe",
]
