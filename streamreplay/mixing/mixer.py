"""The mixer, which draws the rows to rehearse."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import final

import numpy as np

from streamreplay.batch import GROUP_COLUMNS, GroupBy
from streamreplay.boost import Boost
from streamreplay.columns import Ints
from streamreplay.groups import draw_balanced
from streamreplay.memory import Memory
from streamreplay.randomness import Seed, make_rng
from streamreplay.records import Rehearsal
from streamreplay.state import GENERATOR, PART, SETTING, Fields, State


@final
class Mixer:
    """Draw rows of memory to learn from together with each incoming batch.

    Balanced draws take the same number of rows from every group of memory, to within one. Which
    groups give one more goes round, so that over time no group is favoured, and with more groups
    than rows each has its turn.

    Parameters
    ----------
    batch_size_mem : int
        Rows to draw for each training pass.
    by : {"class", "task", "experience"} or None
        Balance draws by this; None draws uniformly from memory.
    replacement : bool
        False draws different rows, fewer than ``batch_size_mem`` while memory holds fewer, and
        never more of a group than it has. True always draws ``batch_size_mem``, rows independently.
    steps : int
        Training passes over each incoming batch, each with a draw of its own.
    candidates : int, optional
        Draw this many rows for each pass, from which a learner chooses ``batch_size_mem``.
    seed : int or numpy.random.SeedSequence

    Raises
    ------
    ValueError
        ``batch_size_mem`` is negative, ``steps`` is below 1, ``candidates`` are fewer than
        ``batch_size_mem``, or ``by`` is not one of the choices.

    Examples
    --------
    >>> from streamreplay.batch import Batch
    >>> from streamreplay.buffers import ReservoirSamplingBuffer
    >>> stream = [Batch.from_arrays([[float(i)]], [i % 2], start=i) for i in range(50)]
    >>> rehearsals = Mixer(4, by="class")(ReservoirSamplingBuffer(20)(stream))
    >>> list(rehearsals)[-1].group.tolist()
    [[0, 0, 1, 1]]
    """

    STATE = Fields(
        batch_size_mem=SETTING,
        by=SETTING,
        replacement=SETTING,
        steps=SETTING,
        candidates=SETTING,
        _rng=GENERATOR,
        _turn=int,
        _boost=PART,
    )

    def __init__(
        self,
        batch_size_mem: int,
        by: GroupBy | None = None,
        *,
        replacement: bool = False,
        steps: int = 1,
        candidates: int | None = None,
        seed: Seed = 0,
    ) -> None:
        if batch_size_mem < 0:
            raise ValueError(f"batch_size_mem must be at least 0, got {batch_size_mem}")
        if steps < 1:
            raise ValueError(f"steps must be at least 1, got {steps}")
        if candidates is not None and candidates < batch_size_mem:
            raise ValueError(
                f"candidates must be at least batch_size_mem = {batch_size_mem}, got {candidates}"
            )
        if by is not None and by not in GROUP_COLUMNS:
            raise ValueError(f"by must be one of {', '.join(GROUP_COLUMNS)} or None, got {by!r}")
        self.batch_size_mem = batch_size_mem
        self.by = by
        self.replacement = replacement
        self.steps = steps
        self.candidates = candidates
        self._rng = make_rng(seed)
        self._turn = 0  # odd rows dealt so far: the next one is the turn of this group
        self._boost = Boost()

    def boost(self, factor: float, rows: int | None = None) -> None:
        """Multiply the number of rows drawn for a pass, from the next batch on.

        It is rounded to whole rows; without replacement it is never more than there are. Candidates
        are multiplied as well.

        Parameters
        ----------
        factor : float
        rows : int, optional
            The number of rows of the stream for which it holds, up to the end of the batch in which
            they are used up; a later call replaces what is left. None: for good, multiplied with
            earlier factors for good.

        Raises
        ------
        ValueError
            ``factor`` is not above 0 and finite, or ``rows`` is below 1.

        Examples
        --------
        >>> mixer = Mixer(10)
        >>> mixer.boost(2.0, rows=5000)
        >>> mixer.drawn
        20
        """
        self._boost.set(factor, rows)

    @property
    def drawn(self) -> int:
        """Rows drawn for each pass of the next batch: ``batch_size_mem``, unless it is boosted."""
        return self._times(self.batch_size_mem)

    def _times(self, rows: int) -> int:
        return round(rows * self._boost.factor)

    def __call__(self, stream: Iterable[Rehearsal]) -> Iterator[Rehearsal]:
        """Add to each rehearsal the rows of memory to learn from."""
        for rehearsal in stream:
            incoming = rehearsal.incoming
            if incoming.held_out or (incoming.withheld is not None and incoming.withheld.all()):
                if not incoming.held_out:
                    self._boost.passed(incoming.arrived)
                yield rehearsal  # there is nothing to learn
                continue
            memory, candidates = rehearsal.memory, None
            rows, group = self._draw(memory)
            if self.candidates is not None:  # the learner chooses, and counts what it chose
                candidates, k = rows, self.drawn
                rows, group = rows[:, :k], group[:, :k]
            elif rows.size:
                memory.replayed(rows)
            self._boost.passed(incoming.arrived)
            yield Rehearsal(incoming, memory, rows, group, candidates)

    def _draw(self, memory: Memory) -> tuple[Ints, Ints]:
        n, k = len(memory.stored), self._times(self.candidates or self.batch_size_mem)
        if not self.replacement:
            k = min(k, n)
        if not (n and k):
            none = np.empty((self.steps, 0), np.int64)
            return none, none
        rows = np.empty((self.steps, k), np.int64)
        group = np.full((self.steps, k), -1)
        index = None if self.by is None else memory.groups(self.by)
        for step in range(self.steps):
            if index is not None:
                rows[step], group[step], odd = draw_balanced(
                    self._rng, index, k, self._turn, replacement=self.replacement
                )
                self._turn += odd
            else:
                rows[step] = self._rng.choice(n, k, replace=self.replacement)
        return rows, group

    def state_dict(self) -> State:
        """Return the settings, the generator, whose turn it is and the boost."""
        return self.STATE.save(self)

    def load_state_dict(self, state: State) -> None:
        """Load a state saved from a mixer with the same settings."""
        self.STATE.load(self, state)
