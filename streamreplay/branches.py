"""Several learners on one stream, each as if it were alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NoReturn, final

from streamreplay.batch import Batch
from streamreplay.errors import StreamReplayError
from streamreplay.pipeline_checks import check_order, check_stages
from streamreplay.records import Rehearsal, Report
from streamreplay.stage import Chain, Meter, Stage
from streamreplay.state import State, expect, load_parts, save_parts, within

__all__ = ["Branches"]


@final
class Branches:
    """Pass every record of a stream through several chains of named stages, one after the other.

    A stage from whatever the chains take to `Report`: `Batch` where each has a buffer of its own,
    `Rehearsal` behind a buffer that all share. Each chain does what it would do alone, bit for bit,
    since no stage knows of another. (A buffer that is shared counts the replays of all.) The last
    stage of each must yield `Report`.

    Each incoming batch gives one report. Its `by_learner` has the predictions of each branch, its
    metrics the records of all in order of position, each with the branch's name as ``learner``.

    Parameters
    ----------
    branches : mapping of str to mapping of str to Stage
        The named stages of each branch, by the branch's name.

    Raises
    ------
    ValueError
        There is no branch, or one has no stages.
    TypeError
        A stage cannot be called.

    Notes
    -----
    If a stage raises, the other branches still process the record, so that iterating again
    continues all of them as each would have continued alone; the record's report is lost.
    The error names the branch: the message of one of ours begins with it, others get it as a note.

    Examples
    --------
    >>> from functools import partial
    >>> from torch.optim import SGD
    >>> from streamreplay import ArraySource, Pipeline, Prequential, TorchLearner, linear
    >>> x, y = [[float(i % 2)] for i in range(300)], [i % 2 for i in range(300)]
    >>> branches = {
    ...     f"lr {lr}": {
    ...         "learner": TorchLearner(linear(), partial(SGD, lr=lr)),
    ...         "evaluator": Prequential(report_every=300),
    ...     }
    ...     for lr in (0.0, 0.1)
    ... }
    >>> pipeline = Pipeline(ArraySource(x, y, batch_size=1), learners=Branches(branches))
    >>> records = [record for report in pipeline for record in report.metrics]
    >>> [(r["position"], r["learner"], r["accuracy"] > 0.9) for r in records[:2]]
    [(300, 'lr 0.0', False), (300, 'lr 0.1', True)]
    """

    def __init__(self, branches: Mapping[str, Mapping[str, Stage[Any, Any]]]) -> None:
        if not branches:
            raise ValueError(f"there must be at least one branch, got {branches!r}")
        for branch, stages in branches.items():
            if not stages:
                raise ValueError(f"{branch}: a branch needs at least one stage")
            named = {f"{branch}.{name}": stage for name, stage in stages.items()}
            check_stages(named)
            check_order(named, None)
        self.branches = {branch: dict(stages) for branch, stages in branches.items()}
        self._meter: Meter | None = None

    def __getitem__(self, name: str) -> dict[str, Any]:
        """Return the stages of a branch by its name."""
        return self.branches[name]

    def __call__(self, stream: Iterable[Batch | Rehearsal]) -> Iterator[Report]:
        """Yield a report for each incoming batch, and one more at the end of the stream."""
        chains = {branch: self._chain(branch) for branch in self.branches}
        for record in stream:
            reports = self._each(chains, lambda chain: chain.push(record))  # noqa: B023 - at once
            if reports:
                yield _join({name: [report] for name, report in reports.items()})
        yield _join(self._each(chains, lambda chain: list(chain(iter(())))))

    def measure(self, meter: Meter | None) -> None:
        """Measure each stage as BRANCH.STAGE from the next iteration on; None stops measuring."""
        self._meter = meter

    def state_dict(self) -> State:
        """Return the state of every stage, by branch and name."""
        states = {branch: save_parts(stages) for branch, stages in self.branches.items()}
        return {"branches": states}

    def load_state_dict(self, state: State) -> None:
        """Load a state of the same branches.

        Raises
        ------
        CheckpointError
            The state does not fit; the message names the first stage that does not.
        """
        states = state["branches"]
        expect("branches", list(states), list(self.branches))
        for branch, stages in self.branches.items():
            expect(f"{branch}.stages", list(states[branch]), list(stages))
            with within(branch):
                load_parts(stages, states[branch])

    def _chain(self, branch: str) -> Chain:
        named = {f"{branch}.{name}": stage for name, stage in self.branches[branch].items()}
        return Chain(named, self._meter)

    def _each(self, chains: Mapping[str, Chain], run: Callable[[Chain], Any]) -> dict[str, Any]:
        """Run every chain, and return the result of each that has one."""
        given: dict[str, Any] = {}
        errors: dict[str, Exception] = {}
        for branch, chain in chains.items():
            try:
                found = run(chain)
            except Exception as raised:  # noqa: BLE001 - raised below, when the others have run
                errors[branch] = raised
                continue
            if found is not None:
                given[branch] = found
        if errors:
            _blame(*next(iter(errors.items())))
        return given


def _join(reports: Mapping[str, list[Report]]) -> Report:
    """Join the reports of all branches."""
    scored = {
        branch: report.scored
        for branch, some in reports.items()
        for report in some
        if report.scored is not None
    }
    records = [
        {"learner": branch, **record}
        for branch, some in reports.items()
        for report in some
        for record in report.metrics
    ]
    records.sort(key=lambda record: record["position"])
    return Report(next(iter(scored.values()), None), tuple(records), scored)


def _blame(branch: str, error: Exception) -> NoReturn:
    if isinstance(error, StreamReplayError):
        raise type(error)(f"{branch}: {error}").with_traceback(
            error.__traceback__
        ) from error.__cause__
    error.add_note(f"(in the branch {branch!r})")
    raise error
