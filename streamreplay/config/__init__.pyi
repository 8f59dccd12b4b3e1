from .building.pipeline import build
from .building.sources import make_holdout
from .job import Job
from .parsing.load import load_job
from .write import job_schema, template, to_toml, write_template

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
