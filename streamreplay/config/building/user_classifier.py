"""A classifier of the user's own, whose errors name the key of its method."""

from __future__ import annotations

from functools import partial
from typing import final

from streamreplay.config.building.user_code import UserCode
from streamreplay.learners.methods.classifiers import (
    Classifier,
    ClassifierFactory,
)


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


def wrap_classifier(code: UserCode, factory: ClassifierFactory) -> ClassifierFactory:
    """Return a factory of classifiers that report errors under a key; the package's are kept."""
    if str(getattr(factory, "__module__", "")).startswith("streamreplay."):
        return factory
    return code.wrap(factory, lambda made: UserClassifier(code, made))
