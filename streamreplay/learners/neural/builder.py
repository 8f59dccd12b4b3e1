"""Build a learner's module when rows show what it must be like."""

from __future__ import annotations

from typing import final

from streamreplay.batch import Batch
from streamreplay.errors import ConfigError
from streamreplay.learners.neural.global_state import OwnRandomness
from streamreplay.learners.neural.network import Network
from streamreplay.learners.neural.predictor import Predictor
from streamreplay.learners.neural.targets import Targets, targets_of
from streamreplay.learners.neural.training import Training


@final
class Builder:
    """Build the module for the first rows, or a fresh one for the same stream.

    Parameters
    ----------
    network : Network
    predictor : Predictor
    training : Training
    random : OwnRandomness
        New weights are drawn from it.
    """

    def __init__(
        self, network: Network, predictor: Predictor, training: Training, random: OwnRandomness
    ) -> None:
        self._network = network
        self._predictor = predictor
        self._training = training
        self._random = random

    def build(self, rows: Batch) -> None:
        """Build a module for rows; the first ones decide what the learner learns.

        Raises
        ------
        ConfigError
            The rows have numbers or labels, and a setting is for classes.
        """
        if not self._network.built:
            self._network.targets = targets_of(rows, self._training.huber)
            self._check_settings(self._network.targets)
        self._network.build_for(rows)
        with self._random():
            self._predictor.build()

    def _check_settings(self, targets: Targets) -> None:
        if targets.objective == "classes":
            return
        settings = {
            **{f"method: {name}": True for name in self._predictor.classifiers},
            "label_smoothing": bool(self._training.label_smoothing),
            "class_weight": self._training.class_weight is not None,
        }
        for name, given in settings.items():
            if given:
                raise ConfigError(
                    f"learner.{name}: is for classes, and rows have {targets.objective} instead"
                )
