"""The learner around a River model."""

__all__: list[str] = []
