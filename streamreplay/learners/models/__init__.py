"""Reference models and their layers."""

__all__: list[str] = []
