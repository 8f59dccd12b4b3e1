"""Project gradients so that a step does not raise another loss."""

from __future__ import annotations

from collections.abc import Sequence

import torch


def project(
    gradients: Sequence[torch.Tensor], references: Sequence[torch.Tensor]
) -> list[torch.Tensor]:
    """Return the gradient closest to the given one with no negative inner product with another.

    Parameters
    ----------
    gradients, references : sequence of torch.Tensor
        One tensor for each parameter; together they are one vector.

    References
    ----------
    A. Chaudhry et al., "Efficient lifelong learning with A-GEM", 2019, equation 11.

    Examples
    --------
    >>> project([torch.tensor([1.0, -1.0])], [torch.tensor([0.0, 2.0])])[0].tolist()
    [1.0, 0.0]
    """
    pairs = list(zip(gradients, references, strict=True))
    along = sum(float((g.double() * r.double()).sum()) for g, r in pairs)
    length = sum(float((r.double() ** 2).sum()) for r in references)
    if along >= 0 or length == 0:
        return list(gradients)
    factor = along / length
    return [g - factor * r for g, r in pairs]
