"""Records as TensorBoard's event files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from streamreplay.config.job import Job
from streamreplay.config.write import to_toml
from streamreplay.errors import ConfigError
from streamreplay.regular_files import check_folder
from streamreplay.run.sinks.base import Outcome, scalars


class TensorBoardSink:
    """Writes each record as scalars at the step of its position.

    With several learners each is a run of its own, in a folder of its name.

    Parameters
    ----------
    folder : Path
    job : Job
        Written down as text.
    position : int, optional
        Where a run goes on: what was written about rows after it is taken back.

    Raises
    ------
    ConfigError
        TensorBoard is missing.
    """

    name = "TensorBoard"

    def __init__(self, folder: Path, job: Job, position: int | None = None) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415 - slow, an extra
        except ImportError:
            raise ConfigError(
                "run.tensorboard: needs TensorBoard: pip install 'streamreplay[tensorboard]'"
            ) from None
        self._make: Any = SummaryWriter
        self._folder = folder
        self._purge = None if position is None else position + 1
        self._writers: dict[str, Any] = {}
        if position is None:
            text = "".join(f"    {line}\n" for line in to_toml(job).splitlines())
            self._writer("").add_text("job", text, 0)
        else:
            self._writer("")

    def write(self, record: Mapping[str, Any]) -> None:
        """Take a record."""
        writer = self._writer(str(record.get("learner", "")))
        for tag, value in scalars(record).items():
            writer.add_scalar(tag, value, record["position"])

    def close(self, _outcome: Outcome) -> None:
        """Write what is left."""
        for writer in self._writers.values():
            writer.close()

    def _writer(self, learner: str) -> Any:
        if learner not in self._writers:
            folder = self._folder / learner
            if learner:
                check_folder(folder)
            self._writers[learner] = self._make(str(folder), purge_step=self._purge, flush_secs=10)
        return self._writers[learner]
