"""Settings from the environment; the chart sets them."""

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass

from projection_operator.kube.lease import LeaseTerms

PREFIX = "PROJECTION_OPERATOR_"


class BadSetting(Exception):
    """A setting is missing or not of its kind; the text names the variable."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Of one operator process. Times in seconds; no `namespaces` means all."""

    projector_image: str
    lease: LeaseTerms
    holder: str
    http_port: int
    workers: int
    max_rebuilds: int
    namespaces: tuple[str, ...]

    @classmethod
    def of(cls, environment: Mapping[str, str] = os.environ) -> "Settings":
        """Read the variables; raises BadSetting."""
        read = _Reader(environment)
        lease = LeaseTerms(
            namespace=read.text("NAMESPACE", "default"),
            name=read.text("LEASE_NAME", "projection-operator"),
            duration=read.number("LEASE_DURATION", 15.0),
            deadline=read.number("LEASE_RENEW_DEADLINE", 10.0),
            retry=read.number("LEASE_RETRY", 2.0),
        )
        if not lease.retry < lease.deadline < lease.duration:
            raise BadSetting(f"{PREFIX}LEASE_RETRY < {PREFIX}LEASE_RENEW_DEADLINE < {PREFIX}LEASE_DURATION must hold")
        return cls(
            projector_image=read.text("PROJECTOR_IMAGE"),
            lease=lease,
            holder=f"{read.text('POD_NAME', socket.gethostname())}-{os.getpid()}-{os.urandom(3).hex()}",
            http_port=int(read.number("HTTP_PORT", 8080)),
            workers=int(read.number("WORKERS", 8)),
            max_rebuilds=int(read.number("MAX_REBUILDS", 4)),
            namespaces=tuple(name for name in read.text("WATCH_NAMESPACES", ",").split(",") if name),
        )


class _Reader:
    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment

    def text(self, name: str, default: str | None = None) -> str:
        value = self._environment.get(PREFIX + name) or default
        if value is None:
            raise BadSetting(f"{PREFIX}{name} is not set")
        return value

    def number(self, name: str, default: float) -> float:
        value = self.text(name, str(default))
        try:
            return float(value)
        except ValueError:
            raise BadSetting(f"{PREFIX}{name} is not a number: {value!r}") from None
