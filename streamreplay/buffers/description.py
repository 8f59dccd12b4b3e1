"""What a buffer holds, in numbers, read off its state: a checkpoint can be described as well."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreplay.batch import GROUP_COLUMNS
from streamreplay.stage import State

__all__ = ["describe_state"]

_AGE_BINS = 10
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
    """
    columns, beside = state["rows"]["columns"], state["rows"]["beside"]
    none = np.empty(0, np.int64)
    t = columns.get("t", none)
    replayed = beside.get("replayed", none).astype(np.int64)
    end = int(t.max(initial=-1)) + 1 if position is None else position
    ages = end - 1 - t
    return {
        "rows": len(t),
        "max_size": state["max_size"],
        "seen": state["reservoir"]["seen"],
        "acceptance": state["acceptance"],
        "uniform_since": state["uniform_since"],
        "nbytes": sum(column.nbytes for column in (*columns.values(), *beside.values())),
        **{
            f"by_{by}": _composition(columns.get(name, none), ages, replayed)
            for by, name in GROUP_COLUMNS.items()
        },
        "age": _ages(ages),
        "replayed": _replays(replayed),
    }


def _composition(
    ids: NDArray[np.int64], ages: NDArray[np.int64], replayed: NDArray[np.int64]
) -> dict[int, dict[str, Any]]:
    found: dict[int, dict[str, Any]] = {}
    order = np.argsort(ids, kind="stable")
    groups, starts = np.unique(ids[order], return_index=True)
    for group, rows in zip(groups.tolist(), np.split(order, starts[1:]), strict=False):
        found[group] = {
            "rows": len(rows),
            "median_age": float(np.median(ages[rows])),
            "replayed": int(replayed[rows].sum()),
        }
    return found


def _ages(ages: NDArray[np.int64]) -> dict[str, Any] | None:
    if not len(ages):
        return None
    values = np.percentile(ages, [0, 25, 50, 75, 100], method="lower").astype(int).tolist()
    top = max(int(ages.max()) + 1, _AGE_BINS)
    edges = np.linspace(0, top, _AGE_BINS + 1).round().astype(int)
    return {
        **dict(zip(("newest", "q25", "median", "q75", "oldest"), values, strict=True)),
        "edges": edges.tolist(),
        "counts": np.histogram(ages, edges)[0].tolist(),
    }


def _replays(replayed: NDArray[np.int64]) -> dict[str, Any] | None:
    if not len(replayed):
        return None
    places = np.searchsorted(_REPLAY_EDGES, replayed, side="right") - 1
    counts = np.bincount(places, minlength=len(_REPLAY_EDGES))
    return {
        "total": int(replayed.sum()),
        "mean": float(replayed.mean()),
        "most": int(replayed.max()),
        "never": int(counts[0]),
        "at_least": list(_REPLAY_EDGES),
        "counts": counts.tolist(),
    }
