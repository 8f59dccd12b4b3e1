"""Sampling: which rows stay when there is no room for all, and how groups share the room."""

__all__: list[str] = []
