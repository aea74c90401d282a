"""A Kubernetes API of a test's own: a second API server on the sandbox's etcd, under another prefix.

What is installed in the sandbox's cluster, an operator above all, sees nothing of it; and it may be stopped at will.
Controllers for namespaces and garbage run too; Deployments have none, so that tests say what becomes of them.
"""

import json
import os
import secrets
import signal
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from sandbox import Sandbox
from sandbox.controlplane import ApiServer as Original
from tests.support import wait

Json = dict[str, Any]
CONTROLLERS = ("namespace-controller", "garbage-collector-controller")


class CommandFailed(AssertionError):
    """kubectl said no; the text is what it said."""


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Api:
    """The server, its controllers, and kubectl on it."""

    def __init__(self, sandbox: Sandbox, folder: Path) -> None:
        self._sandbox, self._folder = sandbox, folder
        self.port = free_port()
        self.kubeconfig = folder / "admin.kubeconfig"
        self._prefix = f"/test-{secrets.token_hex(4)}"
        self._server: subprocess.Popen[bytes] | None = None
        self._controllers: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the server and its controllers, and wait until they answer."""
        pki = self._sandbox.endpoints.kubeconfig.parent
        admin = json.loads(self._sandbox.endpoints.kubeconfig.read_text())
        admin["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{self.port}"
        self.kubeconfig.write_text(json.dumps(admin))
        self.start_server()
        self._controllers = self._run(
            "kube-controller-manager",
            f"--kubeconfig={self.kubeconfig}",
            f"--service-account-private-key-file={pki / 'service-accounts.key'}",
            f"--controllers={','.join(CONTROLLERS)}",
            "--leader-elect=false",
            "--bind-address=127.0.0.1",
            f"--secure-port={free_port()}",
            f"--cert-dir={self._folder}",
        )

    def start_server(self) -> None:
        """Start the server alone, with what it had."""
        original = Original(self._sandbox.paths).launch().argv[1:]
        kept = [flag for flag in original if not flag.startswith("--secure-port=")]
        self._server = self._run("kube-apiserver", *kept, f"--secure-port={self.port}", f"--etcd-prefix={self._prefix}")
        wait.true("the API server is ready", self._ready, 60)

    def stop_server(self) -> None:
        """As a power cut does."""
        assert self._server is not None
        self._server.kill()
        self._server.wait()

    def stop(self) -> None:
        """Stop both; what they stored stays in etcd, where nobody looks for it."""
        for process in (self._controllers, self._server):
            if process is not None and process.poll() is None:
                process.send_signal(signal.SIGKILL)
                process.wait()

    def _run(self, tool: str, *flags: str) -> subprocess.Popen[bytes]:
        log = (self._folder / f"{tool}.log").open("ab")
        with log:
            return subprocess.Popen([str(self._sandbox.tool(tool)), *flags], stdout=log, stderr=log)

    def _ready(self) -> bool:
        try:
            return self.kubectl("get", "--raw=/readyz") == "ok"
        except CommandFailed:
            return False

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """What kubectl printed; raises CommandFailed with its complaint."""
        return self._command("kubectl", arguments, stdin)

    def helm(self, *arguments: str) -> str:
        """What helm printed."""
        return self._command("helm", arguments, None)

    def _command(self, tool: str, arguments: Sequence[str], stdin: str | None) -> str:
        env = {**os.environ, "KUBECONFIG": str(self.kubeconfig)}
        command = [str(self._sandbox.tool(tool)), *arguments]
        done = subprocess.run(command, env=env, input=stdin, capture_output=True, text=True, timeout=120, check=False)
        if done.returncode != 0:
            raise CommandFailed(done.stderr.strip() or done.stdout.strip())
        return done.stdout

    def apply(self, *objects: Json, options: Sequence[str] = ()) -> str:
        """`kubectl apply`."""
        return self.kubectl("apply", "--filename=-", *options, stdin=yaml.safe_dump_all(objects))

    def get(self, kind: str, name: str, namespace: str) -> Json:
        """One object."""
        found: Json = json.loads(
            self.kubectl("get", kind, name, f"--namespace={namespace}", "--output=json", "--show-managed-fields")
        )
        return found

    def exists(self, kind: str, name: str, namespace: str) -> bool:
        """Whether there is such an object."""
        command = ("get", kind, name, f"--namespace={namespace}", "--ignore-not-found", "--output=name")
        return self.kubectl(*command) != ""

    def names(self, kind: str, namespace: str) -> list[str]:
        """Names of the objects of a kind."""
        lines = self.kubectl("get", kind, f"--namespace={namespace}", "--output=name").splitlines()
        return [line.partition("/")[2] for line in lines]
