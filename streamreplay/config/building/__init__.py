"""From a job to a pipeline."""

__all__: list[str] = []
