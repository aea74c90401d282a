"""The sandbox itself, on this machine."""

import os
import signal
import time

import pytest

from sandbox import Sandbox, SandboxError

pytestmark = [pytest.mark.sandbox, pytest.mark.skipif(os.geteuid() != 0, reason="the sandbox needs root")]


@pytest.fixture(scope="module")
def sandbox() -> Sandbox:
    sandbox = Sandbox()
    sandbox.up("postgres", "kafka")
    return sandbox


def test_a_second_up_starts_nothing_and_is_quick(sandbox: Sandbox) -> None:
    before = [sandbox.process(name).pid for name in ("postgres", "kafka")]
    started = time.monotonic()
    Sandbox().up("postgres", "kafka")
    assert time.monotonic() - started < 5
    assert [sandbox.process(name).pid for name in ("postgres", "kafka")] == before


def test_up_revives_what_was_killed_or_stopped(sandbox: Sandbox) -> None:
    sandbox.process("kafka").signal(signal.SIGSTOP)
    postgres = sandbox.process("postgres")
    killed = postgres.pid
    postgres.kill()
    sandbox.up("postgres", "kafka")
    assert postgres.pid != killed
    assert postgres.service.ready()
    assert sandbox.process("kafka").service.ready()


def test_an_unknown_part_is_named(sandbox: Sandbox) -> None:
    with pytest.raises(SandboxError, match="no such part: redis"):
        sandbox.up("redis")
