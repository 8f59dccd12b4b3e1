"""Statistics of a buffer, computed from its state, so that checkpoints can be described as well."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreplay.batch import GROUP_COLUMNS
from streamreplay.columns import Ints
from streamreplay.state import State

_AGE_BINS = 10
_SORTED = 16_384  # rows up to which ages are exact
_CELLS, _FEWEST_BINS = 8192, 32  # of all groups; of each
_BLOCK = 8192
_REPLAY_EDGES = (0, 1, 2, 3, 5, 10, 20, 50, 100)  # the last bin has no upper end


def describe_state(state: State, position: int | None = None) -> dict[str, Any]:
    """Describe the state of a buffer.

    Parameters
    ----------
    state : State
        From ``ExemplarsBuffer.state_dict()`` or a checkpoint.
    position : int, optional
        Rows of the stream so far, from which ages count; by default the newest stored row is the
        last.

    Returns
    -------
    dict
        ``rows``, ``max_size``, ``seen`` (labelled rows offered), ``acceptance`` (chance that a row
        is stored now, None where unknown), ``uniform_since`` (see `ExemplarsBuffer`), ``nbytes``
        (of the stored rows), ``by_class``, ``by_task``, ``by_experience`` (by group id: ``rows``,
        ``median_age``, ``replayed``), ``age`` (in rows: quantiles, and a histogram as ``edges``
        [bins + 1] and ``counts`` [bins]) and ``replayed`` (how often stored rows were rehearsed:
        ``total``, ``mean``, ``most``, ``never``, and a histogram).

    Notes
    -----
    Of more than 16,384 rows, medians and quartiles of ages are counted in bins: 8,192 up to the
    oldest age, shared by the groups, and at least 32 for each. All else is exact.
    """
    columns, beside = state["rows"]["columns"], state["rows"]["beside"]
    none = np.empty(0, np.int64)
    t = columns.get("t", none)
    replayed = beside.get("replayed", none)
    end = int(t.max(initial=-1)) + 1 if position is None else position
    ages = end - 1 - t
    age = replays = None
    together: list[dict[str, Any]] = []
    if len(t):
        median, quarters = _middle(ages)
        age, replays = _ages(ages, quarters), _replays(replayed)
        together = [{"rows": len(t), "median_age": median, "replayed": replays["total"]}]
    return {
        "rows": len(t),
        "max_size": state["max_size"],
        "seen": state["reservoir"]["seen"],
        "acceptance": state["acceptance"],
        "uniform_since": state["uniform_since"],
        "nbytes": sum(column.nbytes for column in (*columns.values(), *beside.values())),
        **{
            f"by_{by}": _composition(columns.get(name, none), ages, replayed, together)
            for by, name in GROUP_COLUMNS.items()
        },
        "age": age,
        "replayed": replays,
    }


def _composition(
    ids: Ints,
    ages: Ints,
    replayed: NDArray[np.uint32],
    together: list[dict[str, Any]],
) -> dict[int, dict[str, Any]]:
    """Describe each group, given what there is to say of all rows together."""
    if not len(ids):
        return {}
    groups, places = _numbered(ids)
    alone = len(groups) == 1
    said = [*map(dict, together)] if alone else _groups(places, groups, ages, replayed)
    return dict(zip(groups.tolist(), said, strict=True))


def _groups(
    places: Ints,
    groups: Ints,
    ages: Ints,
    replayed: NDArray[np.uint32],
) -> list[dict[str, Any]]:
    """Describe each of some groups, given which of them each row is of."""
    rows, replays = np.zeros(len(groups), np.int64), np.zeros(len(groups))
    for block in _blocks(len(places)):
        rows += np.bincount(places[block], minlength=len(groups))
        replays += np.bincount(places[block], replayed[block], len(groups))
    medians = _ranked(places, ages, rows, np.stack([(rows - 1) // 2, rows // 2])).mean(axis=0)
    return [
        {"rows": n, "median_age": median, "replayed": int(times)}
        for n, median, times in zip(rows.tolist(), medians.tolist(), replays.tolist(), strict=True)
    ]


def _numbered(ids: Ints) -> tuple[Ints, Ints]:
    """Return the groups in ascending order, and which of them each row is of."""
    least, most = int(ids.min()), int(ids.max())
    there = np.bincount(ids - least) if most - least <= len(ids) else np.zeros(1)
    if there.all():
        return np.arange(least, most + 1), ids - least if least else ids
    groups, places = np.unique(ids, return_inverse=True)
    return groups, places


def _ranked(places: Ints, ages: Ints, rows: Ints, ranks: Ints) -> Ints:
    """Return the ages of the rows of some ranks, 0 for the newest, in each group.

    Parameters
    ----------
    places, ages : int64[n]
    rows : int64[g]
        Of each group.
    ranks : int64[k, g]
    """
    groups, bins = len(rows), int(ages.max()) + 1
    rank = np.cumsum(rows) - rows + ranks  # among the rows of all groups, one behind the other
    if len(ages) <= _SORTED:
        return np.asarray(np.sort(places * bins + ages)[rank] % bins)
    # Counted in bins: a tenth of the time of sorting them.
    width = -(-bins // max(_CELLS // groups, _FEWEST_BINS))
    bins = -(-bins // width)
    counts = np.zeros(groups * bins, np.int64)
    for block in _blocks(len(ages)):
        cells = ages[block] // width
        if groups > 1:
            cells += places[block] * bins
        counts += np.bincount(cells, minlength=len(counts))
    found = np.searchsorted(np.cumsum(counts), rank, side="right") % bins
    return found * width + (width - 1) // 2


def _middle(ages: Ints) -> tuple[float, list[int]]:
    """Return the median of all ages, and the three that part them into quarters."""
    n = len(ages)
    ranks = [(n - 1) // 2, n // 2, *((n - 1) * quarter // 4 for quarter in (1, 2, 3))]
    of_all = np.zeros(n, np.int64), ages, np.array([n])
    found = _ranked(*of_all, np.array(ranks)[:, None])[:, 0]
    return float(found[:2].mean()), found[2:].tolist()


def _ages(ages: Ints, quarters: list[int]) -> dict[str, Any]:
    n = len(ages)
    newest, oldest = int(ages.min()), int(ages.max())
    top = max(oldest + 1, _AGE_BINS)
    edges = np.linspace(0, top, _AGE_BINS + 1).round().astype(int).tolist()
    younger = [0, *(int(np.count_nonzero(ages < edge)) for edge in edges[1:-1]), n]
    return {
        "newest": newest,
        **dict(zip(("q25", "median", "q75"), quarters, strict=True)),
        "oldest": oldest,
        "edges": edges,
        "counts": [more - n for n, more in pairwise(younger)],
    }


def _replays(replayed: NDArray[np.uint32]) -> dict[str, Any]:
    n, total = len(replayed), int(replayed.sum(dtype=np.int64))
    at_least = [n, *(int(np.count_nonzero(replayed >= k)) for k in _REPLAY_EDGES[1:]), 0]
    counts = [more - fewer for more, fewer in pairwise(at_least)]
    return {
        "total": total,
        "mean": total / n,
        "most": int(replayed.max()),
        "never": counts[0],
        "at_least": list(_REPLAY_EDGES),
        "counts": counts,
    }


def _blocks(n: int) -> Iterator[slice]:
    """Cut rows into parts whose intermediate results are not new memory each time."""
    return (slice(start, start + _BLOCK) for start in range(0, n, _BLOCK))
