"""The local cluster for tests and the demo: Kubernetes, Kafka and PostgreSQL, without Docker."""

from .core import Endpoints, Sandbox
from .errors import SandboxError
from .images import Images
from .process import Process

__all__ = ["Endpoints", "Images", "Process", "Sandbox", "SandboxError"]
