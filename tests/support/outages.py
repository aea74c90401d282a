"""Whole parts of the cluster going away and coming back."""

import signal

from tests.support.cluster import OPERATOR_NS, Cluster
from tests.support.faults import send_signal


def kill_operator(cluster: Cluster) -> None:
    """SIGKILL of its process."""
    for pod in cluster.operator_pods():
        send_signal(cluster.sandbox.containers(pod["metadata"]["name"], OPERATOR_NS), signal.SIGKILL)


def kill_postgres(cluster: Cluster) -> None:
    """SIGKILL, and a start."""
    process = cluster.sandbox.process("postgres")
    process.kill()
    process.start()
    process.wait_ready(60)


def kill_kafka(cluster: Cluster) -> None:
    """SIGKILL, and a start."""
    process = cluster.sandbox.process("kafka")
    process.kill()
    process.start()
    process.wait_ready(60)


def restart_postgres(cluster: Cluster) -> None:
    """As an administrator does it."""
    process = cluster.sandbox.process("postgres")
    process.restart()
    process.wait_ready(60)


def restart_kafka(cluster: Cluster) -> None:
    """As an administrator does it."""
    process = cluster.sandbox.process("kafka")
    process.restart()
    process.wait_ready(60)
