"""Logs as tables: Parquet and CSV files."""

__all__: list[str] = []
