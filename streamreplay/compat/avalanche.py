"""Use our buffers as a storage policy of Avalanche (https://avalanche.continualai.org)."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, final

from streamreplay.batch import Batch
from streamreplay.buffers.buffer import ExemplarsBuffer
from streamreplay.compat.datasets import (
    RowForm,
    make_dataset,
    make_empty_dataset,
    read_rows,
    read_tasks,
)
from streamreplay.state import State

__all__ = ["StoragePolicy", "StoredGroup"]


@final
@dataclass(frozen=True, slots=True)
class StoredGroup:
    """The rows of one group; Avalanche's plugins expect a buffer for each group.

    Attributes
    ----------
    buffer : AvalancheDataset
    """

    buffer: Any

    @property
    def max_size(self) -> int:
        """The number of rows in the group."""
        return len(self.buffer)


@final
class StoragePolicy:
    """One of our buffers as the ``storage_policy`` of Avalanche's ``ReplayPlugin``.

    When an experience ends, its rows are copied into the buffer's own memory, so that nothing else
    of the experience stays alive. They are stored as one transform group returns them, as uint8 or
    float32; a transform given here is applied to them each time they are replayed.

    Parameters
    ----------
    exemplars : ExemplarsBuffer
        The buffer to fill.
    transform_group : str
        The transform group to read rows through. ``"eval"`` has no random augmentation.
    transform : callable, optional
        Applied to the features of a stored row before training, such as augmentation; only in the
        group ``"train"``.
    experience_of : callable, optional
        Returns the number of an Avalanche experience, for buffers that balance by experience. By
        default calls are counted. For ``split_online_stream``, use ``lambda e:
        e.origin_experience.current_experience``.

    Raises
    ------
    ImportError
        Avalanche is not installed.

    Examples
    --------
    ::

        policy = StoragePolicy(ClassBalancedBuffer(max_size=500, seed=0))
        replay = ReplayPlugin(mem_size=500, storage_policy=policy)
        strategy = Naive(model=model, optimizer=optimizer, plugins=[replay])
    """

    def __init__(
        self,
        exemplars: ExemplarsBuffer,
        *,
        transform_group: str = "eval",
        transform: Callable[[Any], Any] | None = None,
        experience_of: Callable[[Any], int] | None = None,
    ) -> None:
        _register()
        self.exemplars = exemplars
        self._transform_group = transform_group
        self._transform = transform
        self._experience_of = experience_of
        self._position = 0  # rows offered
        self._calls = 0
        self._form = RowForm()  # of the last dataset's rows
        self._dataset: Any = None  # derived, None when stale
        self._groups: dict[int, StoredGroup] | None = None  # derived

    @property
    def max_size(self) -> int:
        """Capacity in rows."""
        return self.exemplars.max_size

    @property
    def buffer(self) -> Any:
        """All stored rows as an AvalancheDataset of views, which hold until the next update.

        Rows have the form of those of the last experience, with or without a task label.
        """
        if self._dataset is None:
            held = self.exemplars
            self._dataset = self._make(held.buffer) if len(held) else make_empty_dataset()
        return self._dataset

    @property
    def buffer_groups(self) -> dict[int, StoredGroup]:
        """Stored rows by group id, copied."""
        if self._groups is None:
            groups = self.exemplars.buffer_groups
            self._groups = {id_: StoredGroup(self._make(rows)) for id_, rows in groups.items()}
        return self._groups

    @property
    def buffer_datasets(self) -> list[Any]:
        """Stored rows of each group as an AvalancheDataset, copied."""
        return [group.buffer for group in self.buffer_groups.values()]

    def update(self, strategy: Any, **_: Any) -> None:
        """Offer the rows of the experience that a strategy has trained on.

        Avalanche has deprecated this name in favour of `post_adapt`, but still calls it.
        """
        self.post_adapt(strategy, strategy.experience)

    def post_adapt(self, agent: Any, exp: Any) -> None:  # noqa: ARG002 - Avalanche's signature
        """Offer the rows of an experience.

        Raises
        ------
        TypeError, ValueError
            Rows cannot be stored, or have another shape or type than those stored.
        """
        if self._experience_of is None:
            self._offer(exp.dataset, self._calls)
        else:
            self._offer(exp.dataset, int(self._experience_of(exp)))

    def update_from_dataset(self, new_data: Any, strategy: Any = None) -> None:  # noqa: ARG002
        """Offer the rows of an AvalancheDataset; counts as an experience."""
        self._offer(new_data, self._calls)

    def resize(self, strategy: Any, new_size: int) -> None:  # noqa: ARG002
        """Change the capacity; see the buffer's own ``resize``."""
        self._outdate()
        self.exemplars.resize(new_size)

    def state_dict(self) -> State:
        """Return the buffer's state and the counters."""
        return {
            "exemplars": self.exemplars.state_dict(),
            "position": self._position,
            "calls": self._calls,
            "form": asdict(self._form),
        }

    def load_state_dict(self, state: State) -> None:
        """Load a state; raise `CheckpointError` if it does not fit the buffer."""
        self._outdate()
        self.exemplars.load_state_dict(state["exemplars"])
        self._position, self._calls = int(state["position"]), int(state["calls"])
        self._form = RowForm(**state["form"])

    def _offer(self, dataset: Any, experience: int) -> None:
        self._outdate()
        self._calls += 1
        if not len(dataset):
            return
        tasks = read_tasks(dataset)
        self._form = RowForm.of(dataset)
        done = 0
        for x, y in read_rows(dataset, self._transform_group):
            n = len(y)
            task = 0 if tasks is None else tasks[done : done + n]
            start = self._position
            self.exemplars.update(
                Batch.from_arrays(x, y, start=start, task=task, experience=experience)
            )
            self._position += n
            done += n

    def _outdate(self) -> None:
        self._dataset = self._groups = None

    def _make(self, batch: Batch) -> Any:
        return make_dataset(batch, self._transform, self._form)


def _register() -> None:
    """Register `StoragePolicy` as one of Avalanche's buffers, for ``isinstance``."""
    try:
        policies = importlib.import_module("avalanche.training.storage_policy")
    except ModuleNotFoundError as error:
        raise ImportError(
            "streamreplay.compat.avalanche needs Avalanche: pip install 'streamreplay[avalanche]' "
            f"({error})"
        ) from error
    policies.ExemplarsBuffer.register(StoragePolicy)
