"""pip and uv for the sandbox's own use, whatever environment it runs in."""

from __future__ import annotations

import sys
from pathlib import Path

from . import shell, versions
from .paths import Paths, building


def python(paths: Paths) -> Path:
    """A Python that has pip and uv as modules; made once.

    The environment that the sandbox itself runs in may have neither (uv makes them without pip), and is not ours
    to change. Call the tools as modules: the scripts name the folder that the environment was made in.
    """
    home = paths.cache / f"python{sys.version_info[0]}.{sys.version_info[1]}-uv{versions.UV}"
    if not home.exists():
        log = paths.log("python-tools")
        with building(home) as scratch:
            shell.run([sys.executable, "-m", "venv", scratch], log=log)
            install = (scratch / "bin" / "python", "-m", "pip", "install", "-q", f"uv=={versions.UV}")
            shell.run(install, log=log)
    return home / "bin" / "python"
