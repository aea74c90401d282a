"""The pods' bridge, and the kernel settings and firewall rules that Kubernetes leaves."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

from . import shell, versions
from .errors import SandboxError
from .paths import Paths, write_atomic

#: What the sandbox, kubelet and kube-proxy change; the values before are put back at the end.
SETTINGS = (
    "net/ipv4/ip_forward",
    "net/ipv4/conf/all/route_localnet",
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
)

#: Folders that Kubernetes, containerd and buildah make in places that can not be configured, and the files that they
#: leave in them.
FOLDERS: dict[str, tuple[str, ...]] = {
    "/var/lib/kubelet": ("device-plugins/*",),
    "/var/lib/cni": ("results/cni-loopback-*",),
    "/var/log/containers": (),
    "/run/containerd": (),
    "/etc/cni": ("net.d/cni.lock",),
    "/opt/cni": (),
}

#: A fixed address: else the bridge's changes with each pod, and neighbours remember the old one.
_MAC = "0a:58:0a:f4:00:01"

_SYSCTL = Path("/proc/sys")
_OUR_CHAIN = re.compile(r"^(KUBE|CNI)-")


def remember(paths: Paths) -> None:
    """Note the machine's settings before the first change."""
    note = paths.state / "machine.json"
    if not note.exists():
        settings = {name: _read(name) for name in SETTINGS if (_SYSCTL / name).exists()}
        absent = [name for name in FOLDERS if not Path(name).exists()]
        write_atomic(note, json.dumps({"settings": settings, "absent": absent}, indent=1))


def restore(paths: Paths) -> list[str]:
    """Put the settings back; returns the folders that were not there before."""
    note = paths.state / "machine.json"
    try:
        before = json.loads(note.read_text())
    except (OSError, ValueError):
        return []
    for name, value in before["settings"].items():
        if _read(name) != value:
            (_SYSCTL / name).write_text(value)
    note.unlink()
    return [str(name) for name in before["absent"]]


def _read(name: str) -> str:
    try:
        return (_SYSCTL / name).read_text().strip()
    except OSError:
        return ""


def allow_forwarding() -> None:
    """Pods reach each other's services through this machine."""
    (_SYSCTL / "net/ipv4/ip_forward").write_text("1")


def make_bridge() -> None:
    """The bridge has its address before there is a pod, since the API server advertises it."""
    link = f"{versions.POD_GATEWAY}/24"
    _check_address_free()
    if not exists(versions.BRIDGE):
        shell.run(["ip", "link", "add", versions.BRIDGE, "address", _MAC, "type", "bridge"])
    shell.run(["ip", "address", "replace", link, "dev", versions.BRIDGE])
    shell.run(["ip", "link", "set", versions.BRIDGE, "up"])


def _check_address_free() -> None:
    told = shell.run(["ip", "-json", "-4", "address", "show", "to", versions.POD_SUBNET])
    others = [link["ifname"] for link in json.loads(told or "[]") if link]
    others = [name for name in others if name != versions.BRIDGE]
    if others:
        raise SandboxError(f"the pod network {versions.POD_SUBNET} is already used by interface {others[0]}")


def exists(interface: str) -> bool:
    """Whether the network interface exists."""
    return Path("/sys/class/net", interface).exists()


def remove_bridge() -> None:
    """The bridge and the pods' ends on it."""
    ports = Path("/sys/class/net", versions.BRIDGE, "brif")
    for port in list(ports.iterdir()) if ports.exists() else []:
        shell.succeeds(["ip", "link", "delete", port.name])
    if exists(versions.BRIDGE):
        shell.run(["ip", "link", "delete", versions.BRIDGE])


def remove_rules() -> None:
    """The firewall rules of kubelet and kube-proxy, and no others."""
    for family in ("iptables", "ip6tables"):
        if not shell.succeeds([f"{family}-save"]):
            continue
        script = removal(shell.run([f"{family}-save"]))
        if script:
            shell.run([f"{family}-restore", "--noflush"], stdin=script)


def removal(saved: str) -> str:
    """An iptables-restore script that takes Kubernetes' chains out of what iptables-save printed."""
    lines = [line for table in _tables(saved) for line in _table_removal(table)]
    return "".join(f"{line}\n" for line in lines)


def _tables(saved: str) -> Iterator[list[str]]:
    table: list[str] = []
    for line in saved.splitlines():
        if line.startswith("*"):
            table = [line]
        elif line == "COMMIT":
            yield table
        else:
            table.append(line)


def _table_removal(table: list[str]) -> list[str]:
    chains = [line[1:].split()[0] for line in table[1:] if line.startswith(":")]
    chains = [chain for chain in chains if _OUR_CHAIN.match(chain)]
    if not chains:
        return []
    jump = re.compile(r"^-A (?!KUBE-|CNI-)\S+ .*-[jg] (KUBE|CNI)-")
    jumps = ["-D" + line[2:] for line in table if jump.match(line)]
    # All chains are emptied before the first is removed: they refer to each other.
    return [table[0], *jumps, *(f"-F {name}" for name in chains), *(f"-X {name}" for name in chains), "COMMIT"]
