"""Augmentations: what they may do to a row, by a slow loop over rows, and how often they do what.

Statistical tests have fixed seeds; each would fail a correct program for one in 10,000 of them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.stats import beta, chisquare, kstest  # type: ignore[import-untyped]

from streamreplay.errors import ConfigError
from streamreplay.learners.neural.augment import (
    Augmentation,
    compose,
    crop,
    cutout,
    feature_dropout,
    flip,
    jitter,
    mixup,
    noise,
)
from tests.contract.digest import plain

FALSE_ALARM = 1e-4
ALL: dict[str, Augmentation] = {
    "compose": compose(crop(1), flip(), noise(0.1)),
    "crop": crop(2),
    "crop(edge)": crop(2, edge=True),
    "cutout": cutout(3),
    "feature_dropout": feature_dropout(0.3),
    "flip": flip(),
    "jitter": jitter(0.4, 0.4),
    "mixup": mixup(1.0),
    "noise": noise(0.5),
}


@pytest.fixture(autouse=True)
def seeded() -> Iterator[None]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def images(n: int, *shape: int, seed: int = 3) -> torch.Tensor:
    return torch.rand(n, *shape, generator=torch.Generator().manual_seed(seed)) + 1


def labels(n: int) -> torch.Tensor:
    return torch.arange(n) % 3 - 1


# -- all of them ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("shape", [(7, 6), (3, 7, 6)])
@pytest.mark.parametrize("n", [0, 1, 9])
def test_returns_new_rows_of_the_same_shape(name: str, shape: tuple[int, ...], n: int) -> None:
    x, y = images(n, *shape), labels(n)
    was_x, was_y = plain(x), plain(y)
    out = ALL[name](x, y)
    assert (out.shape, out.dtype) == (x.shape, torch.float32)
    assert (plain(x), plain(y)) == (was_x, was_y)
    out.fill_(-1)
    assert plain(x) == was_x


@pytest.mark.parametrize("name", ALL)
def test_draws_from_torchs_generator_alone(name: str) -> None:
    x, y = images(20, 7, 6), labels(20)
    results = []
    for numpy_seed in (0, 1):
        torch.manual_seed(5)
        np.random.seed(numpy_seed)  # noqa: NPY002 - to see that nobody reads it
        results.append(plain(ALL[name](x, y)))
    assert results[0] == results[1] != plain(ALL[name](x, y))


@pytest.mark.parametrize("name", [name for name in ALL if name != "mixup"])
def test_each_row_has_a_draw_of_its_own(name: str) -> None:
    x = images(1, 7, 6).expand(60, 7, 6)
    assert len({plain(row) for row in ALL[name](x, labels(60))}) > 1


def test_rows_without_a_gap_between_them_are_not_needed() -> None:
    x, y = images(9, 7, 12), labels(9)
    for name, augment in ALL.items():
        torch.manual_seed(2)
        want = augment(x[:, :, ::2].contiguous(), y)
        torch.manual_seed(2)
        torch.testing.assert_close(augment(x[:, :, ::2], y), want, msg=name)


@pytest.mark.parametrize("name", ["compose", "crop", "cutout", "flip", "jitter"])
def test_what_is_for_images_says_so(name: str) -> None:
    with pytest.raises(ConfigError, match=r"is for images, .* got float32\[4, 54\]"):
        ALL[name](torch.ones(4, 54), labels(4))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: crop(0), "padding must be a whole number of at least 1, got 0"),
        (lambda: crop(1.5), "padding must be a whole number of at least 1, got 1.5"),  # type: ignore[arg-type]
        (lambda: cutout(0), "size must be a whole number of at least 1, got 0"),
        (lambda: flip(1.5), "p must be between 0 and 1, got 1.5"),
        (lambda: feature_dropout(-0.1), "p must be between 0 and 1, got -0.1"),
        (lambda: jitter(2), "brightness must be between 0 and 1, got 2"),
        (lambda: jitter(0, float("nan")), "contrast must be between 0 and 1, got nan"),
        (lambda: noise(-1), "std must be at least 0 and finite, got -1"),
        (lambda: mixup(0), "alpha must be above 0 and finite, got 0"),
        (compose, "compose needs at least one augmentation, got 0"),
    ],
)
def test_refuses(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        make()


def test_crop_refuses_images_that_are_too_small() -> None:
    with pytest.raises(
        ConfigError, match=r"below the images' sides, got 3 for float32\[2, 32, 3\]"
    ):
        crop(3)(images(2, 32, 3), labels(2))


# -- one by one -----------------------------------------------------------------------------------


def shifted(image: NDArray[np.float32], dy: int, dx: int, *, edge: bool) -> NDArray[np.float32]:
    """Read each pixel from where it was, one at a time."""
    height, width = image.shape[-2:]
    out = np.zeros_like(image)
    for i in range(height):
        for j in range(width):
            y, x = i + dy, j + dx
            if edge:
                y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)
            if 0 <= y < height and 0 <= x < width:
                out[..., i, j] = image[..., y, x]
    return out


@pytest.mark.parametrize("edge", [False, True])
@pytest.mark.parametrize("shape", [(5, 4), (2, 5, 4)])
def test_crop_shifts_by_each_offset_as_often(shape: tuple[int, ...], edge: bool) -> None:
    x = images(3, *shape).repeat(500, *[1] * len(shape))
    offsets = [(dy, dx) for dy in range(-2, 3) for dx in range(-2, 3)]
    which = [
        {plain(shifted(image.numpy(), *by, edge=edge)): by for by in offsets} for image in x[:3]
    ]
    assert [len(each) for each in which] == [25] * 3
    out = crop(2, edge=edge)(x, labels(len(x)))
    found = [which[i % 3][plain(row)] for i, row in enumerate(out)]  # of the row's own image
    counts = Counter(found)
    assert chisquare([counts[by] for by in offsets]).pvalue > FALSE_ALARM
    one_image = Counter(found[::3])
    assert chisquare([one_image[by] for by in offsets]).pvalue > FALSE_ALARM


@pytest.mark.parametrize("p", [0.0, 0.3, 1.0])
def test_flip_mirrors_left_to_right(p: float) -> None:
    x = images(1000, 2, 3, 4)
    out = flip(p)(x, labels(1000))
    mirrored = 0
    for before, after in zip(x.numpy(), out.numpy(), strict=True):
        hit = plain(after) == plain(before[:, :, ::-1])
        assert hit or plain(after) == plain(before)
        mirrored += hit
    # 4 standard deviations
    assert abs(mirrored - 1000 * p) <= 4 * np.sqrt(1000 * p * (1 - p))


def test_jitter_has_the_brightness_and_contrast_it_says() -> None:
    x = images(2000, 2, 3, 4)
    out = jitter(0.4, 0.2)(x, labels(2000)).double()
    x = x.double()
    b, c = [], []
    for before, after in zip(x, out, strict=True):
        b.append(float(after.mean() / before.mean()))
        c.append(float(after.std() / before.std()) / b[-1])
        want = b[-1] * (before.mean() + c[-1] * (before - before.mean()))
        torch.testing.assert_close(after, want, rtol=1e-5, atol=1e-5)
    assert kstest(b, "uniform", (0.6, 0.8)).pvalue > FALSE_ALARM
    assert kstest(c, "uniform", (0.8, 0.4)).pvalue > FALSE_ALARM
    assert abs(np.corrcoef(b, c)[0, 1]) < 4 / np.sqrt(2000)


def test_jitter_of_nothing_changes_nothing() -> None:
    x = images(5, 3, 4)
    torch.testing.assert_close(jitter()(x, labels(5)), x)


@pytest.mark.parametrize("size", [1, 2, 3, 20])
def test_cutout_blanks_a_square_anywhere(size: int) -> None:
    height, width = 5, 4
    squares: dict[object, list[tuple[int, int]]] = {}
    for cy in range(height):
        for cx in range(width):
            blank = np.zeros((height, width), bool)
            for i in range(cy - size // 2, cy - size // 2 + size):
                for j in range(cx - size // 2, cx - size // 2 + size):
                    if 0 <= i < height and 0 <= j < width:
                        blank[i, j] = True
            squares.setdefault(plain(blank), []).append((cy, cx))
    x = images(3000, 2, height, width)
    out = cutout(size)(x, labels(3000))
    found: Counter[object] = Counter()
    for before, after in zip(x, out, strict=True):
        blank = (after == 0)[0]
        assert torch.equal(after, torch.where(blank, 0.0, before))
        found[plain(blank)] += 1
    assert set(found) == set(squares)
    want = [3000 * len(centres) / (height * width) for centres in squares.values()]
    if len(squares) > 1:
        assert chisquare([found[each] for each in squares], want).pvalue > FALSE_ALARM


def test_noise_is_normal_and_independent() -> None:
    x = images(200, 50)
    z = (noise(0.3)(x, labels(200)) - x).numpy()
    assert abs(z.std() / 0.3 - 1) < 4 / np.sqrt(2 * z.size)  # 4 standard deviations
    assert kstest(z.ravel(), "norm", (0, 0.3)).pvalue > FALSE_ALARM
    assert kstest(z.sum(0) / np.sqrt(200), "norm", (0, 0.3)).pvalue > FALSE_ALARM
    assert kstest(z.sum(1) / np.sqrt(50), "norm", (0, 0.3)).pvalue > FALSE_ALARM


def test_feature_dropout_blanks_features_and_leaves_the_others() -> None:
    x = images(400, 50)
    out = feature_dropout(0.1)(x, labels(400))
    gone = out == 0
    assert torch.equal(out, torch.where(gone, 0.0, x))
    for axis, n in ((0, 400), (1, 50)):
        counts = gone.sum(axis).double()
        z = (counts - 0.1 * n) / np.sqrt(0.09 * n)
        assert abs(float(z.mean())) < 4 / np.sqrt(len(z))
        assert 0.5 < float(z.var()) < 1.5  # as of independent draws; about 4 standard deviations


@pytest.mark.parametrize("alpha", [0.2, 1.0, 3.0])
def test_mixup_mixes_rows_of_one_label(alpha: float) -> None:
    n = 40
    y = torch.tensor([0, 0, 0, 0, 1, 1, -1, 2] * 5)
    x = torch.eye(n)  # so that a row shows what it is made of
    weights = []
    for _ in range(300):
        out = mixup(alpha)(x, y)
        torch.testing.assert_close(out.sum(1), torch.ones(n))
        for i, row in enumerate(out):
            parts = row.nonzero()[:, 0].tolist()
            assert i in parts
            assert {int(y[j]) for j in parts} == {int(y[i])}
            assert len(parts) <= 2
            assert float(row[i]) >= 0.5
            if len(parts) == 2:
                weights.append(float(row[i]))
    # w = max(v, 1 - v), so P(w <= a) = P(1 - a <= v <= a)
    law = beta(alpha, alpha)
    kept = [w for w in weights if w < 1 - 1e-6]
    cut = law.cdf(1 - 1e-6) - law.cdf(1e-6)
    assert kstest(kept, lambda a: (law.cdf(a) - law.cdf(1 - np.asarray(a))) / cut).pvalue > (
        FALSE_ALARM
    )


def test_mixup_takes_each_row_of_the_label_as_often() -> None:
    y = torch.tensor([0, 1, 0, 1, 1, 2, 1, 1])
    partners: Counter[int] = Counter()
    for _ in range(3000):
        row = mixup(3.0)(torch.eye(8), y)[3]  # of such weights that the partner shows
        partners[next((j for j in row.nonzero()[:, 0].tolist() if j != 3), 3)] += 1
    assert sorted(partners) == [1, 3, 4, 6, 7]
    assert chisquare(list(partners.values())).pvalue > FALSE_ALARM


def test_mixup_leaves_a_row_alone_that_has_no_other_of_its_label() -> None:
    x = images(4, 3)
    out = mixup(1.0)(x, torch.tensor([0, 1, 1, 2]))
    torch.testing.assert_close(out[[0, 3]], x[[0, 3]])


def test_mixup_takes_several_labels_a_row_for_one() -> None:
    x = torch.eye(4)
    y = torch.tensor([[0, 1], [0, 1], [1, 1], [1, 1]])
    out = mixup(3.0)(x, y)
    assert torch.equal(out[:2, 2:], torch.zeros(2, 2))
    assert torch.equal(out[2:, :2], torch.zeros(2, 2))


def test_compose_applies_them_in_order() -> None:
    def add(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return x + y[:, None]

    def double(x: torch.Tensor, _y: torch.Tensor) -> torch.Tensor:
        return 2 * x

    x, y = torch.ones(2, 1), torch.tensor([1, 2])
    assert compose(add, double)(x, y).tolist() == [[4], [6]]
    assert compose(double, add)(x, y).tolist() == [[3], [4]]
