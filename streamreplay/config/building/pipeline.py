"""Build the pipeline of a job."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from streamreplay.branches import Branches
from streamreplay.buffers.buffer import ExemplarsBuffer
from streamreplay.config.building.buffers import make_buffer
from streamreplay.config.building.drift import StageParts, make_monitor
from streamreplay.config.building.evaluator import make_evaluator
from streamreplay.config.building.experiences import make_experiences
from streamreplay.config.building.learners import make_learner, torch_learner
from streamreplay.config.building.modules import make_backbone
from streamreplay.config.building.sources import make_holdout, open_inputs
from streamreplay.config.job import Job, MixerSection, ProbeSection
from streamreplay.errors import ConfigError
from streamreplay.evaluation.inventory import Inventory
from streamreplay.evaluation.retention.probe import Probe
from streamreplay.ingest.connect.arrays import ArraySource
from streamreplay.ingest.experiences import Experiences
from streamreplay.mixing.mixer import Mixer
from streamreplay.randomness import Seed, spawn_seed
from streamreplay.stage import Pipeline, Source, Stage


def build(
    job: Job,
    *,
    on_dead: Callable[[dict[str, Any]], None] | None = None,
    stop: Callable[[], bool] | None = None,
    trusted: bool = False,
) -> Pipeline:
    """Open a job's source and build its stages.

    The stages are ``experiences``, ``probe``, ``holdout``, ``backbone`` (if the job has them),
    ``buffer`` (without capacity if its kind is none), ``mixer``, ``learner``, ``evaluator``,
    ``drift`` (if the job has any) and ``inventory`` (if the log has the contents of the buffer).
    With several learners, the first stages are the same; behind them come ``buffer`` if it is
    shared, ``learners`` (`Branches` with the other stages of each learner), and ``inventory`` of a
    shared buffer. Each part has the seed that it has in the job of one learner.

    Parameters
    ----------
    job : Job
    on_dead : callable, optional
        Called with each record that could not be read.
    stop : callable, optional
        A source that waits for rows ends once this returns True.
    trusted : bool
        Whether a state with a pickle, such as that of `RiverLearner`, may be loaded; loading it can
        run any code that its author put there.

    Raises
    ------
    ConfigError
        Keys of the job do not go together. Later: an error in code that the job imports.
    SourceError
        A file cannot be opened.

    Examples
    --------
    ::

        pipeline = build(load_job(Path("job.toml")))
        for report in pipeline:
            ...
    """
    source, test = open_inputs(
        job.source,
        job.test,
        limit=job.run.limit or None,
        strict=job.run.strict,
        on_dead=on_dead,
        stop=stop,
    )
    experiences = None
    if job.experiences is not None:
        experiences = make_experiences(job.experiences, job.source, job.drift)
    stages = _stages_before_learners(job, experiences, source, test)
    if not job.several:
        return Pipeline(source, **stages, **_chain(job, source, experiences, trusted=trusted))
    shared: ExemplarsBuffer | None = None
    if job.buffer.shared:
        shared = make_buffer(job.buffer, spawn_seed(job.seed, "buffer"), None)
        stages["buffer"] = shared
    branches = {name: _branch(job, name, source, trusted=trusted) for name in job.several}
    stages["learners"] = Branches(branches)
    if shared is not None:
        stages |= _inventory(job, shared, job.buffer.kind)
    return Pipeline(source, **stages)


def _stages_before_learners(
    job: Job, experiences: Experiences | None, source: Source, test: ArraySource | None
) -> dict[str, Stage[Any, Any]]:
    stages: dict[str, Stage[Any, Any]] = {}
    if experiences is not None:
        stages["experiences"] = experiences
    if job.probe is not None:
        stages["probe"] = _probe(job.probe)
    if job.test is not None and test is not None:
        stages["holdout"] = make_holdout(test, source, every=job.test.every or None)
    if job.backbone is not None:
        stages["backbone"] = make_backbone(job.backbone, spawn_seed(job.seed, "backbone"))
    return stages


def _branch(job: Job, name: str, source: Source, *, trusted: bool) -> dict[str, Stage[Any, Any]]:
    try:
        shares = job.buffer.shared
        return _chain(job.alone(name), source, None, trusted=trusted, shares=shares, alone=False)
    except ConfigError as error:
        raise ConfigError(f"{name}: {error}") from error.__cause__


def _chain(
    job: Job,
    source: Source,
    experiences: Experiences | None,
    *,
    trusted: bool,
    shares: bool = False,
    alone: bool = True,
) -> dict[str, Stage[Any, Any]]:
    """Return the stages of one learner, without the buffer if it shares one."""
    from streamreplay.config.building import methods  # noqa: PLC0415 - slow: imports torch

    objective, settings, mixer = job.source.objective, job.only_learner, job.mixer
    if settings.river is None:
        settings = methods.choose_method(settings, objective)
    seed = spawn_seed(job.seed, "learner")
    learner = make_learner(settings, seed, trusted=trusted)
    torch = torch_learner(learner)
    chooses = torch is not None and torch.method.retrieve is not None
    drawn = job.source.batch_size if mixer.batch_size_mem is None else mixer.batch_size_mem
    buffer = methods.buffer_of(settings.method, job.buffer)
    candidates = methods.candidates_of(settings, mixer.candidates, drawn, chooses=chooses)
    stages: dict[str, Stage[Any, Any]] = {}
    own: ExemplarsBuffer | None = None
    if not shares:
        own = stages["buffer"] = make_buffer(buffer, spawn_seed(job.seed, "buffer"), learner)
    elif buffer != job.buffer:
        raise ConfigError(
            f"learner.method: {settings.method} has a buffer of its own, and goes without "
            "buffer.shared"
        )
    replayed = stages["mixer"] = _mixer(mixer, drawn, candidates, spawn_seed(job.seed, "mixer"))
    stages["learner"] = learner
    stages["evaluator"] = make_evaluator(job.evaluator, objective, source)
    if job.drift:
        parts = StageParts(experiences, own, replayed, learner, alone)
        stages["drift"] = make_monitor(job.drift, parts, job.seed, objective)
    return stages if own is None else stages | _inventory(job, own, buffer.kind)


def _probe(settings: ProbeSection) -> Probe:
    return Probe(
        settings.share,
        max_size=settings.max_size,
        by=settings.by,
        every=settings.every or None,
        budget=settings.budget,
        seed=settings.seed,
    )


def _mixer(settings: MixerSection, drawn: int, candidates: int | None, seed: Seed) -> Mixer:
    if candidates is not None and candidates < drawn:
        raise ConfigError(
            f"mixer.candidates: must be at least batch_size_mem = {drawn}, got {candidates}"
        )
    return Mixer(
        drawn,
        None if settings.by == "none" else settings.by,
        replacement=settings.replacement,
        steps=settings.steps,
        candidates=candidates,
        seed=seed,
    )


def _inventory(job: Job, buffer: ExemplarsBuffer, kind: str) -> dict[str, Stage[Any, Any]]:
    """Return the stage that logs the contents of a buffer, if the job has both."""
    if not job.evaluator.buffer or kind == "none":
        return {}
    return {"inventory": Inventory(buffer.describe)}
