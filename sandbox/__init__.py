"""The local cluster for tests and the demo: Kubernetes, Kafka and PostgreSQL, without Docker."""

from .core import Endpoints, Sandbox
from .errors import SandboxError
from .process import Process

__all__ = ["Endpoints", "Process", "Sandbox", "SandboxError"]
