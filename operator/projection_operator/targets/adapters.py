"""The adapters that this release has: PostgreSQL and Kafka."""

from projection_operator.targets.databases import Adapter, Databases, Leader
from projection_operator.targets.logs import Logs
from projector.sources.kafka_admin import KafkaAdmin
from projector.stores.postgres import PostgresRegistry, current_role
from projector.stores.postgres.connection import address


def open_databases(leader: Leader, installation: str) -> Databases:
    """Registries in PostgreSQL."""
    adapter = Adapter(
        open=lambda uri: PostgresRegistry(uri, installation),
        role=current_role,
        server=lambda uri: str(address(uri)),
    )
    return Databases(adapter, leader)


def open_logs() -> Logs:
    """Kafka clusters."""
    return Logs(KafkaAdmin)
