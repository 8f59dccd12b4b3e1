"""Settings for all tests."""

import os
import signal

from hypothesis import HealthCheck, settings

# A slow machine is no failure; in CI the same examples each time, elsewhere new ones.
settings.register_profile(
    "here",
    deadline=None,
    derandomize=bool(os.environ.get("CI")),
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("here")

# A shell starts background jobs with SIGINT ignored, and ours would keep to that; tests send it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
