"""Rows held out of training, put to the model between two batches of the stream."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import final

import numpy as np
from numpy.typing import NDArray

from streamreplay.batch import Batch
from streamreplay.columns import describe_array, same_kind
from streamreplay.errors import ConfigError
from streamreplay.evaluation.retention.held_out_rounds import HeldOutRounds
from streamreplay.state import SETTING, Fields

__all__ = ["UNSEEN", "Holdout"]

UNSEEN = 1 << 32
"""First label index of held-out classes that the stream has not shown: no model predicts these."""


@final
class Holdout(HeldOutRounds):
    """Ask for the whole test set after each experience, and at the end of the stream.

    A stage `Batch` -> `Batch`, the first after the source. Everything of the stream passes through
    untouched. When its next batch belongs to another experience, the test set goes ahead of that
    batch, in chunks marked ``held_out``: by then the model has learned all of the old experience
    and nothing of the new one. `Prequential` makes a record of each such round.

    Parameters
    ----------
    test : Batch
        Labelled rows; its ``experience`` column says which experience each belongs to, its ``y``
        is an index into ``names``. Targets in place of classes have no names here.
    every : int, optional
        Also after each so many rows of the stream, at the next end of a batch.
    chunk : int
        Most rows predicted at once.
    names : sequence of str or int, optional
        What the labels of ``test`` are called. Without it they are the stream's own indices.
    find : callable, optional
        Gives the stream's index of a name, -1 while it was not seen; needed with ``names``. A
        stream's labels are numbered as they arrive and the test set must not add to them: rows of
        a class not seen yet get a label from ``UNSEEN`` up, and so count as wrong.

    Raises
    ------
    ValueError
        A parameter is out of range, or ``test`` has no rows, unlabelled ones, or more labels than
        names.
    ConfigError
        Later: rows of the stream have another shape or type than those of ``test``.

    Examples
    --------
    >>> rows = [Batch.from_arrays([[0.0]], [0]), Batch.from_arrays([[1.0]], [1], experience=1)]
    >>> test = Batch.from_arrays([[0.5], [0.6]], [0, 1], experience=[0, 1])
    >>> [(b.held_out, b.y.tolist()) for b in Holdout(test)(rows)]
    [(None, [0]), ('test', [0, 1]), (None, [1]), ('test', [0, 1])]
    """

    STATE = Fields(rows=SETTING, every=SETTING) | HeldOutRounds.STATE

    def __init__(
        self,
        test: Batch,
        *,
        every: int | None = None,
        chunk: int = 512,
        names: Sequence[str | int] | None = None,
        find: Callable[[str | int], int] | None = None,
    ) -> None:
        if every is not None and every < 1:
            raise ValueError(f"every must be at least 1, got {every}")
        super().__init__(chunk)
        if (names is None) != (find is None):
            raise ValueError("names and find need each other")
        _check_labels(test, names)
        self.every = every
        # Numbered from 0: the first chunk tells the evaluator that a round starts.
        self._test = replace(test.numbered(0), held_out="test")
        self._names, self._find = names, find

    @property
    def rows(self) -> int:
        """Rows of the test set."""
        return len(self._test)

    def _due(self, experience: int) -> bool:
        if experience != self._experience:
            return True
        return self.every is not None and (
            self._position // self.every > self._tested // self.every
        )

    def _ask(self) -> Batch:
        return replace(self._test, y=self._labels())

    def _meet(self, batch: Batch) -> None:
        if batch.experience.item(0) != self._experience:
            self._check_shape(batch)

    def _labels(self) -> NDArray[np.int64]:
        if self._names is None or self._find is None:
            return self._test.y
        found = np.array([self._find(name) for name in self._names], np.int64)
        found = np.where(found < 0, UNSEEN + np.arange(len(found)), found)
        return found[self._test.y]

    def _check_shape(self, batch: Batch) -> None:
        stream, test = batch.x, self._test.x
        if not same_kind(stream, test):
            raise ConfigError(
                f"test rows are {describe_array(test)}, the stream has {describe_array(stream)}"
            )
        goal, tested = batch.target, self._test.target
        if not same_kind(goal, tested):
            ours = "classes" if tested is None else describe_array(tested)
            theirs = "classes" if goal is None else describe_array(goal)
            raise ConfigError(f"test rows have targets {ours}, the stream has {theirs}")


def _check_labels(test: Batch, names: Sequence[str | int] | None) -> None:
    if not len(test):
        raise ValueError("test must have at least one row")
    unlabelled = int(np.count_nonzero(test.y < 0))
    if unlabelled:
        raise ValueError(f"every row of test needs a label, {unlabelled} of {len(test)} have none")
    if names is not None and test.y.max() >= len(names):
        raise ValueError(f"test has label {test.y.max()}, but there are {len(names)} names")
