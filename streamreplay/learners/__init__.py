"""Learners: models that predict first, then learn from incoming rows and memory."""

from streamreplay.learners.askable import Retrieval
from streamreplay.learners.methods.catalogue import METHODS, Method
from streamreplay.learners.methods.step import Loss, NoteMaker, Step
from streamreplay.learners.models.cnn import cnn
from streamreplay.learners.models.layers import CosineLinear, HeadKind, WeightNormLinear
from streamreplay.learners.models.mlp import ModuleFactory, linear, mlp
from streamreplay.learners.models.resnet import slim_resnet18
from streamreplay.learners.neural.augment import Augmentation
from streamreplay.learners.neural.backbone import Backbone, BackboneFactory
from streamreplay.learners.neural.budget import ReplayBudget
from streamreplay.learners.neural.learner import TorchLearner
from streamreplay.learners.neural.network import OptimizerFactory
from streamreplay.learners.neural.schedules import Schedule
from streamreplay.learners.neural.training import Training
from streamreplay.learners.river.learner import RiverLearner

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
