"""The real cluster with the operator installed, as the e2e and fault tests use it."""

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from sandbox import Images, Sandbox
from tests.support import wait

ROOT = Path(__file__).resolve().parents[2]
OPERATOR_NS = "projections-system"
Json = dict[str, Any]


class CommandFailed(AssertionError):
    """A command ended badly; the text is what it said."""


class Cluster:
    """kubectl and helm on the sandbox."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox

    @cached_property
    def _env(self) -> Mapping[str, str]:
        return {**os.environ, "KUBECONFIG": str(self.sandbox.endpoints.kubeconfig)}

    def tool(self, name: str, arguments: Sequence[str], stdin: str | None = None, timeout: float = 180) -> str:
        """Run kubectl or helm; what it printed. Raises CommandFailed with what it complained about."""
        command = [str(self.sandbox.tool(name)), *arguments]
        done = subprocess.run(
            command, env=self._env, input=stdin, capture_output=True, text=True, timeout=timeout, check=False
        )
        if done.returncode != 0:
            raise CommandFailed(f"{name} {' '.join(arguments)}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """Run kubectl."""
        return self.tool("kubectl", arguments, stdin)

    def apply(self, *objects: Json) -> None:
        """`kubectl apply -f -`."""
        self.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(objects))

    def get(self, kind: str, name: str, namespace: str) -> Json:
        """One object as JSON."""
        found: Json = json.loads(self.kubectl("get", kind, name, "-n", namespace, "-o", "json"))
        return found

    def list_all(self, kind: str, namespace: str, selector: str = "") -> list[Json]:
        """Objects of a kind in a namespace."""
        options = ["-l", selector] if selector else []
        items: list[Json] = json.loads(self.kubectl("get", kind, "-n", namespace, "-o", "json", *options))["items"]
        return items

    @cached_property
    def images(self) -> Images:
        """Those of this checkout, as they are when first asked for."""
        return self.sandbox.images()

    def install(self) -> None:
        """Install or upgrade the operator from the chart, and wait until it runs."""
        self.tool(
            "helm",
            [
                *("upgrade", "--install", "projection-operator", str(ROOT / "helm" / "projection-operator")),
                *("-n", OPERATOR_NS, "--create-namespace", "--take-ownership", "--wait", "--timeout", "150s"),
                *_image("image", self.images.operator),
                *_image("projectorImage", self.images.projector),
            ],
        )

    def operator_pods(self) -> list[Json]:
        """Pods of the operator that are not on their way out."""
        return [pod for pod in self.list_all("pods", OPERATOR_NS) if "deletionTimestamp" not in pod["metadata"]]

    def leader(self) -> str:
        """Name of the operator pod that holds the Lease; empty while none does."""
        holder = self.get("lease", "projection-operator", OPERATOR_NS)["spec"].get("holderIdentity") or ""
        names = [pod["metadata"]["name"] for pod in self.operator_pods()]
        return next((name for name in names if holder.startswith(name)), "")

    def wait_operator(self, timeout: float = 120) -> None:
        """Until every operator pod is ready."""
        wait.true("the operator is ready", lambda: _all_ready(self.operator_pods()), timeout)


def _image(value: str, name: str) -> list[str]:
    repository, _, tag = name.rpartition(":")
    return ["--set", f"{value}.repository={repository}", "--set", f"{value}.tag={tag}"]


def _all_ready(pods: Sequence[Json]) -> bool:
    return bool(pods) and all(is_ready(pod) for pod in pods)


def is_ready(pod: Json) -> bool:
    """Whether the pod's Ready condition is true."""
    conditions = pod.get("status", {}).get("conditions", [])
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
