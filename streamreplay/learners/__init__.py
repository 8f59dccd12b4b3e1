"""Learners: models that predict first, then learn from incoming rows and memory."""

from streamreplay.learners.augment import Augmentation
from streamreplay.learners.budget import ReplayBudget
from streamreplay.learners.methods import METHODS, Method, Retrieval
from streamreplay.learners.modules import ModuleFactory, linear, mlp
from streamreplay.learners.network import OptimizerFactory
from streamreplay.learners.river_learner import RiverLearner
from streamreplay.learners.schedules import Schedule
from streamreplay.learners.step import Loss, NoteMaker, Step
from streamreplay.learners.torch_learner import TorchLearner
from streamreplay.learners.training import Training

__all__ = [
    "METHODS",
    "Augmentation",
    "Loss",
    "Method",
    "ModuleFactory",
    "NoteMaker",
    "OptimizerFactory",
    "ReplayBudget",
    "Retrieval",
    "RiverLearner",
    "Schedule",
    "Step",
    "TorchLearner",
    "Training",
    "linear",
    "mlp",
]
