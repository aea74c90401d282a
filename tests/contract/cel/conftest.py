"""The reference implementation of CEL."""

from collections.abc import Iterator

import pytest

from tests.contract.cel.process import Reference


@pytest.fixture(scope="session")
def reference() -> Iterator[Reference]:
    """cel-go as a process."""
    with Reference() as process:
        yield process
