"""From bytes to columns: lines, cells, values."""

__all__: list[str] = []
