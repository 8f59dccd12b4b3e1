"""Scale features to a range that a network learns from, and put them into tensors."""

from __future__ import annotations

import math
import zlib
from typing import Any, ClassVar, Literal, TypeAlias, final

import numpy as np
import torch
from numpy.typing import NDArray

from streamreplay.features.encoder import TableEncoder
from streamreplay.features.packed import is_table
from streamreplay.state import (
    SETTING,
    SHAPED,
    Fields,
    Kind,
    State,
    expect,
    load_state,
    save_state,
    within,
)

Normalize: TypeAlias = Literal["auto", "standard", "none"]

LIMIT = 10.0  # standard deviations; the first rows of a stream can be very far off


def _save_table(table: TableEncoder | None) -> State | None:
    return None if table is None else save_state(table)


def _load_table(name: str, live: TableEncoder | None, saved: Any) -> TableEncoder | None:
    if saved is None:
        return None
    table = live or TableEncoder()
    with within(name):
        load_state(table, saved)
    return table


_TABLE = Kind(_save_table, _load_table)


@final
class Scaler:
    """Write raw features into a float32 array, scaled.

    ``"standard"`` subtracts the running mean and divides by the running standard deviation of all
    rows seen so far, for each feature separately, and clips at 10 standard deviations. uint8
    features are divided by 255 in any mode. ``"auto"`` is standard for float32 and none for uint8.

    References
    ----------
    T. F. Chan, G. H. Golub, R. J. LeVeque, "Algorithms for computing the sample variance", 1983:
    the update for a batch of rows.
    """

    _STATE: ClassVar = Fields(
        normalize=SETTING, count=int, _mean=SHAPED, _squares=SHAPED, table=_TABLE
    )

    def __init__(self, normalize: Normalize) -> None:
        if normalize not in ("auto", "standard", "none"):
            raise ValueError(f"normalize must be auto, standard or none, got {normalize!r}")
        self.normalize = normalize
        self.count = 0
        self.table: TableEncoder | None = None
        """What encodes packed rows of a table; None for arrays."""
        self.fills_gaps = False
        """Whether a NaN in arrays becomes 0, the mean."""
        self._mean = np.empty(0)  # float64[*feature]
        self._squares = np.empty(0)  # float64[*feature], sum of squared distances from the mean
        self._shift = np.empty(0, np.float32)  # the mean, as used
        self._factor = np.empty(0, np.float32)  # 1 / standard deviation, as used

    @property
    def affine(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """What is subtracted from arrays, and what they are multiplied by: float32[*feature]."""
        return self._shift, self._factor

    def shape_of(self, x: NDArray[Any], expected: int = 0) -> tuple[int, ...]:
        """Return the shape of what a module is given for a row.

        ``expected`` is how many more inputs the categories of a table are likely to need soon.
        """
        if is_table(x):
            return (self._encoder().fit(x, expected),)
        return x.shape[1:] if self.table is None else (self.table.width,)

    def encoder_for(self, numbers: int) -> TableEncoder:
        """Return what encodes tables, whose first columns came as arrays of so many numbers."""
        if self.table is None:
            mean = self._mean if self.count else np.zeros(numbers)
            squares = self._squares if self.count else np.zeros(numbers)
            self.table = TableEncoder.of_numbers(
                self.count, mean, squares, scale=self.normalize != "none"
            )
        return self.table

    def _encoder(self) -> TableEncoder:
        return self.encoder_for(len(self._mean) if self.count else 0)

    def write(self, x: NDArray[Any], out: NDArray[np.float32]) -> None:
        """Scale rows [n, *feature] into ``out``."""
        if self.table is not None or x.dtype.names is not None:
            self._encoder().write(x, out)
            return
        if x.dtype == np.uint8:
            np.multiply(x, np.float32(1 / 255), out=out)
        else:
            out[...] = x
        if self.count:
            with np.errstate(over="ignore"):  # what is too far is cut
                out -= self._shift
                out *= self._factor
            np.clip(out, -LIMIT, LIMIT, out=out)
        if self.fills_gaps:
            out[np.isnan(out)] = 0

    def update(self, x: NDArray[Any]) -> None:
        """Update the running mean and variance by rows [n, *feature].

        Rows that are not finite are left out: they would spoil the scale of all later rows.
        """
        if self.table is not None or is_table(x):
            encoder = self._encoder()
            encoder.learn(x)
            self.count = encoder.count
            return
        if self.normalize == "none" or (self.normalize == "auto" and x.dtype == np.uint8):
            return
        rows = x.astype(np.float64)
        if x.dtype == np.uint8:
            rows /= 255
        with np.errstate(invalid="ignore"):
            mean = rows.mean(0)
        if not math.isfinite(np.vdot(mean, mean)):  # it is finite for finite float32 values
            rows = rows[np.isfinite(rows).reshape(len(rows), -1).all(1)]
            if not len(rows):
                return
            mean = rows.mean(0)
        n = len(rows)
        rows -= mean
        squares = np.einsum("n...,n...->...", rows, rows)
        if not self.count:
            self._mean, self._squares = mean, squares
        else:
            total = self.count + n
            delta = mean - self._mean
            self._squares += squares + delta * delta * (self.count * n / total)
            self._mean += delta * (n / total)
        self.count += n
        self._prepare()

    def _prepare(self) -> None:
        deviation = np.sqrt(self._squares / max(self.count, 1))
        # a feature that was constant so far keeps its own scale
        deviation[deviation < 1e-12] = 1.0
        self._shift = self._mean.astype(np.float32)
        self._factor = (1 / deviation).astype(np.float32)

    def state_dict(self) -> State:
        """Return count, mean and sum of squares."""
        return self._STATE.save(self)

    def load_state_dict(self, state: State) -> None:
        """Load a state of the same mode."""
        self._STATE.load(self, state)
        expect("squares", self._squares.shape, self._mean.shape)
        if self.count:
            self._prepare()


def with_more_rows(weights: torch.Tensor, rows: int, seed: torch.Tensor) -> torch.Tensor:
    """Return random weights, float32[n, d], with new rows like them: float32[rows, d].

    They are drawn from a generator that the values of ``seed`` and n determine, so that they are
    the same in every process.
    """
    drawn = len(weights)
    generator = torch.Generator().manual_seed(zlib.crc32(seed.numpy().tobytes()) + drawn)
    more = torch.randn(rows - drawn, weights.shape[1], generator=generator)
    return torch.cat([weights, more * weights.std()])


def stage(scaler: Scaler, x: NDArray[Any]) -> torch.Tensor:
    """Return scaled rows, in memory aligned the same way in every process: float32[n, *feature]."""
    staged = torch.empty(len(x), *scaler.shape_of(x))
    scaler.write(x, staged.numpy())
    return staged


class Staging:
    """A tensor that rows are scaled into, in memory aligned the same way in every process."""

    def __init__(self, scaler: Scaler) -> None:
        self.scaler = scaler
        self.x = torch.empty(0)  # float32[rows, *feature]
        self.y = torch.empty(0, dtype=torch.int64)  # [rows]
        self._x_array = self.x.numpy()  # the same memory
        self._y_array = self.y.numpy()

    def begin(self, x: NDArray[Any], y: NDArray[np.int64] | None = None, more: int = 0) -> None:
        """Scale rows into the first places, and make room for ``more`` rows after them.

        If the tensor was too short, what was staged is lost.
        """
        rows, shape = len(x) + more, self.scaler.shape_of(x)
        if len(self.x) < rows or self.x.shape[1:] != shape:
            self.x = torch.zeros(rows, *shape)
            self.y = torch.zeros(rows, dtype=torch.int64)
            self._x_array, self._y_array = self.x.numpy(), self.y.numpy()
        self.put(0, x, y)

    def put(self, start: int, x: NDArray[Any], y: NDArray[np.int64] | None = None) -> None:
        """Scale rows into the tensor from place ``start`` on."""
        end = start + len(x)
        self.scaler.write(x, self._x_array[start:end])
        if y is not None:
            self._y_array[start:end] = y
