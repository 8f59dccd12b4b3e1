"""Learners: models that predict first, then learn from incoming rows and memory."""

from streamreplay.learners.modules import ModuleFactory, linear, mlp
from streamreplay.learners.network import OptimizerFactory
from streamreplay.learners.river_learner import RiverLearner
from streamreplay.learners.torch_learner import TorchLearner

__all__ = ["ModuleFactory", "OptimizerFactory", "RiverLearner", "TorchLearner", "linear", "mlp"]
