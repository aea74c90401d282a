"""The product's images: built from this checkout and handed to the node's containerd."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from . import images_base, mounts, node, pytools, shell, versions
from .errors import SandboxError
from .paths import SOURCE, Paths, building
from .report import Report


@dataclass(frozen=True)
class Images:
    """Names of images that pods can use, and a base with Python for helpers."""

    operator: str
    projector: str
    base: str = images_base.BASE


#: What `uv export` takes besides the base dependencies.
_EXTRAS = {"operator": ("--extra", "operator"), "projector": ("--extra", "avro", "--extra", "protobuf")}
_OFFLINE = ("--network", "none", "--pull-never", "--layers")
_FOLDERS = ("operator", "projector")
_FILES = ("pyproject.toml", "uv.lock", "README.md", "LICENSE")


def sources(root: Path) -> Iterator[Path]:
    """The files that the images are made from, in a fixed order."""
    yield from (root / name for name in _FILES if (root / name).is_file())
    for folder in _FOLDERS:
        for path in sorted((root / folder).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                yield path


def tag(root: Path) -> str:
    """A hash of all that goes into the images: equal sources have equal tags."""
    digest = hashlib.sha256(f"{images_base.BASE} {_EXTRAS}".encode())
    for path in sources(root):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        digest.update(f"{path.relative_to(root)} {content}\n".encode())
    return digest.hexdigest()[:16]


def make(paths: Paths, report: Report, root: Path = SOURCE) -> Images:
    """Build and import what is not there yet."""
    for name in ("pyproject.toml", "uv.lock"):
        if not (root / name).exists():
            raise SandboxError(f"no {name} in {root}: there is nothing to build images from")
    now = tag(root)
    names = {part: f"docker.io/projection-operator/{part}:{now}" for part in _EXTRAS}
    known = set(node.ctr(paths, "images", "ls", "-q").split())
    wanted = {part: name for part, name in names.items() if name not in known}
    if wanted:
        with report.step("images", f"building {', '.join(wanted)} ({now})"):
            mounts.unmount([paths.cache, paths.state / "tmp"])
            _build(paths, root, wanted)
    return Images(**names)


def make_from(paths: Paths, report: Report, folder: Path, **arguments: str) -> str:
    """Build and import the image of a folder's Dockerfile if it is not there yet; its name by digest."""
    digest = hashlib.sha256(repr(sorted(arguments.items())).encode())
    for path in sorted(folder.iterdir()):
        if path.is_file():
            digest.update(f"{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    name = f"docker.io/projection-operator/{folder.name}:{digest.hexdigest()[:16]}"
    if name not in node.ctr(paths, "images", "ls", "-q").split():
        with report.step("images", f"building {name}"):
            given = [word for pair in arguments.items() for word in ("--build-arg", "=".join(pair))]
            log = paths.log(f"image-{folder.name}")
            images_base.buildah(paths, "bud", *_OFFLINE, *given, "-t", name, ".", log=log, cwd=folder)
            _import(paths, name, log)
    return _by_digest(paths, name)


def _by_digest(paths: Paths, name: str) -> str:
    """The same image under the name that a registry would know it by; kubelet looks for nothing else."""
    (line,) = node.ctr(paths, "images", "ls", f"name=={name}").splitlines()[1:]
    digest = next(word for word in line.split() if word.startswith("sha256:"))
    known = f"{name.rpartition(':')[0]}@{digest}"
    node.ctr(paths, "images", "tag", "--force", name, known)
    return known


def _build(paths: Paths, root: Path, wanted: dict[str, str]) -> None:
    log = paths.log("images")
    _base(paths, log)
    wheel = _project_wheel(paths, root, log)
    # Both at once: each mostly waits for copies.
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda part: _build_one(paths, root, part, wanted[part], wheel), wanted))


def _build_one(paths: Paths, root: Path, part: str, name: str, wheel: Path) -> None:
    log = paths.log(f"image-{part}")
    context = _context(paths, root, part, log)
    shutil.rmtree(context / "build" / "dist", ignore_errors=True)
    shutil.copytree(wheel, context / "build" / "dist")
    recipe = ("-f", root / part / "Dockerfile", "--build-arg", f"BASE={images_base.BASE}")
    images_base.buildah(paths, "bud", *_OFFLINE, *recipe, "-t", name, ".", log=log, cwd=context)
    _import(paths, name, log)


def _import(paths: Paths, name: str, log: Path) -> None:
    """Hand an image to the node."""
    file = paths.make("tmp") / f"{log.stem}.tar"
    file.unlink(missing_ok=True)
    # This form of archive, unlike OCI's, is not compressed, which would take longer than all else.
    images_base.buildah(paths, "push", name, f"docker-archive:{file}:{name}", log=log)
    node.ctr(paths, "images", "import", file, log=log)
    file.unlink()


def _base(paths: Paths, log: Path) -> None:
    known = images_base.buildah(paths, "images", "--format", "{{.Name}}:{{.Tag}}", log=log)
    if images_base.BASE not in known.split():
        images_base.buildah(paths, "pull", f"oci-archive:{images_base.archive(paths)}", log=log)


def _context(paths: Paths, root: Path, part: str, log: Path) -> Path:
    """A build context with the dependencies of the lock file as wheels, fetched once."""
    lock = (root / "uv.lock").read_bytes() + (root / "pyproject.toml").read_bytes()
    key = hashlib.sha256(lock + versions.IMAGE_PYTHON.encode()).hexdigest()[:16]
    target = paths.cache / "contexts" / f"{part}-{key}"
    if not target.exists():
        with building(target) as scratch:
            _fetch_wheels(paths, root, part, scratch, log)
    return target


def _fetch_wheels(paths: Paths, root: Path, part: str, scratch: Path, log: Path) -> None:
    python = pytools.python(paths)
    listed = scratch / "requirements.txt"
    export = (python, "-m", "uv", "export", "--quiet", "--frozen", "--no-dev", "--no-emit-project")
    shell.run([*export, *_EXTRAS[part], "--output-file", listed], cwd=root, log=log)
    options = ("--require-hashes", "--no-deps", "--only-binary=:all:", "--python-version", versions.IMAGE_PYTHON)
    wheels = scratch / "build" / "wheels" / part
    shell.run([python, "-m", "pip", "download", "-q", *options, "-r", listed, "-d", wheels], log=log)


def _project_wheel(paths: Paths, root: Path, log: Path) -> Path:
    folder = paths.make("tmp", "dist")
    shutil.rmtree(folder)
    build = (pytools.python(paths), "-m", "uv", "build", "--quiet", "--wheel", "--out-dir", folder)
    shell.run(build, cwd=root, log=log)
    (folder / ".gitignore").unlink(missing_ok=True)
    return folder
