"""The base of all loaders: it iterates a plan over data, with or without workers; its state."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from streamreplay.columns import Ints
from streamreplay.errors import CheckpointError
from streamreplay.loaders.data import LoaderData, common_collate
from streamreplay.loaders.gather import ColumnView, Request, SampleView, collate_mixed, identity
from streamreplay.loaders.plans import Block, Plan
from streamreplay.state import State, expect

_OURS = {
    "batch_sampler": "the loader decides which rows make a batch",
    "dataset": "the loader makes one of the data it is given",
    "generator": "give seed=, from which all random numbers are derived",
    "sampler": "the loader decides which rows make a batch; give a torch.utils.data.Subset",
}


@dataclass(frozen=True, slots=True, eq=False)
class Provenance:
    """The origin of the rows of a batch.

    Attributes
    ----------
    is_memory : bool[n]
        True for rows of ``memory``, False for all others.
    group : int64[n]
        The number of the row's dataset where datasets are balanced, its task where tasks are, and
        -1 where nothing is.
    offset : int64[n]
        The row's place in the dataset that was given.
    """

    is_memory: NDArray[np.bool_]
    group: Ints
    offset: Ints

    def __len__(self) -> int:
        return len(self.group)


class PlannedDataLoader:
    """Batches that a plan lists, over sources; the base of all loaders.

    Parameters
    ----------
    sources : sequence of Source
        All of them with rows.
    plan : Plan
        Its groups refer to the sources by number.
    provenance : bool
    distributed_sampling : bool
    options : mapping
        For `torch.utils.data.DataLoader`; not changed.

    Attributes
    ----------
    SETTINGS : tuple of str
        Attributes that must be as in a saved state, in addition to the sizes of the groups; a
        loader sets them before it calls this constructor.

    Raises
    ------
    TypeError, ValueError
        An option that the loader decides itself, or that torch refuses.
    """

    SETTINGS: ClassVar[tuple[str, ...]]

    def __init__(
        self,
        sources: Sequence[LoaderData],
        plan: Plan,
        *,
        provenance: bool,
        distributed_sampling: bool,
        options: Mapping[str, Any],
    ) -> None:
        _check(options)
        self.provenance = provenance
        self.distributed_sampling = distributed_sampling
        self._plan = plan
        self._settings = {
            "loader": type(self).__name__,
            **{name: _plain(getattr(self, name)) for name in self.SETTINGS},
            "shuffle": plan.shuffle,
            "sizes": [group.size for group in plan.groups],
        }
        self._position = _Position(0, 0)
        self._source_of = np.array([group.source for group in plan.groups], np.int64)
        self._label_of = np.array([group.label for group in plan.groups], np.int64)
        self._memory_of = np.array([group.is_memory for group in plan.groups], np.bool_)
        view, collate = _view(sources, options.get("collate_fn"))
        self._requests = _Requests()
        self._generator = torch.Generator()  # seeds the workers, not the global one
        # built now, so that torch reports a mistake where it was made
        self._loader: DataLoader[Any] = DataLoader(
            view,  # type: ignore[arg-type]  # a dataset by protocol: it has __getitems__
            batch_sampler=self._requests,
            generator=self._generator,
            **{**options, "collate_fn": collate},
        )
        # torch's loader then has nothing left to do, which takes it longer
        plain = self._loader.num_workers == 0 and not self._loader.pin_memory
        self._columns = view if isinstance(view, ColumnView) and plain else None

    @property
    def num_workers(self) -> int:
        """Number of worker processes; 0 loads in this process."""
        return self._loader.num_workers

    @property
    def pin_memory(self) -> bool:
        """True if batches are copied into pinned memory."""
        return self._loader.pin_memory

    def __len__(self) -> int:
        """Return the batches of an epoch, on this rank."""
        _, world = self._share()
        return (len(self._plan) + world - 1) // world

    def __iter__(self) -> Iterator[Any]:
        """Begin the next epoch; after `load_state_dict`, continue where the state was saved."""
        last = self._position
        self._position = at = _Position(last.epoch + last.begun, 0 if last.begun else last.batch)
        at.begun = True
        return self._run(at)

    def _run(self, at: _Position) -> Iterator[Any]:
        batches = self._loaded(at) if self._columns is None else self._gathered(at, self._columns)
        if self.provenance:
            batches = zip(batches, self._provenances(at), strict=True)
        for batch in batches:
            at.batch += 1
            yield batch
        at.epoch, at.batch, at.begun = at.epoch + 1, 0, False

    def _gathered(self, at: _Position, columns: ColumnView) -> Iterator[Any]:
        for block in self._blocks(at):
            yield from columns.batches(self._source_of[block.group], block.offset, block.sizes)

    def _loaded(self, at: _Position) -> Iterator[Any]:
        self._requests.rest = self._requested(at)
        seed = np.random.SeedSequence(self._plan.words, spawn_key=(at.epoch,))
        self._generator.manual_seed(int(seed.generate_state(1)[0]))
        batches = iter(self._loader)
        self._requests.rest = iter(())  # a loader without a generator can be copied
        return batches

    def _requested(self, at: _Position) -> Iterator[Request]:
        for block in self._blocks(at):
            sources = _split(self._source_of[block.group], block)
            yield from map(list, zip(sources, _split(block.offset, block), strict=True))

    def _provenances(self, at: _Position) -> Iterator[Provenance]:
        for block in self._blocks(at):
            columns = self._memory_of[block.group], self._label_of[block.group], block.offset
            parts = (_split(column, block) for column in columns)
            yield from map(Provenance, *parts)

    def _blocks(self, at: _Position) -> Iterator[Block]:
        return self._plan.blocks(at.epoch, at.batch, *self._share())

    def _share(self) -> tuple[int, int]:
        """Return this process's rank among those that share the epoch, and their number."""
        group = torch.distributed
        if self.distributed_sampling and group.is_available() and group.is_initialized():
            return group.get_rank(), group.get_world_size()
        return 0, 1

    def state_dict(self) -> State:
        """Return the epoch and how many of its batches were delivered: the same on every rank.

        What datasets draw themselves, as random augmentation does, is not part of it.
        """
        return {
            **self._settings,
            "world_size": self._share()[1],
            "seed": list(self._plan.words),
            "epoch": self._position.epoch,
            "batch": self._position.batch,
        }

    def load_state_dict(self, state: State) -> None:
        """Load a state: the next `iter` yields the rest of its epoch.

        The seed is loaded as well; the number of workers may differ.

        Raises
        ------
        CheckpointError
            The state is of another loader, of other settings or of data of another size.
        """
        live = {**self._settings, "world_size": self._share()[1]}
        for name in (*live, "seed", "epoch", "batch"):
            if name not in state:
                raise CheckpointError(f"{name}: not in the saved state")
        for name, value in live.items():
            expect(name, state[name], value)
        words, epoch, batch = (state[name] for name in ("seed", "epoch", "batch"))
        if not (isinstance(words, list) and all(isinstance(word, int) for word in words)):
            raise CheckpointError(f"seed: saved {words}, must be a list of integers")
        _check_count("epoch", epoch)
        _check_count("batch", batch, None if self._plan.batches is None else len(self))
        self._plan.reseed(list(words))
        self._position = _Position(epoch, batch)


