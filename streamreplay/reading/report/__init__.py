"""A report on runs as one page, and its charts as files."""

from streamreplay.reading.report.contents import RunReport, make_report
from streamreplay.reading.report.page import write_page, write_pictures

__all__ = ["RunReport", "make_report", "write_page", "write_pictures"]
