"""A registry per test module: property tests register a schema per example."""

from collections.abc import Iterator

import pytest

from projector.formats.registry import SchemaRegistry
from tests.support.schema_registry import SchemaRegistryServer


@pytest.fixture(scope="module")
def server() -> Iterator[SchemaRegistryServer]:
    with SchemaRegistryServer() as running:
        yield running


@pytest.fixture(scope="module")
def registry(server: SchemaRegistryServer) -> SchemaRegistry:
    return SchemaRegistry(server.url)
