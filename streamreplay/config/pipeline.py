"""From a job to a pipeline."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any

from streamreplay.config.buffers import make_buffer
from streamreplay.config.imports import blame
from streamreplay.config.job import Job
from streamreplay.config.learners import make_learner
from streamreplay.config.sources import make_holdout, open_inputs
from streamreplay.errors import ConfigError
from streamreplay.evaluation import Prequential
from streamreplay.mixing import Mixer
from streamreplay.randomness import spawn_seed
from streamreplay.stage import Pipeline, Stage

__all__ = ["build", "fault_of_user_code"]


def build(
    job: Job,
    *,
    on_dead: Callable[[dict[str, Any]], None] | None = None,
    stop: Callable[[], bool] | None = None,
    trusted: bool = False,
) -> Pipeline:
    """Open a job's source and put its stages behind it.

    The stages are ``holdout`` (with held-out rows only), ``buffer`` (of no capacity if its kind is
    none), ``mixer``, ``learner`` and ``evaluator``. What the stream calls its classes is in
    ``pipeline.source.labels``.

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
    from streamreplay.config.methods import replay_settings  # noqa: PLC0415 - slow: imports torch

    source, test = open_inputs(job, on_dead=on_dead, stop=stop)
    stages: dict[str, Stage[Any, Any]] = {}
    if job.test is not None and test is not None:
        stages["holdout"] = make_holdout(test, source, every=job.test.every or None)
    seed = spawn_seed(job.seed, "learner")
    learner = make_learner(job.learner, seed, source=source, trusted=trusted)
    buffer, candidates = replay_settings(job)
    stages["buffer"] = make_buffer(buffer, spawn_seed(job.seed, "buffer"), learner)
    stages["mixer"] = _mixer(job, candidates)
    stages["learner"] = learner
    stages["evaluator"] = Prequential(
        report_every=job.evaluator.report_every,
        window=job.evaluator.window,
        fading=job.evaluator.fading,
    )
    return Pipeline(source, **stages)


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


def fault_of_user_code(job: Job, error: BaseException) -> ConfigError | None:
    """Return what to raise for an error from inside code that a job imports; None for others.

    Parameters
    ----------
    job : Job
    error : BaseException
        Raised by a pipeline built from that job.
    """
    river, selection = job.learner.river or "", job.buffer.selection or ""
    learner, pieces = job.learner, {}
    for key in ("retrieval", "loss", "notes"):  # what a method of the user's own brings is its own
        own = getattr(learner, key) or ""
        pieces[key] = (f"learner.{key}", _imported(own))
        if not own:
            pieces[key] = ("learner.method", _imported(learner.method))
    entries = {  # by which function ours or torch's calls the user's
        "_call_impl": ("learner.module", _imported(job.learner.module)),
        "ask": ("learner.river", river),
        "teach": ("learner.river", river),
        "make_sorted_indices": ("buffer.selection", _imported(selection)),
        "make_keys": ("buffer.selection", _imported(selection)),
        "_pick": pieces["retrieval"],
        "_lose": pieces["loss"],
        "_make_notes": pieces["notes"],
        "_augment": ("learner.augment", ", ".join(filter(_imported, job.learner.augment))),
        "_ask_schedule": ("learner.schedule", _imported(job.learner.schedule or "")),
    }
    if not isinstance(error, Exception) or isinstance(error, ConfigError):  # which says it itself
        return None
    calls = [frame.f_code.co_name for frame, _ in traceback.walk_tb(error.__traceback__)]
    for call in reversed(calls):
        key, name = entries.get(call, ("", ""))
        if name:
            return blame(key, name, "failed", error)
    return None


def _imported(name: str) -> str:
    return name if ":" in name else ""
