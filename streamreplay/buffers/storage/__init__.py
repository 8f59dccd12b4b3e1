"""Storage: where the columns of stored rows live."""

__all__: list[str] = []
