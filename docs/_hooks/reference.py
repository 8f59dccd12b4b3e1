"""Pages that MkDocs gets at build time: the reference, from the code, and the files of the root."""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

import typer
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from streamreplay.commands.app import app
from streamreplay.config.choices import describe_key
from streamreplay.config.job import Job
from streamreplay.log.schema import KINDS, LOGS

ROOT = Path(__file__).parents[2]

API = {
    "pipeline": (
        "Pipeline and records",
        ["batch", "stage", "pipeline", "branches", "state", "errors"],
    ),
    "ingest": ("Sources", ["ingest", "bundled"]),
    "buffers": ("Buffers and mixer", ["buffers", "mixing"]),
    "loaders": ("Loaders", ["loaders"]),
    "learners": ("Learners", ["learners"]),
    "evaluation": ("Evaluation", ["evaluation"]),
    "jobs": ("Jobs and runs", ["config", "run", "checkpoint", "predicting"]),
    "reading": ("Reading logs", []),
    "compat": ("Other libraries", []),
}
"""Pages of the API: the title, and where the names of the package that are on it are defined."""

MORE: dict[str, list[str]] = {
    "pipeline": [],
    "ingest": ["streamreplay.ingest"],
    "buffers": ["streamreplay.buffers", "streamreplay.buffers.selection", "streamreplay.mixing"],
    "loaders": ["streamreplay.loaders"],
    "learners": [
        "streamreplay.learners",
        "streamreplay.learners.methods.catalogue",
        "streamreplay.learners.neural.augment",
        "streamreplay.learners.neural.schedules",
    ],
    "evaluation": ["streamreplay.evaluation"],
    "jobs": [
        "streamreplay.config",
        "streamreplay.run",
        "streamreplay.checkpoint",
        "streamreplay.predicting",
    ],
    "reading": ["streamreplay.reading", "streamreplay.reading.report"],
    "compat": ["streamreplay.compat.avalanche", "streamreplay.compat.river"],
}
"""For each page, the modules that a user imports further names from."""

