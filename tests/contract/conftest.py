"""Real servers for the contract tests."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from sandbox import Sandbox
from tests.support.postgres import Database
from tests.support.projector import Running, Start
from tests.support.workers import Site

pytest.register_assert_rewrite("tests.contract.store_contract")


@pytest.fixture(scope="session")
def postgres() -> str:
    """URI of a superuser on the sandbox's PostgreSQL."""
    sandbox = Sandbox()
    sandbox.up("postgres")
    return sandbox.endpoints.postgres_uri


@pytest.fixture
def database(postgres: str) -> Iterator[Database]:
    """A database of the test's own."""
    made = Database(postgres)
    made.create()
    yield made
    made.drop()


@pytest.fixture
def site(database: Database) -> Iterator[Site]:
    """A projection's place on both servers; a test begins builds of it, and starts their workers."""
    sandbox = Sandbox()
    sandbox.up("kafka")
    made = Site(database, sandbox.endpoints.kafka)
    yield made
    made.close()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """What starts a `projector` in the background; none outlives the test, however that ends."""
    with ExitStack() as stack:

        def run(arguments: Sequence[str], **environment: str) -> Running:
            running = Running(tmp_path, arguments, **environment)
            stack.callback(running.end)
            return running

        yield run
