"""Our parts in the shape that other libraries give to theirs; each is imported by its own name."""

__all__: list[str] = []
