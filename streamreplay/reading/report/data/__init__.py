"""What the report shows of a learner: its curves, means over seeds, and a summary."""

__all__: list[str] = []
