"""The sandbox as a whole: its parts, in which order they start, and its end."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from . import (
    apt,
    cgroups,
    cleanup,
    graph,
    images,
    images_base,
    kafka,
    lock,
    network,
    node,
    pki,
    procfs,
    toolchain,
    versions,
)
from .controlplane import ApiServer, ControllerManager, Etcd, Scheduler
from .errors import SandboxError
from .graph import Step
from .images import Images
from .kafka import Kafka
from .node import Containerd, Kubelet, Proxy
from .paths import Paths, write_atomic
from .postgres import Postgres
from .process import MARK, Process, Service
from .report import Report

SERVICES: tuple[type[Service], ...] = (
    Postgres,
    Kafka,
    Etcd,
    ApiServer,
    ControllerManager,
    Scheduler,
    Containerd,
    Kubelet,
    Proxy,
)

_APISERVER = ("kube-controller-manager",)
_NODE = ("kube-scheduler", "kubelet", "kube-proxy", "node-images")

#: The parts that a user may name, and the last steps of each; graph.closure adds what these need.
PARTS: dict[str, tuple[str, ...]] = {
    "postgres": ("postgres",),
    "kafka": ("kafka",),
    "apiserver": _APISERVER,
    "node": (*_APISERVER, *_NODE),
}

#: Parts whose packages a part needs too.
_INCLUDES = {"node": ("apiserver",)}


@dataclass(frozen=True)
class Endpoints:
    """Where programs of this machine and pods of its node find things."""

    postgres_uri: str
    postgres_uri_pods: str
    kafka: str
    kafka_pods: str
    kubeconfig: Path


class Sandbox:
    """The machine's one sandbox."""

    def __init__(self, paths: Paths | None = None, report: Report | None = None) -> None:
        self.paths = paths or Paths.default()
        self.report = report or Report()
        self._processes = {service.name: Process(service(self.paths), self.paths) for service in SERVICES}

    @property
    def endpoints(self) -> Endpoints:
        """The addresses; the same whether or not the parts run."""
        who = f"{versions.POSTGRES_USER}:{versions.POSTGRES_PASSWORD}"
        place = f"{versions.PORT_POSTGRES}/{versions.POSTGRES_DATABASE}"
        return Endpoints(
            postgres_uri=f"postgresql://{who}@127.0.0.1:{place}",
            postgres_uri_pods=f"postgresql://{who}@{versions.POD_GATEWAY}:{place}",
            kafka=f"127.0.0.1:{versions.PORT_KAFKA_HOST}",
            kafka_pods=f"{versions.POD_GATEWAY}:{versions.PORT_KAFKA_PODS}",
            kubeconfig=self.paths.state / "pki" / "admin.kubeconfig",
        )

    def process(self, name: str) -> Process:
        """Handle on one program, `kafka` or `kubelet` for example."""
        if name not in self._processes:
            raise SandboxError(f"no such process: {name} (there are {', '.join(self._processes)})")
        return self._processes[name]

    @property
    def processes(self) -> list[Process]:
        """All programs, running or not."""
        return list(self._processes.values())

    def tool(self, name: str) -> Path:
        """The path of a compiled program, `kubectl` or `helm` for example."""
        if name not in toolchain.PROGRAMS:
            raise SandboxError(f"no such tool: {name} (there are {', '.join(toolchain.PROGRAMS)})")
        return toolchain.program(self.paths, name)

    def images(self) -> Images:
        """Build the product's images if the sources changed, and hand them to the node."""
        self._need_node()
        with lock.exclusive(self.paths, self.report):
            return images.make(self.paths, self.report)

    def image(self, folder: Path, **arguments: str) -> str:
        """Build the image of a folder's Dockerfile, with build arguments, for the node; its name by digest."""
        self._need_node()
        with lock.exclusive(self.paths, self.report):
            return images.make_from(self.paths, self.report, folder, **arguments)

    def containers(self, pod: str, namespace: str | None = None) -> list[int]:
        """The processes of a pod's containers on this machine, each container's first process first."""
        self._need_node()
        return node.container_processes(self.paths, pod, namespace)

    def _need_node(self) -> None:
        check_machine()
        if not self.process("containerd").running:
            raise SandboxError("the node is not running: python -m sandbox up node")

    def up(self, *parts: str) -> None:
        """Start these parts (default all) and what they need; no harm if they run."""
        wanted = parts or tuple(PARTS)
        for part in wanted:
            if part not in PARTS:
                raise SandboxError(f"no such part: {part} (there are {', '.join(PARTS)})")
        check_machine()
        with lock.exclusive(self.paths, self.report):
            self._replace_other_layout()
            names = [name for part in wanted for name in PARTS[part]]
            graph.run(graph.closure(names, self._steps(wanted)))

    def down(self) -> None:
        """Stop all that was started and undo all that was changed on the machine."""
        check_machine()
        with lock.exclusive(self.paths, self.report):
            cleanup.down(self.processes, self.paths, self.report)

    def clean(self, cache: bool = False) -> None:
        """`down`, and forget all data; with `cache` also what was built."""
        self.down()
        with lock.exclusive(self.paths, self.report):
            cleanup.forget(self.paths.state)
            if cache:
                cleanup.forget(self.paths.cache)

    def _replace_other_layout(self) -> None:
        """Data that other versions made is of no use to these."""
        mark = self.paths.state / "layout"
        if mark.exists() and mark.read_text() != versions.layout():
            self.report.line("a sandbox of other versions is on this machine … replacing it")
            cleanup.down(self.processes, self.paths, self.report)
            cleanup.forget(self.paths.state)
        write_atomic(mark, versions.layout())

    def _steps(self, parts: tuple[str, ...]) -> dict[str, Step]:
        services = [Step(one.name, self._starter(one), one.service.needs) for one in self.processes]
        # Compiling takes the longest, so it waits for nothing, unless Go itself is missing.
        go_first = () if toolchain.machine_go() else ("packages",)
        steps = [
            Step("packages", lambda: self._packages(parts)),
            Step("kafka-jars", self._kafka_jars, ("packages",)),
            Step("kubernetes", self._kubernetes, go_first),
            Step("certificates", lambda: pki.make(self.paths), ("packages",)),
            Step("ground", self._ground, ("remember",)),
            Step("network", network.make_bridge, ("remember",)),
            Step("remember", lambda: network.remember(self.paths), ("packages",)),
            Step("base-image", self._base_image, ("packages",)),
            Step("node-images", self._node_images, ("base-image", "containerd")),
            *services,
        ]
        return {step.name: step for step in steps}

    def _packages(self, parts: tuple[str, ...]) -> None:
        packages = apt.missing([*parts, *(more for part in parts for more in _INCLUDES.get(part, ()))])
        if packages:
            with self.report.step("packages", f"installing {' '.join(packages)}", "installed"):
                apt.install(packages, self.paths)

    def _kafka_jars(self) -> None:
        if not kafka.libraries(self.paths).exists():
            with self.report.step(f"kafka {versions.KAFKA}", "fetching", "fetched"):
                kafka.fetch(self.paths)

    def _kubernetes(self) -> None:
        if not toolchain.folder(self.paths).exists():
            what = f"kubernetes {versions.KUBERNETES}, helm {versions.HELM}"
            with self.report.step(what, "compiling, about 6 minutes on 2 cores", "compiled"):
                toolchain.build(self.paths)

    def _ground(self) -> None:
        """A node can only start where none is: not another's, nor the remains of ours."""
        mine = set(procfs.marked(f"{MARK}={self.paths.state}"))
        for pid in procfs.pids():
            words = procfs.command(pid)
            if words and Path(words[0]).name == "kubelet" and pid not in mine:
                raise SandboxError(f"another Kubernetes node runs on this machine (kubelet, process {pid})")
        if not self.process("containerd").running:
            self.process("kubelet").stop()
            cleanup.pods(self.paths)
        cgroups.make()
        network.allow_forwarding()

    def _base_image(self) -> None:
        if not images_base.archive(self.paths).exists():
            with self.report.step("base image", f"installing Debian {versions.DEBIAN} into a folder", "built"):
                images_base.make(self.paths)

    def _node_images(self) -> None:
        known = node.ctr(self.paths, "images", "ls", "-q").split()
        if images_base.PAUSE not in known:
            with self.report.step("base image", "importing into containerd", "imported"):
                node.ctr(self.paths, "images", "import", images_base.archive(self.paths))
                node.ctr(self.paths, "images", "tag", "--force", images_base.BASE, images_base.PAUSE)

    def _starter(self, process: Process) -> Callable[[], None]:
        return lambda: start(process, self.report)


def start(process: Process, report: Report) -> None:
    """Bring one program to answering, whatever state it is in."""
    if process.running and not process.current:
        report.line(f"{process.name} … runs with another configuration, replacing it")
        process.stop()
    if process.running and healthy(process):
        report.line(f"{process.name} … runs already")
        return
    with report.step(process.name, "starting"):
        process.stop()
        process.start()
        try:
            process.wait_ready(process.service.start_timeout)
        except SandboxError:
            process.stop()
            if not process.service.discard():
                raise
            report.line(f"{process.name} … does not start with its data, discarding them")
            process.start()
            process.wait_ready(process.service.start_timeout)


def healthy(process: Process) -> bool:
    """Whether a running program answers within a few seconds."""
    try:
        process.wait_ready(5.0)
    except SandboxError:
        return False
    return True


def check_machine() -> None:
    """One clear line where the sandbox can not run."""
    if sys.platform != "linux":
        raise SandboxError(f"the sandbox runs on Linux only, not on {sys.platform}")
    if os.geteuid() != 0:
        raise SandboxError("the sandbox needs root (it makes a network bridge and mounts): use sudo -E")
