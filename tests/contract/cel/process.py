"""cel-go, asked line by line."""

import hashlib
import json
import shutil
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sandbox import shell, toolchain
from sandbox.paths import Paths, building

SOURCE = Path(__file__).with_name("reference")


def program() -> Path:
    """The compiled reference, built once for each state of its sources."""
    paths = Paths.default()
    sources = sorted(SOURCE.iterdir())
    key = hashlib.sha256(b"\0".join(source.read_bytes() for source in sources)).hexdigest()[:8]
    folder = paths.cache / f"cel-reference-{key}"
    if not folder.exists():
        with building(folder) as scratch:
            for source in sources:
                shutil.copy(source, scratch)
            command = (toolchain.go(paths), "build", "-trimpath", "-o", "reference", ".")
            env = {"CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly", "GOWORK": "off"}
            shell.run(command, cwd=scratch, log=paths.log("cel-reference-build"), env=env)
    return folder / "reference"


class Reference:
    """One process of the reference for a whole test run."""

    def __init__(self) -> None:
        self._process = subprocess.Popen([program()], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def evaluate(self, expression: str, event: Any, meta: dict[str, Any]) -> Any:
        """The tagged value, or None where there is none."""
        asked = json.dumps({"expression": expression, "event": event, "meta": meta}).encode()
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(asked + b"\n")
        self._process.stdin.flush()
        told = json.loads(self._process.stdout.readline())
        assert "cannot be read" not in told.get("error", ""), (expression, told)
        return told.get("value")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._process.communicate(timeout=30)
