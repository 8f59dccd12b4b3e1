"""Build the pipeline of a job."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from streamreplay.batch import Objective
from streamreplay.branches import Branches
from streamreplay.buffers.buffer import ExemplarsBuffer
from streamreplay.config.building.buffers import make_buffer
from streamreplay.config.building.drift import StageParts, make_monitor
from streamreplay.config.building.formats import find_inputs
from streamreplay.config.building.late import LateStage, make_late, scored_by
from streamreplay.config.building.learners import make_backbone, make_learner, torch_learner
from streamreplay.config.building.river_models import construct_metric
from streamreplay.config.building.sources import make_holdout, open_inputs
from streamreplay.config.job import (
    DriftSection,
    EvaluatorSection,
    ExperiencesSection,
    Job,
    MixerSection,
    SourceSection,
)
from streamreplay.config.parsing.inputs import Inputs
from streamreplay.errors import ConfigError
from streamreplay.evaluation.inventory import Inventory
from streamreplay.evaluation.prequential import Prequential
from streamreplay.evaluation.retention.probe import Probe
from streamreplay.evaluation.river_metrics.metric_spec import MetricSpec, specs_of
from streamreplay.evaluation.river_metrics.river_scores import class_index
from streamreplay.ingest.connect.arrays import ArraySource
from streamreplay.ingest.connect.files import source_names
from streamreplay.ingest.experiences import Experiences
from streamreplay.labels import Name
from streamreplay.mixing.mixer import Mixer
from streamreplay.pipeline import Pipeline
from streamreplay.randomness import Seed, spawn_seed
from streamreplay.stage import Source, Stage

_KEY = "evaluator.metrics"
_NEEDED = {"count": "rows", "time": "seconds"}


def build(
    job: Job,
    *,
    inputs: Inputs | None = None,
    on_dead: Callable[[dict[str, Any]], None] | None = None,
    stop: Callable[[], bool] | None = None,
    trusted: bool = False,
) -> Pipeline:
    """Open a job's source and build its stages.

    The stages are ``experiences``, ``probe``, ``holdout``, ``backbone`` (if the job has them),
    ``buffer`` (without capacity if its kind is none), ``mixer``, ``learner``, ``evaluator``,
    ``drift`` (if the job has any) and ``inventory`` (if the log has the contents of the buffer).
    Where labels come late, ``late`` is behind ``experiences``, ``verification`` in front of the
    evaluator, and ``latency`` behind it.
    With several learners, the first stages are the same; behind them come ``buffer`` if it is
    shared, ``learners`` (`Branches` with the other stages of each learner), and ``inventory`` of a
    shared buffer. Each part has the seed that it has in the job of one learner.

    Parameters
    ----------
    job : Job
    inputs : Inputs, optional
        What `find_inputs` returned for the job, if that was called.
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
        job.features,
        inputs=find_inputs(job.source, stop) if inputs is None else inputs,
        limit=job.run.limit or None,
        strict=job.run.strict,
        on_dead=on_dead,
        stop=stop,
    )
    late = make_late(job.labels, source, source_names(job.source.path), on_dead)
    experiences = None
    if job.experiences is not None:
        experiences = make_experiences(job.experiences, job.source, job.drift)
    stages = _stages_before_learners(job, experiences, late, source, test)
    if not job.several:
        chain = _chain(job, source, experiences, late, trusted=trusted)
        return Pipeline(source, **stages, **chain)
    shared: ExemplarsBuffer | None = None
    if job.buffer.shared:
        shared = make_buffer(job.buffer, spawn_seed(job.seed, "buffer"), None)
        stages["buffer"] = shared
    branches = {name: _branch(job, name, source, late, trusted=trusted) for name in job.several}
    stages["learners"] = Branches(branches)
    if shared is not None:
        stages |= _inventory(job, shared, job.buffer.kind)
    return Pipeline(source, **stages)


def _stages_before_learners(
    job: Job,
    experiences: Experiences | None,
    late: LateStage | None,
    source: Source,
    test: ArraySource | None,
) -> dict[str, Stage[Any, Any]]:
    stages: dict[str, Stage[Any, Any]] = {}
    if experiences is not None:
        stages["experiences"] = experiences
    if late is not None:
        stages["late"] = late
    if job.probe is not None:
        probe = job.probe.model_dump(exclude={"every"})
        stages["probe"] = Probe(**probe, every=job.probe.every or None)
    if job.test is not None and test is not None:
        stages["holdout"] = make_holdout(test, source, every=job.test.every or None)
    if job.backbone is not None:
        stages["backbone"] = make_backbone(job.backbone, spawn_seed(job.seed, "backbone"))
    return stages


