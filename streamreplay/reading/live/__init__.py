"""Watching a run in the terminal."""

__all__: list[str] = []
