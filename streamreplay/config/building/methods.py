"""Build the method and the training options that ``[learner]`` names."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from functools import partial
from itertools import count
from typing import Any, final

from streamreplay.batch import Objective
from streamreplay.config.building.user_code import UserCode, as_array, is_import_path
from streamreplay.config.job import BufferSection, LearnerSection
from streamreplay.config.parsing.expressions import construct
from streamreplay.errors import ConfigError
from streamreplay.learners.methods.catalogue import METHODS, Method, hardest, most_interfered
from streamreplay.learners.methods.classifiers import Classifier, ClassifierFactory
from streamreplay.learners.methods.slda import StreamingLDASettings
from streamreplay.learners.methods.step import Retrieval
from streamreplay.learners.neural import augment, schedules
from streamreplay.learners.neural.augment import Augmentation
from streamreplay.learners.neural.budget import ReplayBudget
from streamreplay.learners.neural.schedules import Schedule
from streamreplay.learners.neural.training import Training

AUGMENTATIONS: Mapping[str, Callable[..., Augmentation]] = {
    "crop": augment.crop,
    "flip": augment.flip,
    "jitter": augment.jitter,
    "cutout": augment.cutout,
    "noise": augment.noise,
    "feature_dropout": augment.feature_dropout,
    "mixup": augment.mixup,
}
"""Names that a job may write in ``learner.augment``."""

SCHEDULES: Mapping[str, Callable[..., Schedule]] = {
    "constant": schedules.constant,
    "inverse_sqrt": schedules.inverse_sqrt,
    "inverse_time": schedules.inverse_time,
    "cosine": schedules.cosine,
}
"""Names that a job may write in ``learner.schedule``."""

_GSS = {"kind": "parametric", "groupby": "none", "selection": "gss_greedy"}
_SLDA = ("features", "weight", "margin")
_OF_EVERY_METHOD = {"ema", *(f"slda_{key}" for key in _SLDA)}
_CANDIDATES_A_ROW = 5  # by default, for each row to be chosen


def make_augmentation(settings: LearnerSection) -> Augmentation | None:
    """Return one augmentation that applies those of the job in order; None if it has none.

    Raises
    ------
    ConfigError
        An augmentation cannot be constructed.
    """
    if not settings.augment:
        if not settings.augment_incoming:
            raise ConfigError("learner.augment_incoming: goes with learner.augment, got none")
        return None
    return augment.compose(*map(_augmentation, count(), settings.augment))


def _augmentation(place: int, text: str) -> Augmentation:
    key = f"learner.augment[{place}]"
    if not is_import_path(text):
        ours: Augmentation = construct(key, text, AUGMENTATIONS)
        return ours
    name = text.strip()
    return UserCode("learner.augment", name).wrap(
        UserCode(key, name).load(", ".join(AUGMENTATIONS))
    )


def make_schedule(settings: LearnerSection) -> Schedule | None:
    """Return the schedule of the learning rate, with its warm-up; None if the job has neither.

    Raises
    ------
    ConfigError
        The schedule cannot be constructed, or keys are given that need a schedule.
    """
    if settings.schedule is None and not settings.warmup:
        for key in ("schedule_weight_decay", "schedule_restarts"):
            if getattr(settings, key):
                raise ConfigError(f"learner.{key}: goes with learner.schedule, got none")
        return None
    key, text = "learner.schedule", settings.schedule
    if not text:
        return schedules.warmup(settings.warmup)
    if not is_import_path(text):
        return schedules.warmup(settings.warmup, construct(key, text, SCHEDULES))
    code = UserCode(key, text.strip())
    return code.wrap(schedules.warmup(settings.warmup, code.load(", ".join(SCHEDULES))), float)


def make_budget(settings: LearnerSection, method: Method) -> ReplayBudget | None:
    """Return the budget of replay; None if the job has none.

    Parameters
    ----------
    settings : LearnerSection
    method : Method
        The learner's method, which must replay rows with each batch.

    Raises
    ------
    ConfigError
        Two kinds of budget are given, or keys that need a budget.
    """
    share, rows = settings.replay_budget, settings.replay_rows_per_second
    if share is not None and rows is not None:
        raise ConfigError(
            f"learner.replay_rows_per_second: goes without learner.replay_budget, got {rows}"
        )
    if share is None and rows is None:
        if settings.replay_horizon != LearnerSection.model_fields["replay_horizon"].default:
            raise ConfigError(
                "learner.replay_horizon: goes with learner.replay_budget or "
                f"learner.replay_rows_per_second, got {settings.replay_horizon} with neither"
            )
        return None
    if method.retrain is not None:
        key = "replay_budget" if rows is None else "replay_rows_per_second"
        raise ConfigError(
            f"learner.{key}: is for methods that rehearse with each batch, got {settings.method}"
        )
    return ReplayBudget(share, rows_per_second=rows, horizon=settings.replay_horizon)


def make_method(settings: LearnerSection) -> Method:
    """Return the method that ``[learner]`` names, with the parts that its keys replace.

    Raises
    ------
    ConfigError
        A name does not exist, or a parameter is not one of the method's.
    """
    made = _named(settings)
    if settings.loss is not None:
        made = replace(made, loss=_imported("learner.loss", settings.loss))
    if settings.notes is not None:
        made = replace(made, notes=_imported("learner.notes", settings.notes))
    if settings.retrieval is not None:
        made = replace(made, retrieve=_retrieval(settings.retrieval))
    return _with_slda(made, settings)


def _with_slda(made: Method, settings: LearnerSection) -> Method:
    """Return a method with the streaming LDA that the job describes, if it does."""
    all_given: dict[str, Any] = {key: getattr(settings, f"slda_{key}") for key in _SLDA}
    given = {key: value for key, value in all_given.items() if value is not None}
    slda = made.slda
    if slda is None and "features" in given:
        slda = StreamingLDASettings()
    if slda is not None:
        return made.with_slda(replace(slda, **given)) if given else made
    for key, value in given.items():
        raise ConfigError(f"learner.slda_{key}: goes with slda_features, got {value}")
    return made


def make_training(settings: LearnerSection) -> Training:
    """Return the options of training steps, whatever the method."""
    made: dict[str, Any] = {
        "augment": make_augmentation(settings),
        "schedule": make_schedule(settings),
    }
    plain = {field.name for field in fields(Training)} - made.keys()
    return Training(**made, **settings.model_dump(include=plain))


def choose_method(settings: LearnerSection, objective: Objective) -> LearnerSection:
    """Return the settings with a name in place of the method ``auto``."""
    if settings.method != "auto":
        return settings
    replaced = settings.loss or settings.retrieval or settings.notes
    method = "er-slda" if objective == "classes" and not replaced else "er"
    return settings.model_copy(update={"method": method})


def buffer_of(method: str, settings: BufferSection) -> BufferSection:
    """Return the settings of the buffer that a method works with.

    Raises
    ------
    ConfigError
        The settings are those of another buffer than the method's own.
    """
    if method != "gss":
        return settings
    kind = settings.kind if settings.kind != BufferSection().kind else _GSS["kind"]
    if kind != _GSS["kind"] or settings.selection not in (None, _GSS["selection"]):
        raise ConfigError(
            "buffer.kind: method gss has a buffer of its own, parametric with selection "
            f"gss_greedy, got {settings.kind}"
        )
    return settings.model_copy(update=_GSS)


def candidates_of(
    learner: LearnerSection, candidates: int | None, batch_size_mem: int, *, chooses: bool
) -> int | None:
    """Return how many stored rows to draw for a step; None for a method that does not choose.

    Raises
    ------
    ConfigError
        Candidates are given, and the method does not choose among them.
    """
    if candidates is not None and not chooses:
        chooser = f"method {learner.method}" if learner.river is None else "learner.river"
        raise ConfigError(
            f"mixer.candidates: {chooser} does not choose among them, got {candidates}"
        )
    if candidates is None and chooses:
        return _CANDIDATES_A_ROW * batch_size_mem
    return candidates


def _named(settings: LearnerSection) -> Method:
    name = settings.method
    given = {key: getattr(settings, key) for key in method_parameters()}
    given = {key: value for key, value in given.items() if value is not None}
    code = UserCode("learner.method", name)
    if ":" in name:
        maker, taken = code.load(", ".join(METHODS)), set()
    else:
        maker = _find_method(name)
        taken = set(inspect.signature(maker).parameters)
    for key, value in given.items():
        if key not in taken:
            raise ConfigError(f"learner.{key}: is not a parameter of {name}, got {value!r}")
    made = code.make(maker, **given)
    if not isinstance(made, Method):
        raise ConfigError(f"learner.method: {name!r} must return a Method, got {made!r}")
    return _wrap_parts(code, made) if ":" in name else made


def method_parameters() -> list[str]:
    """Return the keys of ``[learner]`` that are parameters of a method, in order."""
    taken = {name for maker in METHODS.values() for name in inspect.signature(maker).parameters}
    return [key for key in LearnerSection.model_fields if key in taken - _OF_EVERY_METHOD]


def _find_method(name: str) -> Callable[..., Method]:
    if name not in METHODS and name != "gss":
        choices = ", ".join(["auto", *METHODS, "gss"])
        raise ConfigError(
            f"learner.method: must be {choices} or package.module:factory, got {name!r}"
        )
    return METHODS["er" if name == "gss" else name]


def _wrap_parts(code: UserCode, method: Method) -> Method:
    """Return a method of the user's whose parts report errors under the method's key."""
    parts: dict[str, Any] = {
        name: code.wrap(function)
        for name in ("loss", "reference", "notes")
        if (function := getattr(method, name)) is not None
    }
    if method.retrieve is not None:
        parts["retrieve"] = code.wrap(method.retrieve, as_array)
    parts["classifiers"] = tuple(_wrap_classifier(code, each) for each in method.classifiers)
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


@final
class UserClassifier:
    """Call a classifier of the user's, and report its errors under the key of the method.

    Parameters
    ----------
    code : UserCode
        The method that has the classifier.
    classifier : Classifier
    """

    def __init__(self, code: UserCode, classifier: Classifier) -> None:
        self._code, self._classifier = code, classifier
        with code:
            self.name, self.reads_memory = classifier.name, classifier.reads_memory
            self.build = code.wrap(classifier.build)
            self.observe = code.wrap(classifier.observe)
            self.predict = code.wrap(classifier.predict)
            self.learn = code.wrap(classifier.learn)
            self.refreshed = code.wrap(classifier.refreshed, partial(UserClassifier, code))
            self.state_dict = code.wrap(classifier.state_dict)
            # a `CheckpointError` is the answer to a wrong state, and passes unchanged
            self.load_state_dict = classifier.load_state_dict

    @property
    def needs_features(self) -> bool:
        """Whether `predict` needs features."""
        with self._code:
            return self._classifier.needs_features


def _wrap_classifier(code: UserCode, factory: ClassifierFactory) -> ClassifierFactory:
    """Return a factory of classifiers that report errors under a key; the package's are kept."""
    if str(getattr(factory, "__module__", "")).startswith("streamreplay."):
        return factory
    return code.wrap(factory, lambda made: UserClassifier(code, made))
