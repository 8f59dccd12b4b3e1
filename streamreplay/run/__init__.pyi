from .driver import RunOptions, run_job
from .folder import choose_job

__all__ = ["RunOptions", "choose_job", "run_job"]
