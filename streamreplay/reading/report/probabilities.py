"""Whether probabilities say what they mean: the section on calibration."""

from __future__ import annotations

from collections.abc import Sequence

from streamreplay.reading.report.cases import Case
from streamreplay.reading.report.chart import Section
from streamreplay.reading.report.panels import make_panel, panels_chart
from streamreplay.reading.report.predictions import read_column

__all__ = ["probability_section"]

_SCORES = (("ece", "expected calibration error"), ("brier", "Brier score"))


def probability_section(cases: Sequence[Case]) -> Section | None:
    """Return the section, or None where the log has neither score."""
    panels = []
    for name, title in _SCORES:
        field = f"{name}_window" if f"{name}_window" in cases[0].first.scores else name
        panel = make_panel(title, cases, read_column(field), floor=True)
        panels += [] if panel is None else [panel]
    if not panels:
        return None
    lead = (
        "A calibrated model that says 80 % is right in 80 of 100 cases. Both scores are errors: "
        "0 is best."
    )
    caption = "Over the window. Horizontal: rows of the stream."
    chart = panels_chart("probabilities", "Errors of its probabilities", caption, panels)
    return Section("probabilities", "Do its probabilities mean what they say?", lead, [chart])
