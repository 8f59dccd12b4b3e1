"""The learner that trains a River model."""

__all__: list[str] = []
