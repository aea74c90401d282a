"""The node: containerd, kubelet and kube-proxy."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

from . import https, images_base, pki, procfs, shell, versions
from .controlplane import OK, KubernetesService
from .errors import SandboxError
from .paths import Paths, write_atomic
from .process import Launch, Service

_CONTAINERD = """\
version = 2
root = "{home}/root"
state = "{home}/state"
oom_score = 0
disabled_plugins = [
  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs",
]

[grpc]
  address = "{home}/containerd.sock"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  # Root may lack CAP_SYS_RESOURCE, without which no score below one's own can be set.
  restrict_oom_score_adj = true
  # In /var/run/netns they could not be told from those of others.
  netns_mounts_under_state_dir = true
  stream_server_address = "127.0.0.1"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
        Root = "{home}/state/runc"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{home}/cni"
"""


def home(paths: Paths) -> Path:
    """Containerd's folder."""
    return paths.state / "containerd"


def addresses(paths: Paths) -> Path:
    """Which pod has which address, as the `host-local` plugin notes it."""
    return home(paths) / "addresses"


def ctr(paths: Paths, *words: str | Path, log: Path | None = None) -> str:
    """Run containerd's own client on Kubernetes' images and containers."""
    socket = home(paths) / "containerd.sock"
    return shell.run(["ctr", "--address", socket, "--namespace", "k8s.io", *words], log=log, timeout=120)


def container_processes(paths: Paths, pod: str, namespace: str | None = None) -> list[int]:
    """Host pids of a pod's containers; asks containerd, so it works without an API server."""
    labels = {"io.kubernetes.pod.name": pod, "io.cri-containerd.kind": "container"}
    if namespace is not None:
        labels["io.kubernetes.pod.namespace"] = namespace
    # The parts of one filter, joined by commas, must all hold.
    wanted = ",".join(f'labels."{name}"=={value}' for name, value in labels.items())
    ids = set(ctr(paths, "containers", "ls", "--quiet", wanted).split())
    tasks = [line.split() for line in ctr(paths, "tasks", "ls").splitlines()[1:]]
    mains = [int(task[1]) for task in tasks if task[0] in ids and task[2] != "STOPPED"]
    return [pid for main in mains for pid in procfs.family(main)]


class Containerd(Service):
    """The container runtime, with folders and a socket of its own."""

    name = "containerd"
    needs = ("packages", "ground", "network")

    def _files(self) -> dict[str, str]:
        folder = home(self.paths)
        network = {
            "cniVersion": "0.4.0",
            "name": versions.CNI_NETWORK,
            "plugins": [
                {
                    "type": "bridge",
                    "bridge": versions.BRIDGE,
                    "isDefaultGateway": True,
                    "hairpinMode": True,
                    "ipam": {
                        "type": "host-local",
                        "dataDir": str(addresses(self.paths)),
                        "ranges": [[{"subnet": versions.POD_SUBNET, "gateway": versions.POD_GATEWAY}]],
                    },
                }
            ],
        }
        toml = _CONTAINERD.format(home=folder, pause=images_base.PAUSE)
        return {"config.toml": toml, "cni/10-sandbox.conflist": json.dumps(network, indent=1)}

    def launch(self) -> Launch:
        """Containerd with our configuration only."""
        argv = ("containerd", "--config", str(home(self.paths) / "config.toml"))
        return Launch(argv, config=tuple(self._files().values()))

    def prepare(self) -> None:
        """Write the configuration."""
        for name, text in self._files().items():
            write_atomic(home(self.paths) / name, text)

    def ready(self) -> bool:
        """The plugin that kubelet talks to is loaded, and the daemon answers."""
        try:
            plugins = ctr(self.paths, "plugins", "ls", "id==cri")
        except SandboxError:
            return False
        return any("cri" in line and line.rstrip().endswith("ok") for line in plugins.splitlines())


