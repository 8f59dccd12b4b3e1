from pathlib import Path

import pytest

from tests.run.jobs import run_all


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Run folders of small runs of every objective, by name; not to be written to."""
    return run_all(tmp_path_factory.mktemp("runs"))
