"""What the machine lacks, and its installation from Debian packages."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from . import kafka, postgres, shell, versions
from .errors import SandboxError
from .paths import Paths, write_atomic

#: Debian asks this program whether a package may start its service: 101 is no.
_POLICY = Path("/usr/sbin/policy-rc.d")
_NO_SERVICES = "#!/bin/sh\n# made by the projection-operator sandbox\nexit 101\n"

_QUIET = {
    "DEBIAN_FRONTEND": "noninteractive",
    "NEEDRESTART_SUSPEND": "1",
}


@dataclass(frozen=True)
class Need:
    """A package and how to see that what it brings is there."""

    part: str
    package: str
    present: Callable[[], bool]


def _program(name: str) -> Callable[[], bool]:
    path = shell.environment()["PATH"]
    return lambda: shutil.which(name, path=path) is not None


def _file(name: str) -> Callable[[], bool]:
    return lambda: Path(name).exists()


NEEDS = (
    Need(
        "postgres",
        f"postgresql-{versions.POSTGRESQL}",
        lambda: postgres.binaries() is not None,
    ),
    Need(
        "kafka",
        f"openjdk-{versions.JAVA}-jre-headless",
        lambda: kafka.java_version() >= versions.JAVA,
    ),
    Need("kafka", "maven", _program("mvn")),
    Need("apiserver", "etcd-server", _program("etcd")),
    Need("apiserver", "openssl", _program("openssl")),
    Need("apiserver", "iproute2", _program("ip")),
    # Debian's Python comes without what makes virtual environments.
    Need("apiserver", "python3-venv", lambda: importlib.util.find_spec("ensurepip") is not None),
    Need("node", "containerd", _program("containerd")),
    Need("node", "runc", _program("runc")),
    Need("node", "containernetworking-plugins", _file("/usr/lib/cni/bridge")),
    Need("node", "iptables", _program("iptables")),
    Need("node", "conntrack", _program("conntrack")),
    Need("node", "buildah", _program("buildah")),
    Need("node", "debootstrap", _program("debootstrap")),
    Need(
        "node",
        "debian-archive-keyring",
        _file("/usr/share/keyrings/debian-archive-keyring.gpg"),
    ),
)


def missing(parts: Iterable[str]) -> list[str]:
    """The packages that these parts need and that are not there."""
    wanted = set(parts)
    return [need.package for need in NEEDS if need.part in wanted and not need.present()]


def install(packages: list[str], paths: Paths) -> None:
    """Install packages without letting any of their services start."""
    if shutil.which("apt-get") is None:
        names = " ".join(packages)
        raise SandboxError(f"can not install {names}: this machine has no apt-get (Debian or Ubuntu)")
    log = paths.log("packages")
    wait_for_lock = ("-o", "DPkg::Lock::Timeout=300")
    options = ("-y", "--no-install-recommends", *wait_for_lock)
    with _services_stay_stopped():
        shell.run(["apt-get", "update", "-q"], log=log, env=_QUIET)
        shell.run(["apt-get", "install", *options, *packages], log=log, env=_QUIET)


@contextmanager
def _services_stay_stopped() -> Iterator[None]:
    ours = not _POLICY.exists() or _POLICY.read_text() == _NO_SERVICES
    if ours:
        write_atomic(_POLICY, _NO_SERVICES, 0o755)
    try:
        yield
    finally:
        if ours:
            _POLICY.unlink()
