"""Running a job: the run folder, its logs, signals, progress, resume."""

from streamreplay.run.driver import Options, run_job
from streamreplay.run.folder import choose_job
from streamreplay.run.inspection import inspect_path, print_report

__all__ = ["Options", "choose_job", "inspect_path", "print_report", "run_job"]
