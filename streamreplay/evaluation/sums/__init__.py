"""The sums that scores are computed from."""

__all__: list[str] = []
