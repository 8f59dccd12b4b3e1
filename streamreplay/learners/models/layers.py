"""Layers of the reference models that torch lacks: heads, and one that moves channels first."""

from __future__ import annotations

import math
from typing import Literal, TypeAlias, final

import torch
from torch import nn
from torch.nn.functional import linear, normalize

HeadKind: TypeAlias = Literal["linear", "cosine", "weight_norm"]

_EPS = 1e-6  # shorter vectors are not normalised to length 1


def make_head(kind: HeadKind, in_features: int, n_classes: int) -> nn.Linear:
    """Make the last layer of a classifier.

    Parameters
    ----------
    kind : {"linear", "cosine", "weight_norm"}
    in_features, n_classes : int

    Raises
    ------
    ValueError
        There is no such kind.

    Examples
    --------
    >>> make_head("cosine", 20, 3)
    CosineLinear(in_features=20, out_features=3, bias=False)
    """
    check_head(kind)
    return _HEADS[kind](in_features, n_classes)


def check_head(kind: HeadKind) -> None:
    """Raise ValueError unless there is such a head."""
    if kind not in _HEADS:
        raise ValueError(f"head must be {', '.join(_HEADS)}, got {kind!r}")


@final
class CosineLinear(nn.Linear):
    """A head whose logits are ``scale * cos(input, weight)``.

    No class can win by the length of its weights, which replay makes largest for the latest
    classes.

    Parameters
    ----------
    in_features, out_features : int
    scale : float
        The factor of the cosines; above 0.
    learned : bool
        Whether the scale is trained, starting from that value.

    References
    ----------
    S. Hou, X. Pan, C. C. Loy, Z. Wang, D. Lin, "Learning a Unified Classifier Incrementally via
    Rebalancing", CVPR 2019, equation 2.

    Examples
    --------
    >>> head = CosineLinear(2, 1, scale=10)
    >>> logits = head(torch.tensor([[3.0, 4.0], [0.3, 0.4]]))
    >>> bool(torch.isclose(logits[0], logits[1]))
    True
    """

    def __init__(
        self, in_features: int, out_features: int, scale: float = 10.0, *, learned: bool = True
    ) -> None:
        if not scale > 0:
            raise ValueError(f"scale must be above 0, got {scale}")
        super().__init__(in_features, out_features, bias=False)
        self.scale = nn.Parameter(torch.tensor(float(scale)), requires_grad=learned)  # []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits: float32[n, out_features]."""
        return self.scale * linear(normalize(x, dim=-1, eps=_EPS), normalize(self.weight, eps=_EPS))

    def fresh(self, rows: int) -> CosineLinear:
        """Return a new layer of this kind with ``rows`` outputs."""
        return CosineLinear(self.in_features, rows)

    def slopes(self, x: torch.Tensor, width: int) -> torch.Tensor:
        """Return the gradient of each logit at its class's weights: float32[n, width, in_features].

        Classes that the layer does not have count as if their weights had length 1 and were
        orthogonal to the row. The scale belongs to all classes, and is not among the weights.
        """
        unit_x, unit_w = normalize(x, eps=_EPS)[:, None], normalize(self.weight, eps=_EPS)
        cosine = (unit_x * unit_w).sum(-1, keepdim=True)
        known = (unit_x - cosine * unit_w) / self.weight.norm(dim=-1, keepdim=True).clamp(_EPS)
        fresh = unit_x.expand(-1, width - self.out_features, -1)
        return self.scale * torch.cat([known, fresh], 1)


@final
class WeightNormLinear(nn.Linear):
    """A head that learns the direction and the length of each class's weights separately.

    Logits are ``gain * (input · weight / |weight|) + bias``. A new layer gives the outputs of a
    linear layer with the same weights. Torch's own weight normalisation cannot grow.

    Parameters
    ----------
    in_features, out_features : int

    References
    ----------
    T. Salimans, D. P. Kingma, "Weight Normalization: A Simple Reparameterization to Accelerate
    Training of Deep Neural Networks", NeurIPS 2016, equation 2.

    Examples
    --------
    >>> head = WeightNormLinear(2, 3)
    >>> x = torch.ones(1, 2)
    >>> bool(torch.allclose(head(x), nn.functional.linear(x, head.weight, head.bias)))
    True
    """

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__(in_features, out_features)
        self.gain = nn.Parameter(self.weight.detach().norm(dim=-1))  # [out_features]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits: float32[n, out_features]."""
        return linear(x, normalize(self.weight, eps=_EPS) * self.gain[:, None], self.bias)

    def fresh(self, rows: int) -> WeightNormLinear:
        """Return a new layer of this kind with ``rows`` outputs."""
        return WeightNormLinear(self.in_features, rows)

    def slopes(self, x: torch.Tensor, width: int) -> torch.Tensor:
        """Return the gradient of each logit at its class's weights, bias and gain.

        float32[n, width, in_features + 2]. Classes that the layer does not have count as if they
        had a gain of 1, and weights of length 1 that are orthogonal to the row.
        """
        unit_w, n, more = normalize(self.weight, eps=_EPS), len(x), width - self.out_features
        along = (x[:, None] * unit_w).sum(-1, keepdim=True)
        factor = self.gain[:, None] / self.weight.norm(dim=-1, keepdim=True).clamp(_EPS)
        known = torch.cat(
            [factor * (x[:, None] - along * unit_w), torch.ones_like(along), along], 2
        )
        one = torch.ones(n, 1, device=x.device)
        fresh = torch.cat([x, one, 0 * one], 1)[:, None].expand(-1, more, -1)
        return torch.cat([known, fresh], 1)


@final
class ChannelsFirst(nn.Module):
    """Turn images [n, h, w, c] into [n, c, h, w]."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return a view."""
        return x.permute(0, 3, 1, 2)


def group_norm(channels: int) -> nn.GroupNorm:
    """Return a group norm of at most 8 groups, each of at least 4 channels if there are enough.

    Examples
    --------
    >>> [group_norm(channels).num_groups for channels in (2, 16, 20, 64)]
    [1, 4, 5, 8]
    """
    most = min(8, max(1, channels // 4))
    return nn.GroupNorm(math.gcd(channels, most), channels)


_HEADS: dict[HeadKind, type[nn.Linear]] = {
    "linear": nn.Linear,
    "cosine": CosineLinear,
    "weight_norm": WeightNormLinear,
}
