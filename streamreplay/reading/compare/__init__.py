"""Comparing runs: which is better, and whether the difference may be chance."""

__all__: list[str] = []
