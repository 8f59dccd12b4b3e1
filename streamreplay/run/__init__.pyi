from .driver import run_job
from .folder import choose_job
from .options import RunOptions

__all__ = ["RunOptions", "choose_job", "run_job"]
