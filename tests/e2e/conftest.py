"""The real cluster; see tests/support/fixtures.py."""

from tests.support.fixtures import cluster, new_shop, past, pytest_runtest_makereport, shop

__all__ = ["cluster", "new_shop", "past", "pytest_runtest_makereport", "shop"]
