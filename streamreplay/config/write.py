"""A job as text: resolved, as a template, as a JSON schema."""

from __future__ import annotations

import inspect
import textwrap
from pathlib import Path
from typing import Any, get_origin

import tomli_w
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from streamreplay.config.job import Job
from streamreplay.config.parsing.load import section_of
from streamreplay.errors import ConfigError

__all__ = ["job_schema", "template", "to_toml", "write_template"]

_WIDTH = 120
_HEAD = """\
# A streamreplay job: `streamreplay run {name}`.
# Every key is here with its default; what starts with "# " and a key is off until uncommented.
"""
_EXAMPLES = {
    "source.label": '"class"',
    "source.features": '["a", "b"]',
    "source.target": '"price"',
    "source.multilabel": '["sport", "money"]',
    "source.weight": '"weight"',
    "source.task": '"task"',
    "source.experience": '"experience"',
    "source.id": '"id"',
    "source.time": '"time"',
    "source.header": "true",
    "source.delimiter": '","',
    "source.labels_path": '"train-labels-idx1-ubyte.gz"',
    "source.split.n_experiences": "5",
    "source.split.class_order": "[0, 1, 2, 3]",
    "source.split.seed": "0",
    "backbone.module": '"mypackage.nets:make_backbone"',
    "buffer.max_bytes": "100_000_000",
    "buffer.groups": "10",
    "buffer.groupby": '"class"',
    "buffer.selection": '"herding"',
    "buffer.half_life": "10_000.0",
    "buffer.half_life_seconds": "3600.0",
    "buffer.ttl": "100_000",
    "buffer.ttl_seconds": "86_400.0",
    "buffer.storage": '"buffer"',
    "mixer.batch_size_mem": "32",
    "mixer.candidates": "160",
    "learner.channels": "[24, 48, 96]",
    "learner.norm": '"group"',
    "learner.alpha": "0.3",
    "learner.beta": "1.0",
    "learner.look_back": "100",
    "learner.distillation": "1.0",
    "learner.temperature": "2.0",
    "learner.retrain_passes": "30",
    "learner.retrain_every": "10_000",
    "learner.random_features": "2_000",
    "learner.discriminant_weight": "1.0",
    "learner.discriminant_margin": "0.02",
    "learner.loss": '"mypackage.losses:focal"',
    "learner.retrieval": '"hardest"',
    "learner.notes": '"mypackage.losses:my_notes"',
    "learner.ema": "0.99",
    "learner.clip_grad_norm": "1.0",
    "learner.class_weight": "{ spam = 2.0 }",
    "learner.schedule": '"inverse_sqrt(1000)"',
    "learner.replay_budget": "0.5",
    "learner.replay_rows_per_second": "10_000.0",
    "learner.huber": "1.0",
    "learner.river": "'forest.ARFClassifier(n_models=10, seed=1)'",
    "experiences.rows": "10_000",
    "experiences.seconds": "86_400.0",
    "drift.name": '"adwin-error"',
    "test.path": '"test.jsonl"',
    "run.mlflow": '"http://localhost:5000"',
    "test.share": "0.1",
    "test.labels_path": '"t10k-labels-idx1-ubyte.gz"',
}


def to_toml(job: Job) -> str:
    """Return the resolved job; it loads as the same job from anywhere.

    Examples
    --------
    >>> print(to_toml(Job()).splitlines()[0])
    seed = 0
    """
    return tomli_w.dumps(job.model_dump(mode="json", exclude_none=True))


def job_schema() -> dict[str, Any]:
    """Return the JSON schema of a job file."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Job.model_json_schema(),
    }


def template(name: str = "job.toml") -> str:
    """Return a commented job file with every key and its default; it loads as all defaults."""
    return _HEAD.format(name=name) + _section(Job, "", off=False)


def write_template(path: Path, *, force: bool = False) -> None:
    """Write the template to a file.

    Raises
    ------
    ConfigError
        There is a file already and ``force`` is false, or it cannot be written.
    """
    try:
        with path.open("w" if force else "x") as file:
            file.write(template(path.name))
    except FileExistsError:
        raise ConfigError(f"{path}: is there already; --force overwrites it") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written: {error.strerror}") from None


def _section(model: type[BaseModel], prefix: str, *, off: bool) -> str:
    own, inner = "", ""
    for name, field in model.model_fields.items():
        section = section_of(field.annotation)
        if section is None:
            own += _line(prefix + name, field, off=off)
            continue
        array = get_origin(field.annotation) is list
        hidden = off or array or field.default is None
        header = f"[[{prefix}{name}]]" if array else f"[{prefix}{name}]"
        title = inspect.cleandoc(section.__doc__ or "").replace("\n\n", "\n")
        said = textwrap.indent(title, "# ")
        inner += f"\n{said}\n{'# ' if hidden else ''}{header}\n"
        inner += _section(section, f"{prefix}{name}.", off=hidden)
    return own + inner


def _line(path: str, field: FieldInfo, *, off: bool) -> str:
    key = path.rpartition(".")[2]
    none = field.is_required() or field.default is None
    value = _EXAMPLES[path] if none else tomli_w.dumps({key: field.default}).strip()
    setting = f"{key} = {value}" if none else _flat(value)
    setting = f"{'# ' if off or none else ''}{setting}"
    said = " ".join((field.description or "").split())
    if len(setting) + len(said) <= _WIDTH:
        return f"{setting}  # {said}\n"
    return textwrap.indent(textwrap.fill(said, _WIDTH - 2), "# ") + f"\n{setting}\n"


def _flat(toml: str) -> str:
    """Put an array that was written line by line into one."""
    return " ".join(toml.split()).replace("[ ", "[").replace(", ]", "]")
