"""Return cells of a CSV stream as they are, of columns that may be learned from or not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from streamreplay.ingest.decode.column_finder import ColumnFinder
from streamreplay.ingest.decode.header import Layout


def kept_cells(
    source: str,
    keep: Sequence[str],
    layouts: Sequence[tuple[int, Layout]],
    rows: Iterable[tuple[int, list[str]]],
) -> dict[str, list[str]]:
    """Return the cells of some columns, by name.

    Parameters
    ----------
    source : str
        What messages call the stream.
    keep : sequence of str
        The names of the columns.
    layouts : sequence of (int, Layout)
        Each with the line from which on it holds, ascending.
    rows : iterable of (int, list of str)
        Each with its line, ascending.

    Raises
    ------
    ConfigError
        There is no such column.
    """
    found: dict[str, list[str]] = {name: [] for name in keep}
    before: Layout | None = None
    places: dict[str, int] = {}
    for line, cells in rows:
        layout = next(layout for begin, layout in reversed(layouts) if begin <= line)
        if layout is not before:
            find, before = ColumnFinder(source, layout.names, header=True), layout
            places = {name: find("kept", name) for name in keep}
        whole = layout.fitted(cells)
        for name, place in places.items():
            found[name].append(whole[place])
    return found
