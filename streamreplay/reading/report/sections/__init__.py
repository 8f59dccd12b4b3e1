"""The sections of a report, one file for each question that it answers."""

__all__: list[str] = []
