"""Scale rows into tensors that a module is given, and describe tensors."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from streamreplay.learners.scaling import Scaler


def stage(scaler: Scaler, x: NDArray[Any]) -> torch.Tensor:
    """Return scaled rows, in memory aligned the same way in every process: float32[n, *feature]."""
    staged = torch.empty(x.shape)
    scaler.write(x, staged.numpy())
    return staged


class Staging:
    """A tensor that rows are scaled into, in memory aligned the same way in every process."""

    def __init__(self, scaler: Scaler) -> None:
        self._scaler = scaler
        self.x = torch.empty(0)  # float32[rows, *feature]
        self.y = torch.empty(0, dtype=torch.int64)  # [rows]
        self._x_array = self.x.numpy()  # the same memory
        self._y_array = self.y.numpy()

    def make_room(self, rows: int, feature_shape: tuple[int, ...]) -> None:
        """Make the tensor long enough for some rows; if it was not, what was staged is lost."""
        if len(self.x) < rows or self.x.shape[1:] != feature_shape:
            self.x = torch.zeros(rows, *feature_shape)
            self.y = torch.zeros(rows, dtype=torch.int64)
            self._x_array, self._y_array = self.x.numpy(), self.y.numpy()

    def put(self, start: int, x: NDArray[Any], y: NDArray[np.int64] | None = None) -> None:
        """Scale rows into the tensor from place ``start`` on."""
        end = start + len(x)
        self._scaler.write(x, self._x_array[start:end])
        if y is not None:
            self._y_array[start:end] = y


def describe_tensor(tensor: torch.Tensor) -> str:
    """Write a tensor's type and shape as ``float32[500, 20]``."""
    kind = str(tensor.dtype).removeprefix("torch.")
    return f"{kind}[{', '.join(map(str, tensor.shape))}]"
