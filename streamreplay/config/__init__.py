"""Read a job file, a typed description of a run, and build its pipeline."""

from streamreplay.config.building.pipeline import build
from streamreplay.config.building.sources import make_holdout
from streamreplay.config.job import Job
from streamreplay.config.parsing.load import load_job
from streamreplay.config.write import job_schema, template, to_toml, write_template

__all__ = [
    "Job",
    "build",
    "job_schema",
    "load_job",
    "make_holdout",
    "template",
    "to_toml",
    "write_template",
]
