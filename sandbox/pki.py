"""Certificates, keys and kubeconfigs of the cluster, made once by openssl."""

from __future__ import annotations

import json
from base64 import b64encode
from dataclasses import dataclass
from pathlib import Path

from . import shell, versions
from .paths import Paths, building, write_atomic

_DAYS = "3650"
_CURVE = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


@dataclass(frozen=True)
class Certificate:
    """Who a certificate is for; the file name, then what it says."""

    file: str
    name: str
    group: str = ""
    addresses: tuple[str, ...] = ()


_API_NAMES = (
    "IP:127.0.0.1",
    f"IP:{versions.KUBERNETES_SERVICE}",
    f"IP:{versions.POD_GATEWAY}",
    "DNS:localhost",
    "DNS:kubernetes",
    "DNS:kubernetes.default",
    "DNS:kubernetes.default.svc",
    "DNS:kubernetes.default.svc.cluster.local",
)

#: Each client has the name that Kubernetes' built-in roles are bound to.
CERTIFICATES = (
    Certificate("apiserver", "kube-apiserver", addresses=_API_NAMES),
    Certificate("kubelet-serving", versions.NODE, addresses=(f"IP:{versions.POD_GATEWAY}", f"DNS:{versions.NODE}")),
    Certificate("kubelet-client", "kube-apiserver-kubelet-client", "system:masters"),
    Certificate("admin", "sandbox-admin", "system:masters"),
    Certificate("controller-manager", "system:kube-controller-manager"),
    Certificate("scheduler", "system:kube-scheduler"),
    Certificate("proxy", "system:kube-proxy"),
    Certificate("kubelet", f"system:node:{versions.NODE}", "system:nodes"),
)

#: The certificates that a client of the API server uses.
CLIENTS = ("admin", "controller-manager", "scheduler", "proxy", "kubelet")


def folder(paths: Paths) -> Path:
    """Where they are."""
    return paths.state / "pki"


def make(paths: Paths) -> None:
    """Make all of them; nothing if they are there."""
    target = folder(paths)
    if target.exists():
        return
    log = paths.log("certificates")
    with building(target) as scratch:
        scratch.chmod(0o700)
        _authority(scratch, log)
        for certificate in CERTIFICATES:
            _issue(scratch, certificate, log)
        _service_account_key(scratch, log)
        for client in CLIENTS:
            text = json.dumps(kubeconfig(scratch, client), indent=1)
            write_atomic(scratch / f"{client}.kubeconfig", text, 0o600)


def _authority(target: Path, log: Path) -> None:
    files = ("-keyout", target / "ca.key", "-out", target / "ca.crt")
    usage = ("-addext", "keyUsage=critical,keyCertSign,cRLSign,digitalSignature")
    shell.run(["openssl", "req", "-x509", *_CURVE, "-days", _DAYS, "-subj", "/CN=sandbox-ca", *usage, *files], log=log)


def _issue(target: Path, certificate: Certificate, log: Path) -> None:
    organisation = f"/O={certificate.group}" if certificate.group else ""
    subject = ("-subj", f"{organisation}/CN={certificate.name}")
    signer = ("-CA", target / "ca.crt", "-CAkey", target / "ca.key", "-days", _DAYS)
    files = ("-keyout", target / f"{certificate.file}.key", "-out", target / f"{certificate.file}.crt")
    usage = "serverAuth" if certificate.addresses else "clientAuth"
    extensions = ["basicConstraints=critical,CA:FALSE", f"extendedKeyUsage={usage}"]
    if certificate.addresses:
        extensions.append(f"subjectAltName={','.join(certificate.addresses)}")
    words = [word for extension in extensions for word in ("-addext", extension)]
    shell.run(["openssl", "req", "-x509", *_CURVE, *subject, *signer, *words, *files], log=log)


def _service_account_key(target: Path, log: Path) -> None:
    key = target / "service-accounts.key"
    shell.run(["openssl", "genrsa", "-out", key, "2048"], log=log)
    shell.run(["openssl", "rsa", "-in", key, "-pubout", "-out", target / "service-accounts.pub"], log=log)


def kubeconfig(source: Path, client: str) -> dict[str, object]:
    """A kubeconfig that contains all it needs; JSON is YAML too."""

    def data(name: str) -> str:
        return b64encode((source / name).read_bytes()).decode()

    server = f"https://127.0.0.1:{versions.PORT_APISERVER}"
    cluster = {"server": server, "certificate-authority-data": data("ca.crt")}
    user = {"client-certificate-data": data(f"{client}.crt"), "client-key-data": data(f"{client}.key")}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "sandbox", "cluster": cluster}],
        "users": [{"name": client, "user": user}],
        "contexts": [{"name": "sandbox", "context": {"cluster": "sandbox", "user": client}}],
        "current-context": "sandbox",
    }
