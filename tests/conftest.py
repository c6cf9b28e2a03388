"""What every test run has in common."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

# No deadline per example: these tests touch disks, keys and processes, and share their machine.
settings.register_profile(
    "quick", deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow]
)
# The same examples on every run: a change is judged by what it changed.
settings.register_profile("ci", settings.get_profile("quick"), derandomize=True, print_blob=True)
settings.register_profile("soak", settings.get_profile("quick"), max_examples=2000)
settings.load_profile(
    os.environ.get("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") else "quick")
)
