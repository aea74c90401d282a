"""Settings of every test run."""

import os

from hypothesis import HealthCheck, settings

# The machine is shared with real servers: a deadline per example would fail on their account.
settings.register_profile("ci", max_examples=1_000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("full", max_examples=5_000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))
