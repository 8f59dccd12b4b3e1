"""From a job to a pipeline."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from streamreplay.branches import Branches
from streamreplay.buffers import ExemplarsBuffer
from streamreplay.config.building.buffers import make_buffer
from streamreplay.config.building.drift import StageParts, make_experiences, make_monitor
from streamreplay.config.building.evaluator import make_evaluator
from streamreplay.config.building.learners import make_learner
from streamreplay.config.building.modules import make_backbone
from streamreplay.config.building.sources import make_holdout, open_inputs
from streamreplay.config.job import Job, ProbeSection
from streamreplay.errors import ConfigError
from streamreplay.evaluation import Inventory, Probe
from streamreplay.ingest import Experiences
from streamreplay.mixing import Mixer
from streamreplay.randomness import spawn_seed
from streamreplay.stage import Pipeline, Stage

__all__ = ["build"]


def build(
    job: Job,
    *,
    on_dead: Callable[[dict[str, Any]], None] | None = None,
    stop: Callable[[], bool] | None = None,
    trusted: bool = False,
) -> Pipeline:
    """Open a job's source and put its stages behind it.

    The stages are ``experiences``, ``probe``, ``holdout``, ``backbone`` (if the job has them),
    ``buffer`` (of no capacity if its kind is none), ``mixer``, ``learner``, ``evaluator``,
    ``drift`` (if the job has any) and ``inventory`` (if the log is to say what is stored). With
    several learners they are the same up to ``buffer`` (if all share it), ``learners``: `Branches`,
    with the others for each learner, and ``inventory`` of a shared buffer. Each part has the seed
    that it has alone. What the stream calls its classes is in ``pipeline.source.labels``.

    Parameters
    ----------
    job : Job
    on_dead : callable, optional
        Takes each record that could not be read.
    stop : callable, optional
        A source that waits for rows gives up once this is true.
    trusted : bool
        Whether a state with a pickle in it, as `RiverLearner` has, may be loaded: doing so runs
        code of whoever wrote it.

    Raises
    ------
    ConfigError
        Parts of the job do not fit together.
    SourceError
        A file cannot be opened.

    Examples
    --------
    ::

        pipeline = build(load_job(Path("job.toml")))
        for report in pipeline:
            ...
    """
    source, test = open_inputs(job, on_dead=on_dead, stop=stop)
    stages: dict[str, Stage[Any, Any]] = {}
    experiences = make_experiences(job)
    if experiences is not None:
        stages["experiences"] = experiences
    if job.probe is not None:
        stages["probe"] = _probe(job.probe)
    if job.test is not None and test is not None:
        stages["holdout"] = make_holdout(test, source, every=job.test.every or None)
    if job.backbone is not None:
        stages["backbone"] = make_backbone(job.backbone, spawn_seed(job.seed, "backbone"))
    if job.several:
        if job.buffer.shared:
            stages["buffer"] = make_buffer(job.buffer, spawn_seed(job.seed, "buffer"), None)
        branches = {name: _branch(job, name, source, trusted=trusted) for name in job.several}
        stages["learners"] = Branches(branches)
        if job.buffer.shared:
            stages |= _inventory(job, stages["buffer"], job.buffer.kind)
    else:
        stages |= _chain(job, source, experiences, trusted=trusted)
    return Pipeline(source, **stages)


def _branch(job: Job, name: str, source: Any, *, trusted: bool) -> dict[str, Stage[Any, Any]]:
    try:
        shares = job.buffer.shared
        return _chain(job.alone(name), source, None, trusted=trusted, shares=shares, alone=False)
    except ConfigError as error:
        raise ConfigError(f"{name}: {error}") from error.__cause__


def _chain(
    job: Job,
    source: Any,
    experiences: Experiences | None,
    *,
    trusted: bool,
    shares: bool = False,
    alone: bool = True,
) -> dict[str, Stage[Any, Any]]:
    """Make what there is for each learner; no buffer if it shares one."""
    from streamreplay.config.building.methods import (  # noqa: PLC0415 - slow: imports torch
        replay_settings,
        with_method,
    )

    stages: dict[str, Stage[Any, Any]] = {}
    own: ExemplarsBuffer | None = None
    if job.only_learner.river is None:
        job = with_method(job)
    seed = spawn_seed(job.seed, "learner")
    learner = make_learner(job.only_learner, seed, source=source, trusted=trusted)
    method = getattr(learner, "method", None)  # a River model has none
    chooses = method is not None and method.retrieve is not None
    buffer, candidates = replay_settings(job, chooses=chooses)
    if not shares:
        own = stages["buffer"] = make_buffer(buffer, spawn_seed(job.seed, "buffer"), learner)
    elif buffer != job.buffer:
        raise ConfigError(
            f"learner.method: {job.only_learner.method} has a buffer of its own, and goes without "
            "buffer.shared"
        )
    mixer = stages["mixer"] = _mixer(job, candidates)
    stages["learner"] = learner
    stages["evaluator"] = make_evaluator(job, source)
    monitor = make_monitor(job, StageParts(experiences, own, mixer, learner, alone), source)
    if monitor is not None:
        stages["drift"] = monitor
    if own is not None:
        stages |= _inventory(job, own, buffer.kind)
    return stages


def _probe(settings: ProbeSection) -> Probe:
    return Probe(
        settings.share,
        max_size=settings.max_size,
        by=settings.by,
        every=settings.every or None,
        budget=settings.budget,
        seed=settings.seed,
    )


def _inventory(job: Job, buffer: Any, kind: str) -> dict[str, Stage[Any, Any]]:
    """Make what logs the contents of a buffer, if there is one and the job wants it."""
    if not job.evaluator.buffer or kind == "none":
        return {}
    return {"inventory": Inventory(buffer.describe)}


def _mixer(job: Job, candidates: int | None) -> Mixer:
    mixer = job.mixer
    drawn = job.source.batch_size if mixer.batch_size_mem is None else mixer.batch_size_mem
    if candidates is not None and candidates < drawn:
        raise ConfigError(
            f"mixer.candidates: must be at least batch_size_mem = {drawn}, got {candidates}"
        )
    return Mixer(
        drawn,
        None if mixer.by == "none" else mixer.by,
        replacement=mixer.replacement,
        steps=mixer.steps,
        candidates=candidates,
        seed=spawn_seed(job.seed, "mixer"),
    )
