"""From a job to a pipeline."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from functools import partial
from typing import Any

from streamreplay.config.buffers import make_buffer
from streamreplay.config.imports import blame, import_callable
from streamreplay.config.job import Job, Learner
from streamreplay.config.sources import make_holdout, open_inputs
from streamreplay.errors import ConfigError
from streamreplay.evaluation import Prequential
from streamreplay.mixing import Mixer
from streamreplay.randomness import Seed, spawn_seed
from streamreplay.stage import Pipeline, Stage

__all__ = ["build", "fault_of_user_code"]


def build(
    job: Job,
    *,
    on_dead: Callable[[dict[str, Any]], None] | None = None,
    stop: Callable[[], bool] | None = None,
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
    if job.test is not None and test is not None:
        stages["holdout"] = make_holdout(test, source, every=job.test.every or None)
    learner = _learner(job.learner, spawn_seed(job.seed, "learner"))
    stages["buffer"] = make_buffer(job.buffer, spawn_seed(job.seed, "buffer"), learner)
    stages["mixer"] = _mixer(job)
    stages["learner"] = learner
    stages["evaluator"] = Prequential(
        report_every=job.evaluator.report_every,
        window=job.evaluator.window,
        fading=job.evaluator.fading,
    )
    return Pipeline(source, **stages)


def _mixer(job: Job) -> Mixer:
    mixer = job.mixer
    return Mixer(
        job.source.batch_size if mixer.batch_size_mem is None else mixer.batch_size_mem,
        None if mixer.by == "none" else mixer.by,
        replacement=mixer.replacement,
        steps=mixer.steps,
        seed=spawn_seed(job.seed, "mixer"),
    )


def _learner(settings: Learner, seed: Seed) -> Stage[Any, Any]:
    import torch  # noqa: PLC0415 - slow: only a job that runs needs it

    from streamreplay.learners import TorchLearner, linear, mlp  # noqa: PLC0415

    if settings.module == "linear":
        factory: Any = linear()
    elif settings.module == "mlp":
        factory = mlp(settings.hidden)
    else:
        factory = import_callable("learner.module", settings.module, "linear, mlp")
        factory = _guarded(settings.module, factory)
    common: dict[str, Any] = {"lr": settings.lr, "weight_decay": settings.weight_decay}
    optimizers: dict[str, Callable[..., torch.optim.Optimizer]] = {
        "sgd": partial(torch.optim.SGD, momentum=settings.momentum, **common),
        "adam": partial(torch.optim.Adam, **common),
        "adamw": partial(torch.optim.AdamW, **common),
    }
    try:
        device = torch.empty(0, device=settings.device).device
    except (RuntimeError, AssertionError) as error:  # torch asserts that it was built with CUDA
        reason = str(error).partition("\n")[0]
        raise ConfigError(f"learner.device: {settings.device!r} cannot be used: {reason}") from None
    return TorchLearner(
        factory,
        optimizers[settings.optimizer],
        normalize=settings.normalize,
        on_divergence=settings.on_divergence,
        device=device,
        threads=settings.threads,
        seed=seed,
    )


def _guarded(name: str, given: Callable[..., Any]) -> Callable[..., Any]:
    """Make what goes wrong in somebody else's factory a mistake of the job."""
    from torch import nn  # noqa: PLC0415 - slow

    if isinstance(given, nn.Module):
        return given

    def build(feature_shape: tuple[int, ...], n_classes: int) -> nn.Module:
        try:
            module = given(feature_shape, n_classes)
        except Exception as error:
            raise blame("learner.module", name, "cannot be built", error) from error
        if not isinstance(module, nn.Module):
            raise ConfigError(
                f"learner.module: {name!r} must return a torch.nn.Module, got {module!r}"
            )
        if not any(True for _ in module.parameters()):
            raise ConfigError(f"learner.module: {name!r} has no parameters to learn")
        return module

    return build


def fault_of_user_code(job: Job, error: BaseException) -> ConfigError | None:
    """Return what to raise for an error from inside code that a job imports; None for others.

    Parameters
    ----------
    job : Job
    error : BaseException
        Raised by a pipeline built from that job.
    """
    selection = job.buffer.selection or ""
    entries = {  # by which function ours or torch's calls the user's
        "_call_impl": ("learner.module", job.learner.module),
        "make_sorted_indices": ("buffer.selection", selection),
        "make_keys": ("buffer.selection", selection),
    }
    if not isinstance(error, Exception):
        return None
    calls = [frame.f_code.co_name for frame, _ in traceback.walk_tb(error.__traceback__)]
    for call in reversed(calls):
        key, name = entries.get(call, ("", ""))
        if ":" in name:
            return blame(key, name, "failed", error)
    return None
