"""Show a run in the terminal while it goes on."""

__all__: list[str] = []