def _check_count(name: str, value: object, most: int | None = None) -> None:
    """Raise CheckpointError unless a saved value is an integer from 0 to ``most``."""
    if not isinstance(value, int) or value < 0 or (most is not None and value > most):
        raise CheckpointError(
            f"{name}: saved {value}, must be an integer of at least 0"
            + ("" if most is None else f" and at most {most}")
        )


def _check(options: Mapping[str, Any]) -> None:
    for name, why in _OURS.items():
        if name in options:
            raise TypeError(f"{name} cannot be given: {why}")
    if not options.get("in_order", True):
        raise ValueError(
            "in_order must be True, as the order of batches is part of the contract, "
            f"got {options['in_order']}"
        )


def _view(
    sources: Sequence[LoaderData], collate: Callable[[list[Any]], Any] | None
) -> tuple[ColumnView | SampleView, Callable[[Any], Any]]:
    """Return the dataset for torch's loader, and the function that collates its batches."""
    collate = collate or common_collate(sources)
    if collate is None and all(source.columns is not None for source in sources):
        return ColumnView(sources), identity
    return SampleView(sources), collate or collate_mixed


@dataclass(slots=True)
class _Position:
    """The position of one iterator, so that an abandoned iterator does not move another."""

    epoch: int
    batch: int
    begun: bool = False


class _Requests:
    """The batch sampler that torch's loader draws from: it runs ahead of what is delivered."""

    rest: Iterator[Request] = iter(())
    """The batches of the next iterator; torch asks for it twice if there are workers."""

    def __iter__(self) -> Iterator[Request]:
        return self.rest


def _split(column: NDArray[Any], block: Block) -> Iterator[NDArray[Any]]:
    """Cut a column of a block into batches."""
    end = 0
    for size in block.sizes.tolist():
        yield column[end : end + size]
        end += size


def _plain(setting: Any) -> Any:
    """Return a setting in a form that a state can hold."""
    if isinstance(setting, Mapping):
        return [[int(key), int(setting[key])] for key in sorted(setting)]
    return int(setting) if isinstance(setting, np.integer) else setting
