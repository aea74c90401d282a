"""The real cluster (see tests/support/fixtures.py) and the report of what was done to it."""

import json
from collections.abc import Iterator

import pytest

from tests.support.cluster import ROOT
from tests.support.faults import Faults
from tests.support.fixtures import cluster, new_shop, past, pytest_runtest_makereport, shop

__all__ = ["cluster", "faults", "new_shop", "past", "pytest_runtest_makereport", "shop"]


@pytest.fixture(scope="session")
def faults() -> Iterator[Faults]:
    """Collects a row for each fault; written to build/reports/faults.json at the end."""
    found = Faults()
    yield found
    path = ROOT / "build" / "reports" / "faults.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found.rows, indent=2) + "\n")
