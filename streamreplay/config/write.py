"""Write a job as text: resolved, as a template, as a JSON schema."""

from __future__ import annotations

import inspect
import textwrap
from pathlib import Path
from typing import Any, get_origin

import tomli_w
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from streamreplay.config.choices import describe_key
from streamreplay.config.job import Job
from streamreplay.config.parsing.load import known_keys, section_of
from streamreplay.errors import ConfigError

_WIDTH = 120
_HEAD = "# A streamreplay job: `streamreplay run {name}`.\n"
_EVERY_KEY = "It lists every key with its default."
_FEW_KEYS = "It lists the keys that most people set; `streamreplay init --full` writes all."
_OFF = """\
# {keys}
# A key behind "# " is off; its value is an example.
"""

MOST_SET = (
    "source.path",
    "source.label",
    "source.batch_size",
    "features.exclude",
    "buffer.max_size",
    "learner.method",
    "learner.lr",
    "probe.share",
)
"""The keys that most people set."""


def to_toml(job: Job) -> str:
    """Return the resolved job as TOML, which loads as the same job from every folder.

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


def template(name: str = "job.toml", *, full: bool = False) -> str:
    """Return a commented job file, which loads as `Job()`.

    Parameters
    ----------
    name : str
        Of the file.
    full : bool
        Write every key, not only those that most people set.

    Examples
    --------
    >>> print(template("my.toml").splitlines()[0])
    # A streamreplay job: `streamreplay run my.toml`.
    """
    keys = {*known_keys()} if full else {*MOST_SET}
    head = (_HEAD + _OFF).format(name=name, keys=_EVERY_KEY if full else _FEW_KEYS)
    return head + _section(Job, "", keys, off=False)


def write_template(path: Path, *, full: bool = False, force: bool = False) -> None:
    """Write the template to a file.

    Raises
    ------
    ConfigError
        The file exists and ``force`` is false, or it cannot be written.
    """
    try:
        with path.open("w" if force else "x") as file:
            file.write(template(path.name, full=full))
    except FileExistsError:
        raise ConfigError(f"{path}: is there already; --force overwrites it") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written: {error.strerror}") from None


def _section(model: type[BaseModel], prefix: str, written: set[str], *, off: bool) -> str:
    """Return the lines of a section, of the keys whose dotted names are to be written."""
    keys, sections = "", ""
    for name, field in model.model_fields.items():
        section = section_of(field.annotation)
        if section is None:
            keys += _line(name, field, off=off) if prefix + name in written else ""
        else:
            off_too = off or get_origin(field.annotation) is list or field.default is None
            inside = _section(section, f"{prefix}{name}.", written, off=off_too)
            sections += inside and _header(section, prefix + name, field, off=off_too) + inside
    return keys + sections


def _header(section: type[BaseModel], name: str, field: FieldInfo, *, off: bool) -> str:
    array = get_origin(field.annotation) is list
    title = inspect.cleandoc(section.__doc__ or "").replace("\n\n", "\n")
    header = f"[[{name}]]" if array else f"[{name}]"
    return f"\n{textwrap.indent(title, '# ')}\n{'# ' if off else ''}{header}\n"


def _line(key: str, field: FieldInfo, *, off: bool) -> str:
    unset = field.is_required() or field.default is None
    value = (field.examples or [None])[0] if unset else field.default
    setting = f"{'# ' if off or unset else ''}{key} = {_to_value(value)}"
    description = " ".join(describe_key(field).split())
    if len(setting) + len(description) <= _WIDTH:
        return f"{setting}  # {description}\n"
    return textwrap.indent(textwrap.fill(description, _WIDTH - 2), "# ") + f"\n{setting}\n"


def _to_value(value: Any) -> str:
    """Return a value as TOML on one line."""
    if value == {}:
        return "{}"
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{key} = {_to_value(each)}' for key, each in value.items())} }}"
    if isinstance(value, int | float) and abs(value) >= 10_000:
        return f"{value:_}"
    _, _, toml = tomli_w.dumps({"key": value}).partition(" = ")
    return " ".join(toml.split()).replace("[ ", "[").replace(", ]", "]")
