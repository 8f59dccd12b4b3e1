"""The learner around a PyTorch module."""

__all__: list[str] = []
