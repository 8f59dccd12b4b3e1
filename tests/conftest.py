"""Settings for all tests."""

import os
import signal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from streamreplay.ingest.connect import line_reader

# A slow machine is no failure; in CI the same examples each time, elsewhere new ones.
settings.register_profile(
    "here",
    deadline=None,
    derandomize=bool(os.environ.get("CI")),
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("here")

# Nobody writes to the files of tests, many of which have no line end in their last line.
line_reader.SETTLED = 0.0

# A shell starts background jobs with SIGINT ignored, and ours would keep to that; tests send it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Run folders of small runs of every objective, by name; not to be written to."""
    from tests.run.jobs import run_all  # noqa: PLC0415 - most tests need no learner

    return run_all(tmp_path_factory.mktemp("runs"))
