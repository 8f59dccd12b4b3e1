"""A report on runs: one page to read, and its pictures as files."""

from streamreplay.reading.report.page import write_page, write_pictures
from streamreplay.reading.report.sections import RunReport, make_report

__all__ = ["RunReport", "make_report", "write_page", "write_pictures"]
