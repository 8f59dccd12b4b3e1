"""The section on calibration: whether the probabilities are reliable."""

from __future__ import annotations

from collections.abc import Sequence

from streamreplay.reading.report.charts.chart import Section
from streamreplay.reading.report.charts.panels import make_panel, panels_chart
from streamreplay.reading.report.data.seed_means import CurveGroup, read_score

_SCORES = (("ece", "expected calibration error"), ("brier", "Brier score"))


def probability_section(groups: Sequence[CurveGroup]) -> Section | None:
    """Return the section on calibration; None if the log has neither of its scores."""
    panels = []
    for name, title in _SCORES:
        field = f"{name}_window" if f"{name}_window" in groups[0].first.scores else name
        panels.append(make_panel(title, groups, read_score(field), floor=True))
    found = [panel for panel in panels if panel is not None]
    if not found:
        return None
    lead = (
        "If a calibrated model gives a probability of 80 %, it is right in 80 of 100 cases. Both "
        "scores are errors: 0 is best."
    )
    caption = "Over the window. Horizontal axis: rows of the stream."
    chart = panels_chart("probabilities", "Errors of the probabilities", caption, found)
    return Section("probabilities", "Are the probabilities reliable?", lead, [chart])