def _branch(
    job: Job, name: str, source: Source, late: LateStage | None, *, trusted: bool
) -> dict[str, Stage[Any, Any]]:
    try:
        kinds = {"trusted": trusted, "shares": job.buffer.shared, "alone": False}
        return _chain(job.alone(name), source, None, late, **kinds)
    except ConfigError as error:
        raise ConfigError(f"{name}: {error}") from error.__cause__


def _chain(
    job: Job,
    source: Source,
    experiences: Experiences | None,
    late: LateStage | None,
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
    stages |= scored_by(late, make_evaluator(job.evaluator, objective, source))
    if job.drift:
        parts = StageParts(experiences, own, replayed, learner, alone)
        stages["drift"] = make_monitor(job.drift, parts, job.seed, objective, job.labels.delay)
    return stages if own is None else stages | _inventory(job, own, buffer.kind)


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


def make_experiences(
    settings: ExperiencesSection, source: SourceSection, drift: Sequence[DriftSection]
) -> Experiences:
    """Return the stage that begins new experiences.

    Raises
    ------
    ConfigError
        Keys do not go together, or the stream itself says where experiences begin.
    """
    for key in ("experience", "split"):
        if getattr(source, key) is not None:
            raise ConfigError(
                f"experiences: goes without source.{key}, which says where they begin"
            )
    _check_length(settings)
    if settings.by == "time" and source.time is None:
        raise ConfigError("experiences.by: time needs source.time, the column with event times")
    if settings.by == "drift" and not any(map(_begins_experiences, drift)):
        raise ConfigError(
            'experiences.by: drift needs a [[drift]] with actions = ["new_experience"], got none'
        )
    return Experiences(rows=settings.rows, seconds=settings.seconds)


def _check_length(settings: ExperiencesSection) -> None:
    needed = _NEEDED.get(settings.by)
    for key in _NEEDED.values():
        given = getattr(settings, key) is not None
        if given and key != needed:
            raise ConfigError(f"experiences.{key}: does not go with by = {settings.by!r}")
        if not given and key == needed:
            raise ConfigError(f"experiences.{key}: is missing, by = {settings.by!r} needs it")


def _begins_experiences(settings: DriftSection) -> bool:
    actions = (*settings.actions, *settings.warning_actions)
    return any("new_experience" in text for text in actions)


def make_evaluator(settings: EvaluatorSection, objective: Objective, source: Source) -> Prequential:
    """Return the stage that scores predictions.

    Parameters
    ----------
    settings : EvaluatorSection
    objective : {"classes", "numbers", "labels"}
    source : Source
        If its rows are in memory, metrics of two classes are checked against their classes.

    Raises
    ------
    ConfigError
        A metric does not exist, or cannot score the objective.
    """
    metrics = _metrics(settings.metrics)
    try:
        named = specs_of(metrics)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"evaluator.{error}") from None
    for each in named:
        _check_objective(each, objective)
        if objective == "classes" and isinstance(source, ArraySource):
            _check_classes(each, source.coded.names)
    return Prequential(metrics=metrics, **settings.model_dump(exclude={"metrics", "buffer"}))


def _metrics(texts: list[str]) -> dict[str, Any]:
    """Return metrics by their names in the log: the class, or the text if it has arguments."""
    metrics: dict[str, Any] = {}
    for text in texts:
        metric = construct_metric(_KEY, text)
        plain = re.fullmatch(r"[\w.]+(\(\s*\))?", text.strip())
        name = type(metric).__name__ if plain else text.strip()
        if name in metrics:
            raise ConfigError(f"{_KEY}: must be different, got {name} twice")
        metrics[name] = metric
    return metrics


def _check_objective(metric: MetricSpec, objective: Objective) -> None:
    if metric.objective != objective:
        hint = {"classes": "label", "numbers": "target", "labels": "multilabel"}[metric.objective]
        raise ConfigError(
            f"{_KEY}: {metric.name} scores {metric.objective}, and the stream has {objective}: see "
            f"source.{hint}"
        )


def _check_classes(metric: MetricSpec, names: Sequence[Name]) -> None:
    """Check the classes of rows in memory now, rather than at the first row."""
    if metric.feed == "score" and len(names) > 2:
        raise ConfigError(
            f"{_KEY}: {metric.name} is of two classes, and the stream has {len(names)}"
        )
    if metric.binary and class_index(metric.positive, names) is None:
        raise ConfigError(
            f"{_KEY}: {metric.name}: no class of the stream is called {metric.positive!r}"
        )
