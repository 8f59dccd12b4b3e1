"""Drift detection: signals, detectors, and the monitor that acts on them."""

__all__: list[str] = []
