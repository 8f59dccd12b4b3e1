"""Scores on rows that are kept out of training."""

__all__: list[str] = []
