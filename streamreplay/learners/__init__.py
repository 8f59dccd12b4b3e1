"""Learners: models that predict first, then learn from incoming rows and memory."""

from streamreplay.learners.methods.catalogue import METHODS, Method
from streamreplay.learners.methods.step import Loss, NoteMaker, Retrieval, Step
from streamreplay.learners.models.layers import CosineLinear, HeadKind, WeightNormLinear
from streamreplay.learners.models.networks import ModuleFactory, cnn, linear, mlp, slim_resnet18
from streamreplay.learners.neural.augment import Augmentation
from streamreplay.learners.neural.backbone import Backbone, BackboneFactory
from streamreplay.learners.neural.budget import ReplayBudget
from streamreplay.learners.neural.learner import TorchLearner
from streamreplay.learners.neural.network import OptimizerFactory
from streamreplay.learners.neural.schedules import Schedule
from streamreplay.learners.neural.training import Training
from streamreplay.learners.river.learner import RiverLearner
from streamreplay.learners.verification import Verification

__all__ = [
    "METHODS",
    "Augmentation",
    "Backbone",
    "BackboneFactory",
    "CosineLinear",
    "HeadKind",
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
    "Verification",
    "WeightNormLinear",
    "cnn",
    "linear",
    "mlp",
    "slim_resnet18",
]
