"""Drawing the report's charts with matplotlib."""

__all__: list[str] = []
