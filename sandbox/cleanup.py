"""The end of the sandbox: processes, pods, mounts, interfaces, rules, in that order."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from . import cgroups, mounts, network, node, procfs, versions
from .errors import SandboxError
from .paths import Paths
from .process import MARK, Process, kill_and_wait
from .report import Report


def down(processes: list[Process], paths: Paths, report: Report) -> None:
    """Stop everything and undo all changes; works whatever is already dead or forgotten."""
    with report.step("processes", "stopping", "stopped"):
        # The API server needs etcd to end in order.
        _stop(process for process in processes if process.name != "etcd")
        _stop(process for process in processes if process.name == "etcd")
        kill_and_wait(procfs.marked(f"{MARK}={paths.state}"))
        shutil.rmtree(paths.state / "run", ignore_errors=True)
    # Without this note nothing but processes was ever started here, and pods and bridge would be another sandbox's.
    if (paths.state / "machine.json").exists():
        with report.step("machine", "removing pods, mounts, network and rules", "as before"):
            _restore_machine(paths)
    mounts.unmount([paths.state])


def _restore_machine(paths: Paths) -> None:
    pods(paths)
    mounts.unmount([paths.state, paths.cache])
    network.remove_rules()
    network.remove_bridge()
    cgroups.remove()
    _remove_folders(network.restore(paths))


def pods(paths: Paths) -> None:
    """What a node leaves that did not end in order; containerd and kubelet must have ended."""
    kill_and_wait(cgroups.processes())
    kill_and_wait(_shims(paths))
    state = node.home(paths) / "state"
    for address in state.glob("io.containerd.runtime.v2.task/*/*/address"):
        Path(address.read_text().removeprefix("unix://")).unlink(missing_ok=True)
    folders = [node.home(paths), paths.state / "kubelet"]
    mounts.unmount(folders)
    if not mounts.below(folders):
        shutil.rmtree(state, ignore_errors=True)
    shutil.rmtree(node.addresses(paths), ignore_errors=True)
    for pattern in (f"results/{versions.CNI_NETWORK}-*", f"cache/results/{versions.CNI_NETWORK}-*"):
        for file in Path("/var/lib/cni").glob(pattern):
            file.unlink()
    for link in Path("/var/log/containers").glob("*.log"):
        if link.is_symlink() and link.readlink().is_relative_to(paths.state):
            link.unlink()


def _shims(paths: Paths) -> list[int]:
    socket = str(node.home(paths) / "containerd.sock")
    found = []
    for pid in procfs.pids():
        words = procfs.command(pid)
        if words and "containerd-shim" in words[0] and socket in words:
            found.append(pid)
    return found


def _remove_folders(absent_before: list[str]) -> None:
    """Folders that were not there before, unless they hold files that are not of the sandbox."""
    for name in absent_before:
        for pattern in network.FOLDERS[name]:
            for file in Path(name).glob(pattern):
                file.unlink()
        for folder, _, _ in os.walk(name, topdown=False):
            with suppress(OSError):
                Path(folder).rmdir()


def _stop(processes: Iterable[Process]) -> None:
    with ThreadPoolExecutor() as pool:
        list(pool.map(Process.stop, processes))


def forget(folder: Path) -> None:
    """Remove a folder of ours, but never through a mount that is still there."""
    left = mounts.below([folder])
    if left:
        raise SandboxError(f"{left[0]} can not be unmounted, so {folder} is not removed")
    shutil.rmtree(folder, ignore_errors=True)
