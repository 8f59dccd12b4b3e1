"""`TableEncoder`: packed rows of a table to the numbers that a module is given."""

from __future__ import annotations

from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from streamreplay.features.moments import Moments
from streamreplay.features.packed import as_table
from streamreplay.features.values import NO_TIME
from streamreplay.state import GROWN, PART, Fields

__all__ = ["TableEncoder"]

_OWN = 256  # categories of a column with an input of their own
_SHARED = 64  # inputs that later categories of a column share, by their code
_STEP = 64  # a module grows by so many inputs up to 512; then it doubles
_DAY, _YEAR = 86_400e6, 365.2425 * 86_400e6  # microseconds
_CYCLES = (_DAY, 7 * _DAY, _YEAR)
_TURN = 2 * np.pi
_MONDAY = 4 * _DAY  # the first one since 1970
_PARTS = 7  # inputs of a time: sine and cosine of each cycle, and the time that has passed
_NONE = -1


@final
class TableEncoder:
    """Encode packed rows of a `Schema` as float32 inputs, and grow with the columns.

    Numbers are scaled by the running mean and deviation of the values that are there, and are 0,
    the mean, where missing. A category has an input of its own that is 1; the 257th and later
    categories of a column share 64 inputs. Times are the sine and cosine of the time of day, of the
    week and of the year, and the time since the first row, scaled. Text is its hashed n-grams,
    scaled to length 1. Each column in which a value was missing has an input that is 1 where it is.

    Inputs are given out in the order in which rows are learned: a category, or a gap, that was
    never learned encodes as zeros, and changes no prediction.

    Parameters
    ----------
    scale : bool
        False leaves numbers as they are; those missing are 0.

    Attributes
    ----------
    count : int
        Rows learned.
    used : int
        Inputs given out.
    width : int
        Inputs of the module: those given out, and some for what comes.
    fixed : bool
        The module cannot grow, see `fix`.

    Examples
    --------
    >>> from streamreplay.features.schema import Schema
    >>> schema = Schema()
    >>> columns = {"size": ["1", "3"], "colour": ["red", "blue"]}
    >>> schema.begin(columns)
    >>> x = schema.pack(schema.read(columns, 2))
    >>> encoder = TableEncoder()
    >>> encoder.learn(x)
    True
    >>> encoder.used, encoder.width
    (3, 64)
    >>> inputs = np.empty((2, encoder.width), np.float32)
    >>> encoder.write(x, inputs)
    >>> inputs[:, :3].tolist()
    [[-1.0, 1.0, 0.0], [1.0, 0.0, 1.0]]
    """

    STATE: ClassVar = Fields(
        count=int,
        used=int,
        width=int,
        fixed=bool,
        _spare=int,
        _numbers=PART,
        _passed=PART,
        _first=GROWN,
        _number_at=GROWN,
        _number_gap=GROWN,
        _time_at=GROWN,
        _time_gap=GROWN,
        _text_at=GROWN,
        _category_at=GROWN,
        _category_gap=GROWN,
        _own=GROWN,
        _shared=GROWN,
    )

    def __init__(self, *, scale: bool = True) -> None:
        self._scales = scale
        self.count = 0
        self.used = 0
        self.width = 0
        self.fixed = False
        self._spare = 0  # with a fixed width, the first of the inputs that are shared
        self._numbers = Moments()
        self._passed = Moments()  # of the time since the first row
        self._first = np.empty(0, np.int64)  # [times], of the first row; `NO_TIME` before
        # the input of each column; `_NONE` where it has none yet
        self._number_at = np.empty(0, np.int64)
        self._number_gap = np.empty(0, np.int64)
        self._time_at = np.empty(0, np.int64)  # the first of its inputs
        self._time_gap = np.empty(0, np.int64)
        self._text_at = np.empty(0, np.int64)  # the first of its inputs
        self._category_at = np.full((0, 1), _NONE, np.int64)  # [categories, codes]
        self._category_gap = np.empty(0, np.int64)
        self._own = np.empty(0, np.int64)  # [categories], codes learned
        self._shared = np.empty(0, np.int64)  # [categories], the first input of those shared

    @classmethod
    def of_numbers(
        cls,
        count: int,
        mean: NDArray[np.float64],
        squares: NDArray[np.float64],
        *,
        scale: bool,
    ) -> TableEncoder:
        """Go on from the scale of arrays of numbers, which are the first columns of a table.

        Parameters
        ----------
        count : int
            Rows so far.
        mean, squares : float64[d]
            Of each number, and the sum of its squared distances from it.
        scale : bool
        """
        made = cls(scale=scale)
        made.count = count
        made._numbers.begin(count, mean, squares)
        made._number_at = made._extended(made._number_at, len(mean), 1)
        made._number_gap = _padded(made._number_gap, len(mean))
        made._widen(exact=True)
        return made

    def fix(self) -> None:
        """Keep the width from now on, for a module that cannot grow.

        Categories, gaps and columns that come when all inputs but the last 64 are given out share
        those, by a hash: what falls on one input is added. If there are none, it has no input.
        """
        self.fixed = True
        self._spare = max(self.used, self.width - _SHARED)

    @property
    def shared(self) -> int:
        """Inputs that what comes later shares; 0 unless the width is fixed."""
        return self.width - self._spare if self.fixed else 0

    def fit(self, x: NDArray[np.void], expected: int = 0) -> int:
        """Give inputs to the columns of some rows that have none yet, and return the width.

        ``expected`` is how many more inputs categories are likely to need soon.
        """
        numbers, times = x.dtype["number"].shape[0], x.dtype["time"].shape[0]
        texts, places = x.dtype["text"].shape
        categories = x.dtype["category"].shape[0]
        self._number_at = self._extended(self._number_at, numbers, 1)
        self._number_gap = _padded(self._number_gap, numbers)
        self._time_at = self._extended(self._time_at, times, _PARTS)
        self._time_gap = _padded(self._time_gap, times)
        self._first = _padded(self._first, times, NO_TIME)
        self._text_at = self._extended(self._text_at, texts, places)
        self._category_gap = _padded(self._category_gap, categories)
        self._own = _padded(self._own, categories, 0)
        self._shared = _padded(self._shared, categories)
        if categories > len(self._category_at):
            wider = np.full((categories, self._category_at.shape[1]), _NONE, np.int64)
            wider[: len(self._category_at)] = self._category_at
            self._category_at = wider
        return self._widen(expected, exact=not (categories or texts))

    def learn(self, x: NDArray[Any], *, scale: bool = True) -> bool:
        """Learn the scale of some rows, and give inputs to categories and gaps that are new.

        Return whether there were any.

        Parameters
        ----------
        x : packed rows [n]
        scale : bool
            False leaves the means and deviations as they are.
        """
        x = as_table(x)
        used = self.used
        self.fit(x)
        times = x["time"]
        new = self._first == NO_TIME
        for place in np.flatnonzero(new[: times.shape[1]]).tolist():
            there = times[:, place][times[:, place] != NO_TIME]
            self._first[place] = there[0] if len(there) else NO_TIME
        if scale:
            self._numbers.update(x["number"].astype(np.float64))
            self._passed.update(self._elapsed(times))
            self.count += len(x)
        self._open_gaps(self._number_gap, np.isnan(x["number"]))
        self._open_gaps(self._time_gap, times == NO_TIME)
        if len(self._own):
            self._open_gaps(self._category_gap, x["category"] < 0)
            self._admit(x["category"])
        self._widen()
        return self.used > used

    def write(self, x: NDArray[Any], out: NDArray[np.float32]) -> None:
        """Encode rows [n] into ``out``, float32[n, width]."""
        x = as_table(x)
        out[...] = 0
        number, times, codes = x["number"], x["time"], x["category"]
        k = number.shape[1]
        scaled = self._numbers.scaled(number.astype(np.float64)) if self._scales else number
        gaps = np.isnan(scaled)
        self._add(out, self._number_at[:k], np.where(gaps, 0, scaled))
        self._add(out, self._number_gap[:k], gaps)
        if times.shape[1]:
            self._write_times(times, out)
            self._add(out, self._time_gap[: times.shape[1]], times == NO_TIME)
        for place in range(x.dtype["text"].shape[0]):
            if self._text_at[place] >= 0:
                self._write_text(x["text"][:, place], int(self._text_at[place]), out)
        if codes.shape[1]:
            at = self._inputs_of(codes)
            row, column = np.nonzero(at >= 0)
            if self.fixed:
                np.add.at(out, (row, at[row, column]), 1)
            else:
                out[row, at[row, column]] = 1
            self._add(out, self._category_gap[: codes.shape[1]], codes < 0)

    def _add(self, out: NDArray[np.float32], inputs: NDArray[np.int64], values: Any) -> None:
        """Write columns of values, [n, columns], to their inputs; a column may have none."""
        there = np.flatnonzero(inputs >= 0)
        if self.fixed:
            np.add.at(out.T, inputs[there], values[:, there].T)
        elif len(there) == len(inputs):
            out[:, inputs] = values
        elif len(there):
            out[:, inputs[there]] = values[:, there]

    def _places(self, first: int, n: int) -> NDArray[np.int64]:
        """Return the n inputs of a column from its first one on."""
        at = np.arange(first, first + n)
        if self.fixed and first >= self._spare:
            at = self._spare + (at - self._spare) % self.shared
        return at

    def _extended(self, inputs: NDArray[np.int64], columns: int, each: int) -> NDArray[np.int64]:
        """Give ``each`` inputs to the columns that are beyond the known ones."""
        for _ in range(columns - len(inputs)):
            full = self.fixed and self.used + each > self._spare
            inputs = np.append(inputs, self._hashed() if full else self.used)
            self.used += each
        return inputs

    def _hashed(self) -> int:
        """Return an input that is shared; `_NONE` if there is none."""
        return self._spare + self.used % self.shared if self.shared else _NONE

    def _next(self) -> int:
        """Give out an input for a category or a gap."""
        full = self.fixed and self.used >= self._spare
        found = self._hashed() if full else self.used
        self.used += 1
        return found

    def _widen(self, expected: int = 0, *, exact: bool = False) -> int:
        if not self.fixed and (self.used > self.width or not self.width):
            first = exact and self.used and not self.width
            self.width = self.used if first else _capacity(max(1, self.used + expected))
        return self.width

    def _open_gaps(self, inputs: NDArray[np.int64], missing: NDArray[np.bool_]) -> None:
        """Give an input to each column that has a gap for the first time."""
        for place in np.flatnonzero(missing.any(0)).tolist():
            if inputs[place] < 0:
                inputs[place] = self._next()

    def _inputs_of(self, codes: NDArray[np.int32]) -> NDArray[np.int64]:
        """Return the input of each category, `_NONE` for those missing or never learned."""
        most = self._category_at.shape[1]
        known = (codes >= 0) & (codes < most)
        columns = np.arange(codes.shape[1])
        found: NDArray[np.int64] = self._category_at[columns, np.where(known, codes, 0)]
        found[~known] = _NONE
        return found

    def _admit(self, codes: NDArray[np.int32]) -> None:
        """Give an input to each category that was never learned before."""
        new = (self._inputs_of(codes) < 0) & (codes >= 0)
        if not new.any():
            return
        top, most = int(codes.max()), self._category_at.shape[1]
        if top >= most:
            wider = np.full((len(self._category_at), 2 * top + 1), _NONE, np.int64)
            wider[:, :most] = self._category_at
            self._category_at = wider
        for row, column in zip(*np.nonzero(new), strict=True):
            code = codes[row, column]
            if self._category_at[column, code] < 0:
                self._category_at[column, code] = self._next_input(int(column), int(code))

    def _next_input(self, column: int, code: int) -> int:
        self._own[column] += 1
        if self._own[column] <= _OWN or self.fixed:
            return self._next()
        if self._shared[column] < 0:
            self._shared[column] = self.used
            self.used += _SHARED
        return int(self._shared[column]) + code % _SHARED

    def _elapsed(self, times: NDArray[np.int64]) -> NDArray[np.float64]:
        passed = (times - self._first[: times.shape[1]]).astype(np.float64)
        passed[times == NO_TIME] = np.nan
        return passed

    def _write_times(self, times: NDArray[np.int64], out: NDArray[np.float32]) -> None:
        missing = times == NO_TIME
        passed = self._passed.scaled(self._elapsed(times))
        for place, first in enumerate(self._time_at[: times.shape[1]].tolist()):
            if first < 0:
                continue
            there = ~missing[:, place]
            moment = times[there, place].astype(np.float64)
            values = np.zeros((len(out), _PARTS), np.float32)
            parts = np.empty((len(moment), _PARTS))
            for i, cycle in enumerate(_CYCLES):
                angle = _TURN * (((moment - _MONDAY) % cycle) / cycle)
                parts[:, 2 * i], parts[:, 2 * i + 1] = np.sin(angle), np.cos(angle)
            parts[:, -1] = passed[there, place]
            values[there] = parts
            self._add(out, self._places(first, _PARTS), values)

    def _write_text(self, counts: NDArray[np.int8], first: int, out: NDArray[np.float32]) -> None:
        rows = counts.astype(np.float32)
        length = np.sqrt(np.einsum("nw,nw->n", rows, rows))
        self._add(out, self._places(first, rows.shape[1]), rows / np.maximum(length, 1)[:, None])


def _capacity(used: int) -> int:
    """Return the width for so many inputs: a multiple of 64 up to 512, then doublings.

    Examples
    --------
    >>> _capacity(3), _capacity(65), _capacity(513)
    (64, 128, 1024)
    """
    steps = -(-used // _STEP)
    return _STEP * (steps if steps <= 8 else 1 << (steps - 1).bit_length())


def _padded(values: NDArray[np.int64], size: int, fill: int = _NONE) -> NDArray[np.int64]:
    return np.append(values, np.full(max(0, size - len(values)), fill, np.int64))
