"""The format of the logs: lines, rotating files, records, schema, tables."""

__all__: list[str] = []
