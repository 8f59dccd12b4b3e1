"""Where bytes and rows come from: files, pipes, arrays."""

__all__: list[str] = []
