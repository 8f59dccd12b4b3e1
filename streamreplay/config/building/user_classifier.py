"""A classifier of the user's own, whose errors name the key of its method."""

from __future__ import annotations

from typing import final

import torch

from streamreplay.batch import Batch
from streamreplay.config.building.user_code import UserCode
from streamreplay.learners.methods.classifiers import (
    Classifier,
    ClassifierFactory,
    FeatureFunction,
    Opinion,
    Outputs,
    RecentClasses,
)
from streamreplay.state import State


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
        self._code = code
        self._classifier = classifier
        with code:
            self.name = classifier.name
            self.reads_memory = classifier.reads_memory

    @property
    def needs_features(self) -> bool:
        """Whether `predict` needs features."""
        with self._code:
            return self._classifier.needs_features

    def build(self, feature_shape: tuple[int, ...]) -> None:
        """Prepare for a module that was just built."""
        with self._code:
            self._classifier.build(feature_shape)

    def observe(self, memory: Batch, features: FeatureFunction) -> None:
        """Prepare to predict, from the rows in memory."""
        with self._code:
            self._classifier.observe(memory, features)

    def predict(self, outputs: Outputs) -> tuple[torch.Tensor, Opinion | None]:
        """Return the logits of rows, and what `learn` is to be given."""
        with self._code:
            logits, opinion = self._classifier.predict(outputs)
            return logits, opinion

    def learn(self, incoming: Batch, opinion: Opinion | None, recent: RecentClasses) -> None:
        """Learn from a batch."""
        with self._code:
            self._classifier.learn(incoming, opinion, recent)

    def refreshed(self, memory: Batch, features: FeatureFunction) -> UserClassifier:
        """Return a copy that accounts for all rows learned so far, and for all in memory."""
        with self._code:
            return UserClassifier(self._code, self._classifier.refreshed(memory, features))

    def state_dict(self) -> State:
        """Return the state of the classifier."""
        with self._code:
            return self._classifier.state_dict()

    def load_state_dict(self, state: State) -> None:
        """Load a state; a `CheckpointError` is the answer to a wrong one, and passes unchanged."""
        self._classifier.load_state_dict(state)


def wrap_classifier(code: UserCode, factory: ClassifierFactory) -> ClassifierFactory:
    """Return a factory of classifiers that report errors under a key; the package's are kept."""
    if str(getattr(factory, "__module__", "")).startswith("streamreplay."):
        return factory
    return code.wrap(factory, lambda made: UserClassifier(code, made))
