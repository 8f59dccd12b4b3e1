from .contents import RunReport, make_report
from .page import write_page, write_pictures

__all__ = ["RunReport", "make_report", "write_page", "write_pictures"]
