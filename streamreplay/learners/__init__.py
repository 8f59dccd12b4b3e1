"""Learners: models that predict first, then learn from incoming rows and memory."""

from streamreplay.learners.augment import Augmentation
from streamreplay.learners.backbone import Backbone, BackboneFactory
from streamreplay.learners.budget import ReplayBudget
from streamreplay.learners.convolutional import cnn
from streamreplay.learners.layers import CosineLinear, HeadKind, WeightNormLinear
from streamreplay.learners.methods import METHODS, Method, Retrieval
from streamreplay.learners.modules import ModuleFactory, linear, mlp
from streamreplay.learners.network import OptimizerFactory
from streamreplay.learners.resnet import slim_resnet18
from streamreplay.learners.river_learner import RiverLearner
from streamreplay.learners.schedules import Schedule
from streamreplay.learners.step import Loss, NoteMaker, Step
from streamreplay.learners.torch_learner import TorchLearner
from streamreplay.learners.training import Training

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
    "WeightNormLinear",
    "cnn",
    "linear",
    "mlp",
    "slim_resnet18",
]
