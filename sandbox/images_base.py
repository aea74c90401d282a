"""The base image: a small Debian with Python, made without any image registry."""

from __future__ import annotations

import shutil
from pathlib import Path

from . import mounts, shell, versions
from .paths import Paths, building, write_atomic

_PACKAGES = "python3,python3-venv,ca-certificates"
#: Raise when the recipe below changes.
_KEY = f"{versions.DEBIAN}-1"

#: Kubernetes looks for short names at docker.io; the full name is found without a look-up there.
BASE = f"docker.io/projection-operator/base:{_KEY}"
#: The pod's first container only holds its network: any program that sleeps will do.
PAUSE = f"docker.io/projection-operator/pause:{_KEY}"

_DOCKERFILE = """\
FROM scratch
ADD root.tar /
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8
CMD ["sleep", "infinity"]
"""

_LEFT_OUT = (
    "./dev/*",
    "./proc/*",
    "./sys/*",
    "./tmp/*",
    "./usr/share/doc/*",
    "./usr/share/locale/*",
    "./usr/share/man/*",
    "./var/cache/apt/*",
    "./var/lib/apt/lists/*",
    "./var/log/*",
)


def archive(paths: Paths) -> Path:
    """The image as a file that containerd can import."""
    return paths.cache / f"base-{_KEY}" / "image.tar"


def buildah(paths: Paths, *words: str | Path, log: Path, cwd: Path | None = None) -> str:
    """Run buildah with storage of its own."""
    storage = ("--root", paths.cache / "buildah", "--runroot", paths.make("buildah"), "--storage-driver", "overlay")
    # Interrupted builds leave mounts in the temporary folder; in ours they are found and removed.
    env = {"TMPDIR": str(paths.make("tmp")), "BUILDAH_ISOLATION": "chroot"}
    return shell.run(["buildah", *storage, *words], log=log, cwd=cwd, env=env)


def make(paths: Paths) -> None:
    """Install a minimal Debian into a folder and pack it as an image."""
    log = paths.log("base-image")
    target = archive(paths).parent
    mounts.unmount([target.with_name(f"{target.name}.partial")])
    with building(target) as scratch:
        root = scratch / "root"
        shell.run(["debootstrap", "--variant=minbase", f"--include={_PACKAGES}", versions.DEBIAN, root], log=log)
        left_out = [f"--exclude={name}" for name in _LEFT_OUT]
        shell.run(["tar", "-C", root, "--numeric-owner", *left_out, "-cf", scratch / "root.tar", "."], log=log)
        shutil.rmtree(root)
        write_atomic(scratch / "Dockerfile", _DOCKERFILE)
        buildah(paths, "bud", "-t", BASE, ".", log=log, cwd=scratch)
        buildah(paths, "push", BASE, f"oci-archive:{scratch / 'image.tar'}:{BASE}", log=log)
        (scratch / "root.tar").unlink()
