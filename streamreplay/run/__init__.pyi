from .driver import Options, run_job
from .folder import choose_job
from .inspection import inspect_path, print_report

__all__ = ["Options", "choose_job", "inspect_path", "print_report", "run_job"]
