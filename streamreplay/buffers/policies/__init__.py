"""The buffers that users pick by name, a file each."""

__all__: list[str] = []
