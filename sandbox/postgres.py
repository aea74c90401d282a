"""PostgreSQL: its own data folder and port, durable settings as in production."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

from . import procfs, shell, versions
from .errors import SandboxError
from .paths import building, write_atomic
from .process import Launch, Service

_HBA = f"""\
local all all trust
host all all 127.0.0.1/32 scram-sha-256
host all all ::1/128 scram-sha-256
host all all {versions.POD_NETWORK} scram-sha-256
"""

#: It refuses to run as root; Debian's packages make this user.
_USER = "postgres"


def binaries() -> Path | None:
    """Debian's folder of the server's programs, the wanted version or a newer one."""
    folders = Path("/usr/lib/postgresql").glob("*/bin/postgres")
    found = {int(path.parts[-3]): path.parent for path in folders}
    usable = [number for number in found if number >= int(versions.POSTGRESQL)]
    return found[min(usable)] if usable else None


class Postgres(Service):
    """The target database."""

    name = "postgres"
    ports = (versions.PORT_POSTGRES,)
    needs = ("packages",)
    # "Fast" shutdown: end sessions instead of waiting for them.
    stop_signal = signal.SIGINT

    @property
    def _home(self) -> Path:
        return self.paths.state / "postgres"

    @property
    def _data(self) -> Path:
        return self._home / "data"

    def _program(self, name: str) -> str:
        folder = binaries()
        if folder is None:
            raise SandboxError("PostgreSQL is not installed")
        return str(folder / name)

    def launch(self) -> Launch:
        """Settings on the command line, so that the data folder has none of ours."""
        settings = {
            "listen_addresses": "*",
            "port": str(versions.PORT_POSTGRES),
            "unix_socket_directories": str(self._home),
            "hba_file": str(self._home / "pg_hba.conf"),
            "max_connections": "200",
            "shared_buffers": "256MB",
            "max_wal_size": "2GB",
            "password_encryption": "scram-sha-256",
            "timezone": "UTC",
            "log_timezone": "UTC",
            "log_line_prefix": "%m [%p] %q%u@%d %a ",
        }
        words = [word for key in settings for word in ("-c", f"{key}={settings[key]}")]
        program = self._program("postgres")
        argv = (program, "-D", str(self._data), *words)
        return Launch(argv, user=_USER, config=(_HBA,))

    def prepare(self) -> None:
        """Initialise the data folder once."""
        self._home.mkdir(parents=True, exist_ok=True)
        shutil.chown(self._home, _USER, _USER)
        self._home.chmod(0o700)
        write_atomic(self._home / "pg_hba.conf", _HBA)
        if not self._data.exists():
            self._initialise()
        # Nobody works in the data folder any more (see leftovers), so these are stale; to PostgreSQL a zombie, or
        # another process that has the old pid by now, would still be a running server.
        for stale in (self._data / "postmaster.pid", *self._home.glob(".s.PGSQL.*")):
            stale.unlink(missing_ok=True)

    def _initialise(self) -> None:
        log = self.paths.log("postgres-init")
        password = self._home / "password"
        write_atomic(password, versions.POSTGRES_PASSWORD)
        shutil.chown(password, _USER, _USER)
        with building(self._data) as scratch:
            scratch.chmod(0o700)
            shutil.chown(scratch, _USER, _USER)
            initdb = (self._program("initdb"), "-D", scratch, "-E", "UTF8")
            options = ("--locale=C.UTF-8", "-U", versions.POSTGRES_USER)
            secret = ("-A", "scram-sha-256", f"--pwfile={password}")
            shell.run([*_as_user(), *initdb, *options, *secret], log=log)
            single = (self._program("postgres"), "--single", "-D", scratch, "postgres")
            create = f"CREATE DATABASE {versions.POSTGRES_DATABASE}\n"
            shell.run([*_as_user(), *single], log=log, stdin=create)
        password.unlink()

    def ready(self) -> bool:
        """A real query over TCP, as clients do it."""
        address = ("-h", "127.0.0.1", "-p", str(versions.PORT_POSTGRES))
        who = ("-U", versions.POSTGRES_USER, "-d", versions.POSTGRES_DATABASE)
        query = ("-XAtqc", "SELECT 1")
        secret = {"PGPASSWORD": versions.POSTGRES_PASSWORD, "PGCONNECT_TIMEOUT": "2"}
        words = [self._program("psql"), *address, *who, *query]
        try:
            return shell.run(words, env=secret, timeout=5.0).strip() == "1"
        except SandboxError:
            return False

    def leftovers(self) -> list[int]:
        """Backends of a killed postmaster end by themselves, but not at once."""
        return procfs.working_in(self._data) if self._data.exists() else []


def _as_user() -> tuple[str, ...]:
    if os.geteuid() != 0:
        raise SandboxError("PostgreSQL can only be initialised by root")
    return ("setpriv", f"--reuid={_USER}", f"--regid={_USER}", "--clear-groups", "--")
