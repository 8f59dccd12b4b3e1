"""Build a pipeline from a `Job`: one file for each section."""

__all__: list[str] = []
