"""From text to a checked job."""

__all__: list[str] = []
