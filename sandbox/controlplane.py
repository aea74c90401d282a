"""etcd, the API server and the controllers."""

from __future__ import annotations

import shutil
from pathlib import Path

from . import https, pki, toolchain, versions
from .process import Launch, Service

OK = 200


class KubernetesService(Service):
    """What the programs of Kubernetes have in common."""

    def program(self, *flags: str, name: str = "") -> tuple[str, ...]:
        """A command line of the compiled program."""
        return (str(toolchain.program(self.paths, name or self.name)), *flags)

    def pki(self, name: str) -> str:
        """The path of a certificate, key or kubeconfig."""
        return str(pki.folder(self.paths) / name)

    @property
    def home(self) -> Path:
        """The program's own folder."""
        return self.paths.state / self.name


class Etcd(KubernetesService):
    """Kubernetes' database."""

    name = "etcd"
    ports = (versions.PORT_ETCD, versions.PORT_ETCD_PEER)
    needs = ("kubernetes",)

    def launch(self) -> Launch:
        """Only for this machine, so without TLS; losing the last writes at a power cut is fine here."""
        client, peer = (f"http://127.0.0.1:{port}" for port in self.ports)
        return Launch(
            self.program(
                f"--data-dir={self.home}",
                f"--name={versions.NODE}",
                f"--listen-client-urls={client}",
                f"--advertise-client-urls={client}",
                f"--listen-peer-urls={peer}",
                f"--initial-advertise-peer-urls={peer}",
                f"--initial-cluster={versions.NODE}={peer}",
                "--auto-compaction-retention=5m",
                "--unsafe-no-fsync",
                "--log-level=warn",
            )
        )

    def prepare(self) -> None:
        """It insists on a private folder."""
        self.home.mkdir(mode=0o700, parents=True, exist_ok=True)

    def ready(self) -> bool:
        """It can read what it is a quorum for."""
        return https.status(versions.PORT_ETCD, "/health", tls=False) == OK

    def discard(self) -> bool:
        """After a power cut its files may be torn: the cluster starts empty."""
        shutil.rmtree(self.home, ignore_errors=True)
        return True


class ApiServer(KubernetesService):
    """The API server with the secure defaults of Kubernetes."""

    name = "kube-apiserver"
    ports = (versions.PORT_APISERVER,)
    needs = ("etcd", "certificates", "network")

    def launch(self) -> Launch:
        """RBAC, node authorization, service-account tokens, default admission."""
        return Launch(
            self.program(
                f"--etcd-servers=http://127.0.0.1:{versions.PORT_ETCD}",
                f"--secure-port={versions.PORT_APISERVER}",
                f"--advertise-address={versions.POD_GATEWAY}",
                f"--service-cluster-ip-range={versions.SERVICE_NETWORK}",
                f"--client-ca-file={self.pki('ca.crt')}",
                f"--tls-cert-file={self.pki('apiserver.crt')}",
                f"--tls-private-key-file={self.pki('apiserver.key')}",
                f"--kubelet-client-certificate={self.pki('kubelet-client.crt')}",
                f"--kubelet-client-key={self.pki('kubelet-client.key')}",
                f"--kubelet-certificate-authority={self.pki('ca.crt')}",
                # By name it would ask a DNS server that knows nothing of this node.
                "--kubelet-preferred-address-types=InternalIP",
                "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
                f"--service-account-key-file={self.pki('service-accounts.pub')}",
                f"--service-account-signing-key-file={self.pki('service-accounts.key')}",
                "--authorization-mode=Node,RBAC",
                "--enable-admission-plugins=NodeRestriction",
                "--profiling=false",
            )
        )

    def ready(self) -> bool:
        """Its own readiness check: etcd, informers, bootstrap of the default roles."""
        return https.status(versions.PORT_APISERVER, "/readyz") == OK


class ControllerManager(KubernetesService):
    """The controllers: namespaces, garbage collection, service accounts, Deployments."""

    name = "kube-controller-manager"
    ports = (versions.PORT_CONTROLLER_MANAGER,)
    needs = ("kube-apiserver",)

    def launch(self) -> Launch:
        """One instance only, so without leader election."""
        return Launch(
            self.program(
                f"--kubeconfig={self.pki('controller-manager.kubeconfig')}",
                f"--authentication-kubeconfig={self.pki('controller-manager.kubeconfig')}",
                f"--authorization-kubeconfig={self.pki('controller-manager.kubeconfig')}",
                f"--service-account-private-key-file={self.pki('service-accounts.key')}",
                f"--root-ca-file={self.pki('ca.crt')}",
                f"--cluster-signing-cert-file={self.pki('ca.crt')}",
                f"--cluster-signing-key-file={self.pki('ca.key')}",
                "--use-service-account-credentials",
                "--leader-elect=false",
                "--bind-address=127.0.0.1",
                f"--secure-port={versions.PORT_CONTROLLER_MANAGER}",
                f"--cert-dir={self.home}",
                "--profiling=false",
            )
        )

    def ready(self) -> bool:
        """The namespace `default` can be used: its service account and CA are there."""
        if https.status(versions.PORT_CONTROLLER_MANAGER, "/healthz") != OK:
            return False
        default = "/api/v1/namespaces/default"
        objects = (f"{default}/serviceaccounts/default", f"{default}/configmaps/kube-root-ca.crt")
        return all(https.api(pki.folder(self.paths), path)[0] == OK for path in objects)


class Scheduler(KubernetesService):
    """Gives pods their node."""

    name = "kube-scheduler"
    ports = (versions.PORT_SCHEDULER,)
    needs = ("kube-apiserver",)

    def launch(self) -> Launch:
        """One instance only, so without leader election."""
        return Launch(
            self.program(
                f"--kubeconfig={self.pki('scheduler.kubeconfig')}",
                f"--authentication-kubeconfig={self.pki('scheduler.kubeconfig')}",
                f"--authorization-kubeconfig={self.pki('scheduler.kubeconfig')}",
                "--leader-elect=false",
                "--bind-address=127.0.0.1",
                f"--secure-port={versions.PORT_SCHEDULER}",
                f"--cert-dir={self.home}",
                "--profiling=false",
            )
        )

    def ready(self) -> bool:
        """Its caches are filled."""
        return https.status(versions.PORT_SCHEDULER, "/readyz") == OK
