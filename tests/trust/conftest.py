import shutil
from pathlib import Path

import pytest

from streamreplay.config import load_job
from streamreplay.run import RunOptions, run_job
from tests.run.jobs import settings_of


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a small run that has ended; not to be written to."""
    folder = tmp_path_factory.mktemp("trust")
    job = load_job(None, settings_of("classes, probed", folder))
    assert run_job(job, RunOptions(folder / "run", quiet=True)) == 0
    return folder / "run"


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """Return a copy of that folder, next to files that nobody may touch."""
    (tmp_path / "notes.txt").write_text("keep this\n")
    (tmp_path / "elsewhere" / "ckpt-000000000001").mkdir(parents=True)
    (tmp_path / "elsewhere" / "ckpt-000000000001" / "kept").write_text("this, too\n")
    return Path(shutil.copytree(finished, tmp_path / "in" / "run"))
