"""The sandbox's Kafka, and a topic of each test's own."""

from collections.abc import Iterator

import pytest

from sandbox import Sandbox
from tests.support.kafka import KafkaBench


@pytest.fixture(scope="session")
def kafka() -> str:
    """Bootstrap server of the sandbox."""
    sandbox = Sandbox()
    sandbox.up("kafka")
    return sandbox.endpoints.kafka


@pytest.fixture
def bench(kafka: str) -> Iterator[KafkaBench]:
    """A topic of the test's own."""
    made = KafkaBench(kafka)
    yield made
    made.close()


@pytest.fixture
def other(kafka: str) -> Iterator[KafkaBench]:
    """A second topic."""
    made = KafkaBench(kafka)
    yield made
    made.close()
