"""Build a pipeline from a `Job`, section by section."""

__all__: list[str] = []
