"""The trained learner of a run, read from its newest checkpoint."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from streamreplay.batch import Batch, Objective
from streamreplay.checkpoint.folder import Checkpoint, checkpoints_of, latest_checkpoint
from streamreplay.config.building.learners import (
    Learner,
    make_backbone,
    make_learner,
    torch_learner,
)
from streamreplay.config.job import Job, LearnerSection
from streamreplay.config.parsing.load import load_saved_job
from streamreplay.config.parsing.outside import imports_of
from streamreplay.errors import CheckpointError, ConfigError, RunFolderError, fitting
from streamreplay.learners.predictions import Foreseen
from streamreplay.log.folder_format import check_format
from streamreplay.log.lines import JOB_FILE
from streamreplay.plain_text import listed
from streamreplay.predicting.columns import RunColumns
from streamreplay.randomness import spawn_seed
from streamreplay.regular_files import exists
from streamreplay.stage import Stage
from streamreplay.state import State, load_parts

_TRIES = 5  # a run that goes on removes checkpoints while they are read


@dataclass(frozen=True)
class TrainedRun:
    """What a run has learned, to predict with.

    Attributes
    ----------
    job : Job
        Of this learner alone.
    settings : LearnerSection
        Of the learner, with its method by name.
    learner : TorchLearner or RiverLearner
    backbone : Backbone or None
    columns : RunColumns
    position : int
        Rows of the stream that the run had come to.
    """

    job: Job
    settings: LearnerSection
    learner: Learner
    backbone: Stage[Batch, Batch] | None
    columns: RunColumns
    position: int

    @property
    def objective(self) -> Objective:
        """What is predicted."""
        return self.job.source.objective

    def foresee(self, rows: Batch) -> Foreseen:
        """Return what rows would be predicted to be if they came next in the stream."""
        if self.backbone is not None:
            (rows,) = self.backbone([rows])
        with fitting("the learner does not fit the rows of its run"):
            return self.learner.foresee(rows)


def open_run(run: Path, learner: str | None = None, *, trust: bool = False) -> TrainedRun:
    """Read the learner of a run folder, which is not written to; the run may go on meanwhile.

    Parameters
    ----------
    run : Path
    learner : str, optional
        Which of several learners.
    trust : bool
        Whether the job may import code, and a checkpoint may be loaded that is a pickle.

    Raises
    ------
    RunFolderError
        It is no run folder, or the run has made no checkpoint, or learned nothing yet.
    ConfigError
        The job imports code and is not trusted, or has no such learner.
    CheckpointError
        No checkpoint is whole, or it does not fit the job.
    """
    if not exists(run / JOB_FILE):
        raise RunFolderError(f"{run}: is no run folder: there is no {JOB_FILE} here")
    check_format(run)
    job = load_saved_job(run / JOB_FILE)
    imported = imports_of(job)
    if imported and not trust:
        raise ConfigError(
            f"{run / JOB_FILE}: {listed(imported)}; if you know who made this folder, add --trust"
        )
    if not job.several and learner is not None:
        raise ConfigError(f"--learner: the run has one learner, got {learner!r}")
    checkpoint = _newest(run)
    with fitting(f"{checkpoint.path}: is not a checkpoint of this job"):
        return _trained(run, job, checkpoint, learner, trust=trust)


def _trained(
    run: Path, job: Job, checkpoint: Checkpoint, learner: str | None, *, trust: bool
) -> TrainedRun:
    state: State = checkpoint.state["pipeline"]
    stages = state
    if job.several:
        name = _chosen(job, learner)
        stages, job = {**state, **state["learners"]["branches"][name]}, job.alone(name)
    settings, made = _load_learner(run, job, stages, trust=trust)
    columns = RunColumns.of(state["source"])
    torch = torch_learner(made)
    if torch is not None:
        columns.check_names(torch.inference.outputs)
    return TrainedRun(job, settings, made, _load_backbone(job, state), columns, checkpoint.position)


def _newest(run: Path) -> Checkpoint:
    """Return the newest whole checkpoint, also while the run replaces them."""
    folder, failure = checkpoints_of(run), None
    for _ in range(_TRIES):
        try:
            found = latest_checkpoint(folder)
        except CheckpointError as error:
            failure = error
            continue
        if found is None:
            raise RunFolderError(f"{run}: the run has made no checkpoint yet")
        return found
    raise failure or RunFolderError(f"{run}: the run has made no checkpoint yet")


def _chosen(job: Job, learner: str | None) -> str:
    if learner in job.several:
        return learner
    names = ", ".join(job.several)
    raise ConfigError(f"--learner: give one of the run's learners, {names}, got {learner!r}")


def _load_learner(
    run: Path, job: Job, stages: State, *, trust: bool
) -> tuple[LearnerSection, Learner]:
    from streamreplay.config.building import methods  # noqa: PLC0415 - slow: imports torch

    settings = job.only_learner
    if settings.river is None:
        settings = methods.choose_method(settings, job.source.objective)
    learner = make_learner(settings, spawn_seed(job.seed, "learner"), trusted=trust)
    load_parts({"learner": learner}, stages)
    torch = torch_learner(learner)
    if torch is None:
        return settings, learner
    if not torch.inference.network.built:
        raise RunFolderError(f"{run}: the run has learned from no row yet")
    if torch.inference.reads_memory:
        torch.inference.prepare(_memory(job, stages, learner))
    return settings, learner


def _memory(job: Job, stages: State, learner: Learner) -> Batch:
    """Return the rows that the run's buffer holds, read into RAM."""
    from streamreplay.config.building.buffers import make_buffer  # noqa: PLC0415 - seldom needed
    from streamreplay.config.building.methods import buffer_of  # noqa: PLC0415

    section = job.buffer.model_copy(update={"storage": None})
    section = buffer_of(job.only_learner.method, section)
    buffer = make_buffer(section, spawn_seed(job.seed, "buffer"), learner)
    load_parts({"buffer": buffer}, stages)
    return buffer.buffer  # it has been given the first row, as the learner has


def _load_backbone(job: Job, state: State) -> Stage[Batch, Batch] | None:
    if job.backbone is None:
        return None
    backbone = make_backbone(job.backbone, spawn_seed(job.seed, "backbone"))
    load_parts({"backbone": backbone}, state)
    return backbone
