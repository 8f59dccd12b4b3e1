"""Read the text of a job file into a checked `Job`."""

__all__: list[str] = []
