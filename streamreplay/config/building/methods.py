"""From a job's ``[learner]`` to a replay method and how steps are taken."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from streamreplay.config.building.training_options import make_augmentation, make_schedule
from streamreplay.config.building.user_code import UserCode, as_array
from streamreplay.config.job import BufferSection, Job, LearnerSection
from streamreplay.errors import ConfigError
from streamreplay.learners.methods.catalogue import (
    METHODS,
    Method,
    Retrieval,
    hardest,
    most_interfered,
)
from streamreplay.learners.methods.slda import Discriminant
from streamreplay.learners.neural.trainer import Training

__all__ = ["make_method", "make_training", "replay_settings", "with_method"]

_PARAMETERS = (
    "alpha",
    "beta",
    "look_back",
    "distillation",
    "temperature",
    "retrain_passes",
    "retrain_every",
)
_GSS = {"kind": "parametric", "groupby": "none", "selection": "gss_greedy"}
_PER_DRAWN = 5  # candidates for each row to be chosen, where the job says nothing


def make_method(settings: LearnerSection) -> Method:
    """Make the method that a job names, with the pieces that it replaces.

    Raises
    ------
    ConfigError
        There is no such method or piece, or a parameter is not one of the method's.
    """
    made = _named(settings)
    if settings.loss is not None:
        made = replace(made, loss=_imported("learner.loss", settings.loss))
    if settings.notes is not None:
        made = replace(made, notes=_imported("learner.notes", settings.notes))
    if settings.retrieval is not None:
        made = replace(made, retrieve=_retrieval(settings.retrieval))
    return _with_discriminant(made, settings)


def _with_discriminant(made: Method, settings: LearnerSection) -> Method:
    """Add what the job says of discriminants, which go with every method."""
    size = settings.random_features
    rest = {"weight": settings.discriminant_weight, "margin": settings.discriminant_margin}
    said: dict[str, Any] = {key: value for key, value in rest.items() if value is not None}
    asked = made.discriminant or (None if size is None else Discriminant(size))
    if asked is None:
        for key, value in said.items():
            raise ConfigError(f"learner.discriminant_{key}: goes with random_features, got {value}")
        return made
    if size is not None:
        said["features"] = size
    return replace(made, discriminant=replace(asked, **said))


def make_training(settings: LearnerSection, label_names: Callable[[], Any]) -> Training:
    """Make what a job says of how steps are taken.

    Parameters
    ----------
    settings : Learner
    label_names : callable
        Returns the names of the classes met so far, in order of their indices.
    """
    weights = settings.class_weight

    def weigh(label: int) -> float:
        return (weights or {}).get(str(label_names()[label]), 1.0)

    return Training(
        ema=settings.ema,
        clip_grad_norm=settings.clip_grad_norm,
        label_smoothing=settings.label_smoothing,
        class_weight=None if weights is None else weigh,
        augment=make_augmentation(settings),
        augment_incoming=settings.augment_incoming,
        schedule=make_schedule(settings),
        schedule_weight_decay=settings.schedule_weight_decay,
        schedule_restarts=settings.schedule_restarts,
        huber=settings.huber,
    )


def with_method(job: Job) -> Job:
    """Return a job of one learner with its method named, where it says auto."""
    learner = job.only_learner
    if learner.method != "auto":
        return job
    classless = bool(job.source.target or job.source.multilabel)
    own = learner.loss or learner.retrieval or learner.notes
    named = learner.model_copy(update={"method": "er" if classless or own else "er-slda"})
    return job.model_copy(update={"learner": named})


def replay_settings(job: Job, *, chooses: bool) -> tuple[BufferSection, int | None]:
    """Return the buffer's settings and the candidates for each draw, as the method has them.

    Parameters
    ----------
    job : Job
        Of one learner.
    chooses : bool
        Whether its method retrieves.

    Raises
    ------
    ConfigError
        The job asks for a buffer that the method cannot do with.
    """
    buffer, candidates, learner = job.buffer, job.mixer.candidates, job.only_learner
    if learner.method == "gss":
        said = buffer.kind if buffer.kind != BufferSection().kind else "parametric"
        if said != "parametric" or buffer.selection not in (None, _GSS["selection"]):
            raise ConfigError(
                "buffer.kind: method gss has a buffer of its own, parametric with selection "
                f"gss_greedy, got {buffer.kind}"
            )
        buffer = buffer.model_copy(update=_GSS)
    if candidates is not None and not chooses:
        who = f"method {learner.method}" if learner.river is None else "learner.river"
        raise ConfigError(f"mixer.candidates: {who} does not choose among them, got {candidates}")
    if candidates is None and chooses:
        drawn = job.mixer.batch_size_mem
        candidates = _PER_DRAWN * (job.source.batch_size if drawn is None else drawn)
    return buffer, candidates


def _named(settings: LearnerSection) -> Method:
    name = settings.method
    given = {key: getattr(settings, key) for key in _PARAMETERS}
    given = {key: value for key, value in given.items() if value is not None}
    code = UserCode("learner.method", name)
    maker: Callable[..., Method]
    taken: Iterable[str] = ()
    if ":" in name:
        maker = code.load(", ".join(METHODS))
    else:
        if name not in METHODS and name != "gss":
            choices = ", ".join(["auto", *METHODS, "gss"])
            raise ConfigError(
                f"learner.method: must be {choices} or package.module:factory, got {name!r}"
            )
        maker = METHODS["er" if name == "gss" else name]
        taken = inspect.signature(maker).parameters
    for key, value in given.items():
        if key not in taken:
            raise ConfigError(f"learner.{key}: is not a parameter of {name}, got {value!r}")
    made = code.make(maker, **given)
    if not isinstance(made, Method):
        raise ConfigError(f"learner.method: {name!r} must return a Method, got {made!r}")
    return _wrap_parts(code, made) if ":" in name else made


def _wrap_parts(code: UserCode, method: Method) -> Method:
    """Return a method of the user's whose functions report errors under the method's key."""
    parts: dict[str, Any] = {
        name: code.wrap(function)
        for name in ("loss", "reference", "notes")
        if (function := getattr(method, name)) is not None
    }
    if method.retrieve is not None:
        parts["retrieve"] = code.wrap(method.retrieve, as_array)
    return replace(method, **parts)


def _imported(key: str, name: str) -> Callable[..., Any]:
    code = UserCode(key, name)
    return code.wrap(code.load("left out"))


def _retrieval(name: str) -> Retrieval:
    ours: dict[str, Retrieval] = {"mir": most_interfered, "hardest": hardest}
    if name in ours:
        return ours[name]
    code = UserCode("learner.retrieval", name)
    return code.wrap(code.load(", ".join(ours)), as_array)
