"""Augmentations: change rows a little before they are learned from, each by a draw of its own.

An augmentation is a callable ``(x, y) -> x`` over staged, scaled rows. It returns a new tensor of
the same shape and does not change its input. It draws from torch's current global generators, which
a learner sets to its own. None of these augmentations changes a label y, so each can be combined
with every loss.

Images are rows float32[..., height, width]. Blanked pixels are 0, which is black for uint8 features
and the mean for standardised ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

import torch
from torch.distributions import Beta
from torch.nn.functional import pad

from streamreplay.errors import ConfigError

Augmentation: TypeAlias = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""Given rows float32[n, *feature] and labels int64[n], -1 where there is none, return rows of the
same shape in a new tensor. For rows with numbers or several labels, the second argument holds their
targets, followed by 0 or -1: float32[n, d + 1]."""


def compose(*augmentations: Augmentation) -> Augmentation:
    """Return one augmentation that applies the given ones, first to last.

    Raises
    ------
    ValueError
        None is given.

    Examples
    --------
    >>> x, y = torch.ones(4, 28, 28), torch.zeros(4, dtype=torch.int64)
    >>> compose(crop(2), flip())(x, y).shape
    torch.Size([4, 28, 28])
    """
    if not augmentations:
        raise ValueError(f"compose needs at least one augmentation, got {len(augmentations)}")

    def augment(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        for each in augmentations:
            x = each(x, y)
        return x

    return augment


def crop(padding: int, *, edge: bool = False) -> Augmentation:
    """Return an augmentation that shifts each image by up to ``padding`` pixels in each direction.

    This equals padding the image and cropping it at random. All shifts are equally likely.

    Parameters
    ----------
    padding : int
        At least 1, and less than the images' sides.
    edge : bool
        Fill with the nearest pixel instead of with 0.

    Raises
    ------
    ValueError
        ``padding`` is below 1, or no whole number.

    Examples
    --------
    >>> x = torch.arange(9.0).reshape(1, 3, 3)
    >>> with torch.random.fork_rng():
    ...     _ = torch.manual_seed(1)
    ...     crop(1)(x, torch.tensor([0]))
    tensor([[[1., 2., 0.],
             [4., 5., 0.],
             [7., 8., 0.]]])
    """
    _check_pixels("padding", padding)
    around = (padding, padding, padding, padding)
    places = 2 * padding + 1

    def augment(x: torch.Tensor, _y: torch.Tensor) -> torch.Tensor:
        _check_images("crop", x)
        if padding >= min(x.shape[-2:]):
            raise ConfigError(
                f"learner.augment: crop needs a padding below the images' sides, got {padding} for "
                f"{_shown(x)}"
            )
        n, height, width = len(x), x.shape[-2], x.shape[-1]
        channels = x.reshape(n, math.prod(x.shape[1:-2]), height, width)
        padded = pad(channels, around, mode="replicate" if edge else "constant").contiguous()
        image, channel, row, pixel = padded.stride()
        # windows[i, dy, dx] is image i at that shift: a view, from which one index takes its pixels
        windows = padded.as_strided(
            (n, places, places, *channels.shape[1:]), (image, row, pixel, channel, row, pixel)
        )
        shifts = torch.randint(0, places, (2, n), device=x.device)
        return windows[torch.arange(n, device=x.device), shifts[0], shifts[1]].reshape(x.shape)

    return augment


def flip(p: float = 0.5) -> Augmentation:
    """Return an augmentation that mirrors each image left to right with probability ``p``.

    Raises
    ------
    ValueError
        ``p`` is not between 0 and 1.
    """
    _check_share("p", p)

    def augment(x: torch.Tensor, _y: torch.Tensor) -> torch.Tensor:
        _check_images("flip", x)
        chosen = (torch.rand(len(x), device=x.device) < p).nonzero()[:, 0]
        return x.index_copy(0, chosen, x.index_select(0, chosen).flip(-1))

    return augment


def jitter(brightness: float = 0.0, contrast: float = 0.0) -> Augmentation:
    """Return an augmentation that changes each image's brightness and contrast.

    Pixels become b (m + c (x - m)), where m is the mean of the image, b is uniform in
    1 ± ``brightness`` and c is uniform in 1 ± ``contrast``. Values are not clipped at white.

    Raises
    ------
    ValueError
        A number is not between 0 and 1.
    """
    _check_share("brightness", brightness)
    _check_share("contrast", contrast)
    half = torch.tensor([[brightness], [contrast]])

    def augment(x: torch.Tensor, _y: torch.Tensor) -> torch.Tensor:
        _check_images("jitter", x)
        draws = torch.rand(2, len(x), device=x.device)
        b, c = (1 + half.to(x.device) * (2 * draws - 1)).reshape(2, -1, *[1] * (x.ndim - 1))
        mean = x.mean(tuple(range(1, x.ndim)), keepdim=True)
        return torch.addcmul(b * (1 - c) * mean, b * c, x)

    return augment


def cutout(size: int) -> Augmentation:
    """Return an augmentation that blanks a square of each image.

    Its centre can be any pixel; the part outside of the image is cut off.

    Parameters
    ----------
    size : int
        Side of the square in pixels.

    Raises
    ------
    ValueError
        ``size`` is below 1, or no whole number.

    References
    ----------
    T. DeVries, G. W. Taylor, "Improved regularization of convolutional neural networks with
    cutout", 2017, section 3.
    """
    _check_pixels("size", size)

    def augment(x: torch.Tensor, _y: torch.Tensor) -> torch.Tensor:
        _check_images("cutout", x)
        n, height, width = len(x), x.shape[-2], x.shape[-1]
        rows = _within(n, height, size, x.device)[:, :, None]
        columns = _within(n, width, size, x.device)[:, None, :]
        blank = (rows & columns).reshape(n, *[1] * (x.ndim - 3), height, width)
        return x.masked_fill(blank, 0.0)

    return augment


def noise(std: float) -> Augmentation:
    """Return an augmentation that adds normal noise to each feature.

    Parameters
    ----------
    std : float
        Standard deviation, in units of the scaled features.

    Raises
    ------
    ValueError
        ``std`` is negative.
    """
    if not 0 <= std < float("inf"):
        raise ValueError(f"std must be at least 0 and finite, got {std}")

    def augment(x: torch.Tensor, _y: torch.Tensor) -> torch.Tensor:
        return torch.add(x, torch.randn_like(x), alpha=std)

    return augment


def feature_dropout(p: float) -> Augmentation:
    """Return an augmentation that sets each feature of each row to 0 with probability ``p``.

    The other features do not change: this is the masking noise of denoising autoencoders, not
    dropout, which would scale them up.

    Raises
    ------
    ValueError
        ``p`` is not between 0 and 1.

    References
    ----------
    P. Vincent, H. Larochelle, Y. Bengio, P.-A. Manzagol, "Extracting and composing robust features
    with denoising autoencoders", ICML 2008, section 2.3.
    """
    _check_share("p", p)

    def augment(x: torch.Tensor, _y: torch.Tensor) -> torch.Tensor:
        return x.masked_fill(torch.rand_like(x) < p, 0.0)

    return augment


def mixup(alpha: float = 0.2) -> Augmentation:
    """Return an augmentation that mixes each row with a row of the same label.

    Rows become w x + (1 - w) x', where x' is any row of the batch with the label of x (it can be x
    itself), and w is the larger of v and 1 - v for v from Beta(``alpha``, ``alpha``). Both rows
    have the same label, so the label stays true and any loss can be used. w is at least a half, so
    a row stays closest to itself, and to what was stored with it. This is the same-class variant of
    mixup, without its mixed labels. A row with a unique label does not change; rows without a label
    are mixed with each other.

    Parameters
    ----------
    alpha : float
        Above 0. The larger it is, the more is mixed.

    Raises
    ------
    ValueError
        ``alpha`` is not above 0.

    References
    ----------
    H. Zhang, M. Cissé, Y. N. Dauphin, D. Lopez-Paz, "mixup: beyond empirical risk minimization",
    ICLR 2018; the ablation "mix inputs, same class".
    """
    if not 0 < alpha < float("inf"):
        raise ValueError(f"alpha must be above 0 and finite, got {alpha}")
    beta = Beta(torch.tensor(float(alpha)), torch.tensor(float(alpha)), validate_args=False)

    def augment(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        n = len(x)
        v = beta.sample((n,)).to(x.device)
        w = torch.maximum(v, 1 - v).reshape(n, *[1] * (x.ndim - 1))
        return torch.lerp(x[_partners(y.to(x.device))], x, w)

    return augment


def _partners(y: torch.Tensor) -> torch.Tensor:
    """Draw for each row a row with the same label: int64[n]."""
    _, label, count = torch.unique(
        y, return_inverse=True, return_counts=True, dim=0 if y.ndim > 1 else None
    )
    by_label = torch.argsort(label, stable=True)
    first = count.cumsum(0) - count
    # in float64: a product of float32 can round up to the count itself
    pick = (torch.rand(len(y), device=y.device, dtype=torch.float64) * count[label]).long()
    return by_label[first[label] + pick]


def _within(n: int, side: int, size: int, device: torch.device) -> torch.Tensor:
    """Return which places of a side a square around a random centre covers: bool[n, side]."""
    start = torch.randint(0, side, (n, 1), device=device) - size // 2
    place = torch.arange(side, device=device)
    return (place >= start) & (place < start + size)


def _check_images(name: str, x: torch.Tensor) -> None:
    if x.ndim < 3:
        raise ConfigError(
            f"learner.augment: {name} is for images, float32[n, ..., height, width], "
            f"got {_shown(x)}"
        )


def _check_pixels(name: str, value: int) -> None:
    if value < 1 or value != int(value):
        raise ValueError(f"{name} must be a whole number of at least 1, got {value}")


def _check_share(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise ValueError(f"{name} must be between 0 and 1, got {value}")


def _shown(x: torch.Tensor) -> str:
    return f"float32[{', '.join(map(str, x.shape))}]"