FROM_THE_ROOT = {
    "ARCHITECTURE.md": "architecture.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages."""
    pages: dict[str, Callable[[], Iterable[str]]] = {
        "reference/commands.md": commands,
        "reference/job.md": job_file,
        "reference/log.md": log,
        **{f"reference/api/{page}.md": lambda page=page: api(page) for page in API},
    }
    texts = {path: "\n".join(lines()) for path, lines in pages.items()}
    for source, path in FROM_THE_ROOT.items():
        texts[path] = (ROOT / source).read_text().replace("](docs/", "](")
    for path, text in texts.items():
        files.append(File.generated(config, path, content=text))
    return files


# -- commands --------------------------------------------------------------------------------------


def commands() -> Iterator[str]:
    """Write the page of the commands, from the typer application."""
    group: Any = typer.main.get_command(app)
    yield "# Commands\n"
    yield f"{group.help}\n"
    yield "Each command explains itself: `streamreplay COMMAND --help`.\n"
    for name, command in group.commands.items():
        arguments = [p for p in command.params if p.param_type_name == "argument"]
        options = [p for p in command.params if p.param_type_name == "option"]
        usage = " ".join([*(p.metavar or p.name.upper() for p in arguments), "[OPTIONS]"])
        yield f"## {name}\n"
        yield f"```console\n$ streamreplay {name} {usage}\n```\n"
        yield f"{_markdown(command.help)}\n"
        yield "| argument or option | meaning | default |\n|---|---|---|"
        for parameter in [*arguments, *options]:
            yield _row(_parameter_name(parameter), parameter.help or "", _default(parameter))
        yield ""


def _parameter_name(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return f"`{(parameter.metavar or parameter.name).strip('[]')}`"
    value = "" if parameter.is_flag else f" {parameter.metavar or parameter.name.upper()}"
    return ", ".join(f"`{name}{value}`" for name in parameter.opts)


def _default(parameter: Any) -> str:
    if isinstance(parameter.show_default, str):
        return parameter.show_default
    missing = parameter.default in (None, False, ()) or callable(parameter.default)
    return "" if missing else f"`{parameter.default}`"


# -- the job file ----------------------------------------------------------------------------------


def job_file() -> Iterator[str]:
    """Write the page of the job file, from its models."""
    yield "# Job file\n"
    yield (
        "`streamreplay init --full job.toml` writes a job file with all these keys, "
        "`streamreplay schema` prints a JSON schema of them, and `--set SECTION.KEY=VALUE` sets "
        "one from the command line. A job file is TOML; a key that it does not name has its "
        "default.\n"
    )
    yield from _section("", Job, array=False)


def _section(name: str, model: type[BaseModel], *, array: bool) -> Iterator[str]:
    own = {key: field for key, field in model.model_fields.items() if not _models(field)}
    inherited = set(model.__mro__[1].model_fields)
    heading = f"`[[{name}]]`" if array else f"`[{name}]`"
    yield f"## {heading if name else 'Top level'}\n"
    if name:
        yield f"{_markdown(inspect.getdoc(model))}\n"
    yield "| key | type | default | meaning |\n|---|---|---|---|"
    for key, field in own.items():
        if key not in inherited:
            yield _row(f"`{key}`", _type_name(field), _default_of(field), describe_key(field))
    yield ""
    for key, field in model.model_fields.items():
        for nested in _models(field):
            path = f"{name}.{key}".strip(".")
            if key not in inherited:
                yield from _section(path, nested, array=_is_listed(nested, field.annotation))


def _is_listed(model: type[BaseModel], annotation: Any) -> bool:
    arguments = get_args(annotation)
    if get_origin(annotation) is list and model in arguments:
        return True
    return any(_is_listed(model, argument) for argument in arguments)


def _default_of(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    return "" if field.default is None else f"`{json.dumps(field.default)}`"


# -- the log ---------------------------------------------------------------------------------------


def log() -> Iterator[str]:
    """Write the page of the log, from its schema."""
    yield "# Log\n"
    yield (
        "Every field of the four logs. [Read the logs](../guides/log.md) says when lines are "
        "written, how to read them, and what R[i, j] is; `streamreplay schema --log` prints this "
        "page as a JSON schema.\n"
    )
    for name, forms in LOGS.items():
        yield f"## `{name}.jsonl`\n"
        described: set[type[BaseModel]] = set()
        for form in forms:
            kind = next((kind for kind, of_kind in KINDS.items() if form in of_kind), None)
            title = form.__name__ if kind is None else f"Kind `{kind}`: {form.__name__}"
            yield f"### {title}\n"
            yield from _fields(form)
            for nested in _nested(form, described):
                described.add(nested)
                yield f"#### {nested.__name__}\n"
                yield from _fields(nested)


def _fields(model: type[BaseModel]) -> Iterator[str]:
    yield f"{_markdown(inspect.getdoc(model))}\n"
    yield "| field | type | unit | definition |\n|---|---|---|---|"
    for name, field in model.model_fields.items():
        extra = field.json_schema_extra
        unit = str(extra.get("unit", "")) if isinstance(extra, dict) else ""
        yield _row(f"`{name}`", _type_name(field), unit, field.description or "")
    yield ""


def _nested(model: type[BaseModel], described: set[type[BaseModel]]) -> Iterator[type[BaseModel]]:
    for field in model.model_fields.values():
        for nested in _models(field):
            if nested not in described:
                yield nested
                yield from _nested(nested, described | {nested})


# -- the API ---------------------------------------------------------------------------------------


def api(page: str) -> Iterator[str]:
    """Write a page of the API: a directive of mkdocstrings for each public name."""
    title, modules = API[page]
    yield f"# {title}\n"
    done: set[str] = set()
    names = importlib.import_module("streamreplay").__all__
    places = [
        ("streamreplay", names),
        *((module, _public(module)) for module in MORE[page]),
    ]
    for place, public in places:
        paths = [home(place, name) for name in sorted(public, key=str.lower)]
        new = [path for path in paths if path not in done and _belongs(path, place, modules)]
        if new:
            yield f"## `from {place} import ...`\n"
        yield from (f"::: {path}\n" for path in new)
        done.update(new)


def _belongs(path: str, place: str, modules: list[str]) -> bool:
    return place != "streamreplay" or path.split(".")[1] in modules


def _public(module: str) -> list[str]:
    found = importlib.import_module(module)
    own = [
        name
        for name, thing in vars(found).items()
        if getattr(thing, "__module__", "") == module and not name.startswith("_")
    ]
    return list(getattr(found, "__all__", own))


def home(module: str, name: str) -> str:
    """Return the dotted path at which a public name is defined."""
    path = ROOT.joinpath(*module.split("."))
    stub = path / "__init__.pyi"
    package = stub if stub.exists() else path / "__init__.py"
    file = package if package.exists() else path.with_suffix(".py")
    for node in ast.parse(file.read_text()).body:
        if not isinstance(node, ast.ImportFrom):
            continue
        if any((alias.asname or alias.name) == name for alias in node.names):
            relative = [module] if node.level else []
            return home(".".join([*relative, *([node.module] if node.module else [])]), name)
    return f"{module}.{name}"


# -- what the pages share --------------------------------------------------------------------------


def _models(field: FieldInfo) -> list[type[BaseModel]]:
    return [part for part in _parts(field.annotation) if issubclass(part, BaseModel)]


def _parts(annotation: Any) -> Iterator[type]:
    if isinstance(annotation, type) and get_origin(annotation) is None:
        yield annotation
    for part in get_args(annotation):
        yield from _parts(part)


def _type_name(annotation: Any) -> str:
    """Return a type in a few words, from an annotation or a field."""
    if isinstance(annotation, FieldInfo):
        annotation = annotation.annotation
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is None:
        return _plain_name(annotation)
    if origin is Literal:
        return ", ".join(f"`{json.dumps(value)}`" for value in arguments)
    if origin in (Union, UnionType):
        return " or ".join(dict.fromkeys(_type_name(argument) for argument in arguments))
    if origin is list:
        return f"array of {_type_name(arguments[0])}"
    return "object" if origin is dict else _type_name(arguments[0])


def _plain_name(annotation: Any) -> str:
    if annotation is None or annotation is type(None):
        return "null"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "object"
    return {"str": "string"}.get(annotation.__name__, annotation.__name__)


def _row(*cells: str) -> str:
    return "| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in cells) + " |"


def _markdown(text: str | None) -> str:
    plain = re.sub(r"``([^`]+)``", r"`\1`", inspect.cleandoc(text or "").replace("\b", ""))
    return plain.replace("[[", "\\[\\[").replace("<", "&lt;")
