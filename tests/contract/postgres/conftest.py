"""A build in PostgreSQL."""

from collections.abc import Iterator

import pytest

from tests.contract.store_contract import COUNTED, FIRST
from tests.support.postgres import Database, PostgresBuild, begin


@pytest.fixture
def build(database: Database) -> Iterator[PostgresBuild]:
    """One build of `COUNTED`, with a worker of its own role."""
    made = begin(database, COUNTED, [FIRST], database.role("worker"))
    yield made
    made.close()
