"""The weight of each row in a step's loss: the stream's, times that of its class."""

from __future__ import annotations

from typing import final

import numpy as np
import torch
from numpy.typing import NDArray

from streamreplay.labels import Labels, Name
from streamreplay.learners.neural.training import ClassWeight
from streamreplay.records import Rehearsal


@final
class RowWeights:
    """Compute the weights of incoming rows and rows of memory.

    Parameters
    ----------
    class_weight : mapping of str or int to float, or callable, or None
        See `streamreplay.learners.neural.training.Training`.
    """

    def __init__(self, class_weight: ClassWeight | None) -> None:
        self._class_weight = class_weight
        self._of_class = torch.ones(0)  # float32[classes met]

    def __call__(
        self, rehearsal: Rehearsal, rows: NDArray[np.int64], y: torch.Tensor
    ) -> torch.Tensor | None:
        """Return the weight of each row, float32[n + k]; None if all count the same.

        Parameters
        ----------
        rehearsal : Rehearsal
        rows : int64[k]
            Rows of its memory.
        y : int64[n + k]
        """
        given = _given_weights(rehearsal, rows, y.device)
        if self._class_weight is None:
            return given
        of_class = self._of_classes(self._class_weight, y, rehearsal.incoming.labels)
        return of_class if given is None else given * of_class

    def _of_classes(
        self, class_weight: ClassWeight, y: torch.Tensor, labels: Labels | None
    ) -> torch.Tensor:
        done = len(self._of_class)
        top = int(y.max()) + 1  # a module may have outputs for classes that nobody has named
        if done < top:
            names = [label if labels is None else labels.name(label) for label in range(done, top)]
            more = torch.tensor([_weight_of(class_weight, name) for name in names])
            self._of_class = torch.cat([self._of_class, more])
        return self._of_class.to(y.device)[y.clamp(min=0)]


def _weight_of(class_weight: ClassWeight, name: Name) -> float:
    """Return the weight of a class; a mapping may also have its name as text, as a job has it."""
    if callable(class_weight):
        return float(class_weight(name))
    return float(class_weight.get(name, class_weight.get(str(name), 1.0)))


def _given_weights(
    rehearsal: Rehearsal, rows: NDArray[np.int64], device: torch.device
) -> torch.Tensor | None:
    """Return the weights that the stream gives, 1 for rows without; None if it gives none."""
    incoming, stored = rehearsal.incoming.weight, rehearsal.memory.stored.weight
    if incoming is None and (stored is None or not len(rows)):
        return None
    given = [incoming]
    if len(rows):
        given.append(None if stored is None else stored[rows])
    sizes = (len(rehearsal.incoming), len(rows))
    parts = [
        np.ones(size, np.float32) if part is None else part
        for part, size in zip(given, sizes, strict=False)
    ]
    return torch.tensor(np.concatenate(parts), device=device)
