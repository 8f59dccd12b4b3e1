"""Errors for what is given in place of a module, a factory or an optimizer."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from torch import nn
from torch.optim import SGD

from streamreplay.batch import Batch
from streamreplay.learners import TorchLearner, linear, mlp, slim_resnet18

ROWS = [Batch.from_arrays([[1.0, 2.0, 3.0]], [0])]
OPTIMIZER = partial(SGD, lr=0.1)


@pytest.mark.parametrize("maker", [linear, mlp, slim_resnet18])
def test_a_maker_of_factories_is_called(maker: Any) -> None:
    name = maker.__name__
    message = rf"^module: {name} makes a factory: call it, {name}\(\)$"
    with pytest.raises(TypeError, match=message):
        TorchLearner(maker, OPTIMIZER)


def test_a_module_is_none_of_these() -> None:
    with pytest.raises(
        TypeError, match=r"^module: must be a torch.nn.Module, or a factory .* str$"
    ):
        TorchLearner("mlp", OPTIMIZER)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"^optimizer: must be a torch.optim.Optimizer .*'sgd'$"):
        TorchLearner(linear(), "sgd")  # type: ignore[arg-type]


def test_a_class_that_is_no_factory() -> None:
    learner = TorchLearner(nn.Linear, OPTIMIZER)  # type: ignore[arg-type]
    message = (
        r"^module: the class Linear cannot be built from a shape .* Linear\(\.\.\.\), or a fun"
    )
    with pytest.raises(TypeError, match=message):
        list(learner(ROWS))


def test_a_class_that_is_a_factory() -> None:
    class Flat(nn.Module):
        def __init__(self, shape: tuple[int, ...], classes: int) -> None:
            super().__init__()
            self.layer = nn.Linear(shape[0], classes)

        def forward(self, x: Any) -> Any:
            return self.layer(x)

    assert len(list(TorchLearner(Flat, OPTIMIZER)(ROWS))) == 1


def test_a_factory_that_makes_no_module() -> None:
    learner = TorchLearner(lambda _shape, _classes: linear(), OPTIMIZER)  # type: ignore[arg-type, return-value]
    with pytest.raises(TypeError, match=r"must return a torch.nn.Module for a shape and a number"):
        list(learner(ROWS))


def test_a_module_of_another_width() -> None:
    learner = TorchLearner(nn.Linear(5, 2), OPTIMIZER)
    with pytest.raises(
        ValueError, match=r"^module: does not take rows of shape \[n, 3\]: mat1 and"
    ):
        list(learner(ROWS))
