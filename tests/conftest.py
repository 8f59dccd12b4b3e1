"""Settings for all tests."""

import os

from hypothesis import HealthCheck, settings

# A slow machine is no failure; in CI the same examples each time, elsewhere new ones.
settings.register_profile(
    "here",
    deadline=None,
    derandomize=bool(os.environ.get("CI")),
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("here")
