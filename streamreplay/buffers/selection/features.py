"""Features of rows, from any callable or from a layer of a torch module."""

from __future__ import annotations

import sys
from collections.abc import Callable
from difflib import get_close_matches
from typing import Any, TypeAlias, final

import numpy as np
from numpy.typing import NDArray

FeatureModel: TypeAlias = Callable[[Any], Any]
"""Given rows float32 | uint8 [n, *feature], returns their features, an array or tensor [n, ...];
or a ``torch.nn.Module``."""


@final
class FeatureExtractor:
    """Turn rows into flat feature vectors, a few at a time.

    Parameters
    ----------
    model : callable or torch.nn.Module
        A callable is given rows as they are stored, and decides itself what to do with uint8:
        `TorchLearner.features` scales as the learner does. A module is given float32 tensors on its
        own device, uint8 divided by 255 as a learner's scaler does it; float32 rows are not
        standardised. It runs in evaluation mode and without gradients, under a fixed random state
        of torch's; each submodule is then put back into the mode it was in.
    layer_name : str, optional
        The submodule whose output is taken; None takes the module's.
    batch_size : int
        Rows given to the model at a time.

    Raises
    ------
    ValueError
        ``batch_size`` is below 1, the module has no such layer, or a layer is named of something
        that is no module.
    TypeError
        ``model`` cannot be called.

    Examples
    --------
    >>> extract = FeatureExtractor(lambda x: x * 2)
    >>> extract(np.ones((2, 3, 3), np.float32)).shape
    (2, 9)
    """

    def __init__(
        self, model: FeatureModel, layer_name: str | None = None, batch_size: int = 256
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        if not callable(model):
            raise TypeError(f"model must be callable, got {type(model).__name__}")
        if layer_name is not None:
            if not _is_module(model):
                raise ValueError(
                    f"layer_name {layer_name!r} needs a torch module, got {type(model).__name__}"
                )
            _check_layer(model, layer_name)
        self.model = model
        self.layer_name = layer_name
        self.batch_size = batch_size

    def __call__(self, x: NDArray[Any]) -> NDArray[np.float32]:
        """Return features: float32[n, d]. The model is not called where there are no rows.

        Raises
        ------
        ValueError
            Features are not finite, or not one for each row.
        """
        if not len(x):
            return np.empty((0, 0), np.float32)
        starts = range(0, len(x), self.batch_size)
        parts = [self._run(x[start : start + self.batch_size]) for start in starts]
        return np.concatenate(parts)

    def _run(self, x: NDArray[Any]) -> NDArray[np.float32]:
        model: Any = self.model
        found: Any
        if _is_module(model):
            from streamreplay.buffers.selection.modules import run_module  # noqa: PLC0415 - torch

            found = run_module(model, self.layer_name, x)
        else:
            found = model(x)
        if hasattr(found, "detach"):
            found = found.detach().cpu().numpy()
        features = np.asarray(found)
        n = len(x)
        if features.ndim < 1 or len(features) != n:
            raise ValueError(f"features must be [{n}, ...] for {n} rows, got {features.shape}")
        flat = features.reshape(n, -1).astype(np.float32)  # copied: the model may use it again
        if not np.isfinite(flat).all():
            row = int(np.flatnonzero(~np.isfinite(flat).all(1))[0])
            raise ValueError(f"features must be finite, got {flat[row]} for row {row} of {n}")
        return flat


def _is_module(model: Any) -> bool:
    nn = sys.modules.get("torch.nn")  # nobody has a module who has not imported torch
    return nn is not None and isinstance(model, nn.Module)


def _check_layer(module: Any, layer_name: str) -> None:
    names = [name for name, _ in module.named_modules(remove_duplicate=False)]
    if layer_name in names:
        return
    near = get_close_matches(layer_name, names) or names[1:9]
    raise ValueError(f"layer_name {layer_name!r} is no layer of the model; near: {', '.join(near)}")
