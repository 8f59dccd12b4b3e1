"""A prepared test set, predicted between two batches of the stream."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import final

import numpy as np
from numpy.typing import NDArray

from streamreplay.batch import Batch
from streamreplay.columns import describe_array, same_kind
from streamreplay.errors import ConfigError
from streamreplay.evaluation.retention.held_out_rounds import HeldOutRounds
from streamreplay.labels import Name
from streamreplay.state import SETTING, Fields

UNSEEN = 1 << 32
"""First label of held-out classes that the stream has not shown; no model predicts these labels."""


@final
class Holdout(HeldOutRounds):
    """Insert the whole test set after each experience, and at the end of the stream.

    A stage `Batch` -> `Batch`, the first after the source. The stream passes through unchanged. If
    the next batch belongs to another experience, the test set goes in front of it, in chunks marked
    ``held_out``: by then the model has learned all of the old experience and nothing of the new
    one. `Prequential` makes a record of each such round.

    Parameters
    ----------
    test : Batch
        Labelled rows. Column ``experience`` has the experience that each row belongs to. If the
        batch has ``labels``, its classes are those of the same name in the stream; otherwise ``y``
        has the stream's own indices. The stream numbers labels as they arrive, and the test set
        must not add any: rows of a class not seen yet get a label of at least ``UNSEEN``, and so
        count as wrong.
    every : int, optional
        Another round after each ``every`` rows of the stream, at the next end of a batch.
    chunk : int
        Most rows predicted at once.

    Raises
    ------
    ValueError
        A parameter is out of range, or ``test`` has no rows, unlabelled ones, or more labels than
        names.
    ConfigError
        Later: rows of the stream have another shape or type than those of ``test``, other features,
        or no names for their classes.

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
    ) -> None:
        if every is not None and every < 1:
            raise ValueError(f"every must be at least 1, got {every}")
        super().__init__(chunk)
        _check_labels(test)
        self.every = every
        # Numbered from 0: the first chunk tells the evaluator that a round starts.
        self._test = replace(test.numbered(0), held_out="test")
        self._names: list[Name] | None = None
        if test.labels is not None and test.target is None:
            self._names = test.labels.names

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

    def _round_rows(self) -> Batch:
        return replace(self._test, y=self._y(), labels=self._labels)

    def _check(self, batch: Batch) -> None:
        if batch.experience.item(0) != self._experience:
            self._check_shape(batch)
            compare_features(self._test.feature_names, batch.feature_names)

    def _y(self) -> NDArray[np.int64]:
        """Return the test rows' labels as the stream numbers them."""
        if self._names is None:
            return self._test.y
        if self._labels is None:
            raise ConfigError(
                f"test rows have names for their classes, such as {self._names[0]!r}, "
                "and the stream has none"
            )
        found = np.array([self._labels.find(name) for name in self._names], np.int64)
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


def compare_features(test: Sequence[str] | None, stream: Sequence[str] | None) -> None:
    """Check that test rows have the stream's features, where both have names.

    The features of a file are those of its first row, so two files may differ in them.

    Raises
    ------
    ConfigError
        They have other features.
    """
    if test is None or stream is None or list(test) == list(stream):
        return
    if all(map(str.isdigit, test)) or all(map(str.isdigit, stream)):
        return  # columns without a header have positions for names
    pairs = enumerate(zip(test, stream, strict=False))
    at = next((i for i, (a, b) in pairs if a != b), min(len(test), len(stream)))
    raise ConfigError(
        f"test: its features are {_listed(test, at)}, those of the source {_listed(stream, at)}; "
        "say with source.features which ones to use, in which order"
    )


def _listed(names: Sequence[str], around: int) -> str:
    """Write some names, with the one at a position among them; a stream can have thousands."""
    first = max(0, min(around, len(names) - 5))
    shown = ", ".join(names[first : first + 5])
    return f"{'..., ' if first else ''}{shown}{', ...' if len(names) > first + 5 else ''}"


def _check_labels(test: Batch) -> None:
    if not len(test):
        raise ValueError(f"test must have at least one row, got {len(test)}")
    unlabelled = int(np.count_nonzero(test.y < 0))
    if unlabelled:
        raise ValueError(f"every row of test needs a label, {unlabelled} of {len(test)} have none")
    names = None if test.target is not None else test.labels
    if names is not None and test.y.max() >= len(names):
        raise ValueError(f"test has label {test.y.max()}, but there are {len(names)} names")