class Kubelet(KubernetesService):
    """Runs the node's pods."""

    name = "kubelet"
    ports = (versions.PORT_KUBELET, versions.PORT_KUBELET_HEALTH)
    needs = ("kube-apiserver", "containerd")

    def _config(self) -> str:
        return json.dumps(
            {
                "apiVersion": "kubelet.config.k8s.io/v1beta1",
                "kind": "KubeletConfiguration",
                "address": "0.0.0.0",  # noqa: S104 - clients need certificates
                "port": versions.PORT_KUBELET,
                "healthzPort": versions.PORT_KUBELET_HEALTH,
                "authentication": {
                    "anonymous": {"enabled": False},
                    "webhook": {"enabled": True},
                    "x509": {"clientCAFile": self.pki("ca.crt")},
                },
                "authorization": {"mode": "Webhook"},
                "tlsCertFile": self.pki("kubelet-serving.crt"),
                "tlsPrivateKeyFile": self.pki("kubelet-serving.key"),
                "containerRuntimeEndpoint": f"unix://{home(self.paths)}/containerd.sock",
                "cgroupDriver": "cgroupfs",
                "cgroupRoot": f"/{versions.CGROUP}",
                "enforceNodeAllocatable": [],
                "failCgroupV1": False,
                "failSwapOn": False,
                "podLogsDir": str(self.home / "logs"),
                "volumePluginDir": str(self.home / "plugins-exec"),
                # There is no DNS server: pods find things by address, as the endpoints say.
                "resolvConf": "",
                # Images can not be pulled again, so they are never collected.
                "imageGCHighThresholdPercent": 100,
                # Tests kill containers many times, and change Secrets under running pods: the usual back-off of
                # minutes and refresh of a minute would only be waited for.
                "crashLoopBackOff": {"maxContainerRestartPeriod": "2s"},
                "syncFrequency": "10s",
                "evictionHard": {
                    "memory.available": "100Mi",
                    "nodefs.available": "1%",
                    "imagefs.available": "1%",
                    "nodefs.inodesFree": "1%",
                },
            },
            indent=1,
        )

    def launch(self) -> Launch:
        """Kubelet with its own root folder."""
        argv = self.program(
            f"--config={self.home / 'config.json'}",
            f"--kubeconfig={self.pki('kubelet.kubeconfig')}",
            f"--root-dir={self.home}",
            f"--hostname-override={versions.NODE}",
            f"--node-ip={versions.POD_GATEWAY}",
        )
        return Launch(argv, config=(self._config(),))

    def prepare(self) -> None:
        """Write the configuration."""
        write_atomic(self.home / "config.json", self._config())

    def ready(self) -> bool:
        """It is healthy and the API server has heard so."""
        if https.status(versions.PORT_KUBELET_HEALTH, "/healthz", tls=False) != OK:
            return False
        code, node = https.api(pki.folder(self.paths), f"/api/v1/nodes/{versions.NODE}")
        # The configuration is written at each start: what the node said before that start does not count.
        started = int((self.home / "config.json").stat().st_mtime)
        return code == OK and is_ready(node, started)


def is_ready(node: dict[str, Any], since: int) -> bool:
    """Whether a Node is schedulable and has said so since a moment (seconds of the epoch)."""
    conditions = {condition["type"]: condition for condition in node["status"].get("conditions", [])}
    ready = conditions.get("Ready")
    if ready is None or ready["status"] != "True" or node["spec"].get("taints"):
        return False
    return datetime.fromisoformat(ready["lastHeartbeatTime"]).timestamp() >= since


class Proxy(KubernetesService):
    """Makes service addresses reach pods."""

    name = "kube-proxy"
    ports = (versions.PORT_PROXY_METRICS, versions.PORT_PROXY_HEALTH)
    needs = ("kube-apiserver",)

    def _config(self) -> str:
        return json.dumps(
            {
                "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
                "kind": "KubeProxyConfiguration",
                "mode": "iptables",
                "clientConnection": {"kubeconfig": self.pki("proxy.kubeconfig")},
                "clusterCIDR": versions.POD_NETWORK,
                "hostnameOverride": versions.NODE,
                "conntrack": {"maxPerCore": 0, "min": 0},
                "metricsBindAddress": f"127.0.0.1:{versions.PORT_PROXY_METRICS}",
                "healthzBindAddress": f"127.0.0.1:{versions.PORT_PROXY_HEALTH}",
                # Answers between two pods of one bridge would otherwise bypass the translation
                # where the kernel has no br_netfilter.
                "iptables": {"masqueradeAll": True},
            },
            indent=1,
        )

    def launch(self) -> Launch:
        """kube-proxy; all is in its configuration."""
        return Launch(self.program(f"--config={self.home / 'config.json'}"), config=(self._config(),))

    def prepare(self) -> None:
        """Write the configuration."""
        write_atomic(self.home / "config.json", self._config())

    def ready(self) -> bool:
        """Its rules are written."""
        return https.status(versions.PORT_PROXY_HEALTH, "/healthz", tls=False) == OK
