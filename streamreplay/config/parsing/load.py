"""Read a TOML file and overrides into a checked `Job`."""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from streamreplay.config.dotted_keys import flatten
from streamreplay.config.job import Job, NamedLearnerSection
from streamreplay.config.parsing.entries import find_drift, find_learner, inherit
from streamreplay.config.parsing.values import parse_setting
from streamreplay.errors import ConfigError
from streamreplay.log.lines import MOST_JOB
from streamreplay.regular_files import read_file

_PATHS = (
    ("source", "path"),
    ("source", "labels_path"),
    ("buffer", "storage"),
    ("test", "path"),
    ("test", "labels_path"),
    ("run", "tensorboard"),
)

_REMOVED: dict[tuple[str | int, ...], str] = {
    ("source", "allow_nan"): "in a table NaN and infinity are missing values; remove the key",
}


def load_job(path: str | os.PathLike[str] | None = None, overrides: Sequence[str] = ()) -> Job:
    """Read a job file, apply the overrides and check the result.

    Parameters
    ----------
    path : path, optional
        A TOML file; paths in it are relative to its folder. By default, all keys have their
        defaults.
    overrides : sequence of str
        ``section.key=value``, with a value in TOML; text that is not TOML is taken as a string, or
        where the key takes a list as its items, ``a,b``. The last of several overrides of a key
        applies. Paths are relative to the working directory. An entry of ``[[learner]]`` or
        ``[[drift]]`` is named by its index or its name: ``learner.0.lr=0.1``,
        ``learner.small.lr=0.1``.

    Raises
    ------
    ConfigError
        The file cannot be read, or a key or value is not allowed; the message names the file, the
        key, the rule, the value and the nearest valid key.

    Examples
    --------
    >>> load_job(None, ["buffer.max_size=500", "source.path=-"]).buffer.max_size
    500
    """
    file = None if path is None else Path(path)
    return _load({} if file is None else _read(file, Path.read_bytes), file, overrides)


def load_saved_job(path: Path, overrides: Sequence[str] = ()) -> Job:
    """Read the job of a run folder, which somebody else may have made.

    Raises
    ------
    ConfigError
        As by `load_job`; or it is not a regular file, or has more than 4 MiB.
    """
    return _load(_read(path, partial(read_file, most=MOST_JOB)), path, overrides)


def _load(tree: dict[str, Any], file: Path | None, overrides: Sequence[str]) -> Job:
    if file is not None:
        _anchor(tree, file.parent)
    grow = "learner" not in tree
    given = {_apply(tree, override, grow=grow) for override in overrides}
    inherit(tree)
    try:
        job = Job.model_validate(tree)
    except ValidationError as error:
        raise ConfigError(_explain(error, file, given)) from None
    _check_text(job)
    return job


def _check_text(job: Job) -> None:
    """Raise `ConfigError` for text that a job file cannot hold, as the name of a file may be."""
    for key, value in flatten(job.model_dump(mode="json")).items():
        try:
            "".join(map(str, value if isinstance(value, list) else [value])).encode()
        except UnicodeEncodeError:
            raise ConfigError(
                f"{key}: must be UTF-8, got {value!r}: rename the file, or read it from standard "
                "input"
            ) from None


def known_fields(model: type[BaseModel] = Job, prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Yield every key of a job file by its dotted name."""
    for name, field in model.model_fields.items():
        inner = section_of(field.annotation)
        if inner is None:
            yield prefix + name, field
        else:
            yield from known_fields(inner, f"{prefix}{name}.")


def known_keys(model: type[BaseModel] = Job, prefix: str = "") -> Iterator[str]:
    """Yield the dotted name of every key of a job file."""
    for name, _ in known_fields(model, prefix):
        yield name


def section_of(annotation: Any) -> type[BaseModel] | None:
    """Return the section of a field's type, which may be optional or a union; None for a value."""
    for choice in get_args(annotation) or (annotation,):
        inner = get_args(choice)[0] if get_origin(choice) is Annotated else choice
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            return inner
    return None


def _read(path: Path, read: Callable[[Path], bytes]) -> dict[str, Any]:
    try:
        return tomllib.loads(read(path).decode("utf-8-sig").replace("\r\n", "\n"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: is not UTF-8 text") from None
    except tomllib.TOMLDecodeError as error:
        message = f"not TOML: {error}"
        if path.suffix != ".toml":  # rows, perhaps
            message += "; a job file is expected here, rows are given with --source"
        line = re.search(r" \(at line (\d+), column \d+\)", message)
        if line is None:
            raise ConfigError(f"{path}: {message}") from None
        raise ConfigError(f"{path}:{line[1]}: {message.replace(line[0], '')}") from None
    except (ValueError, RecursionError) as error:  # a number of 5,000 digits, 1,000 brackets
        raise ConfigError(f"{path}: not TOML: {error}") from None


def _apply(tree: dict[str, Any], override: str, *, grow: bool) -> tuple[str, ...]:
    name, equals, text = override.partition("=")
    keys = tuple(key.strip() for key in name.split("."))
    if not equals or not all(keys):
        raise ConfigError(f"command line: a setting is section.key=value, got {override!r}")
    node, within = tree, keys
    place = find_learner(tree, keys, grow=grow)
    if place is None:
        place = find_drift(tree, keys)
    if place is not None:
        node, within = tree[keys[0]][place], keys[2:]
        keys = (keys[0], str(place), *within)
    for key in within[:-1]:
        node = node.setdefault(key, {})
        if not isinstance(node, dict):
            raise ConfigError(f"command line: {name}: {key} is not a section")
    is_path = within in _PATHS
    annotation = _annotation(within if place is None else (keys[0], *within))
    value = parse_setting(text, annotation, is_path=is_path)
    node[within[-1]] = _absolute(value, Path.cwd()) if is_path else value
    return keys


def _annotation(keys: tuple[str, ...]) -> Any:
    """Return the type of a key; None if there is no such key."""
    fields = dict([*known_fields(), *known_fields(NamedLearnerSection, "learner.")])
    field = fields.get(".".join(keys))
    return None if field is None else field.annotation


def _anchor(tree: dict[str, Any], folder: Path) -> None:
    for section, key in _PATHS:
        node = tree.get(section)
        if isinstance(node, dict) and key in node:
            node[key] = _absolute(node[key], folder)
    learners = tree.get("learner")
    for learner in learners if isinstance(learners, list) else ():
        if isinstance(learner, dict):
            _anchor(learner, folder)


def _absolute(value: Any, folder: Path) -> Any:
    if isinstance(value, list):
        return [_absolute(each, folder) for each in value]
    if not isinstance(value, str) or value in ("-", ""):
        return value
    return os.path.abspath(folder / Path(value).expanduser())  # noqa: PTH100 - links stay links


def _explain(error: ValidationError, path: Path | None, given: set[tuple[str, ...]]) -> str:
    faults: dict[str, list[ErrorDetails]] = {}  # by key: pydantic reports each type of a union
    for each in error.errors(include_url=False):
        faults.setdefault(_name(each), []).append(each)
    # an unknown key first: it often explains why another one is missing
    unknown = [name for name, (each, *_) in faults.items() if each["type"] == "extra_forbidden"]
    name = [*unknown, *faults][0]
    keys = tuple(str(key) for key in _keys(faults[name][0]))
    from_line = path is None or any(keys[: len(key)] == key for key in given)
    place = "command line" if from_line else str(path)
    also = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    return f"{place}: {name + ': ' if name else ''}{_rule(faults[name])}{also}"


def _keys(error: ErrorDetails) -> tuple[str | int, ...]:
    """Return the path of an error, without the tag that pydantic adds behind ``learner``."""
    keys = error["loc"]
    return (*keys[:1], *keys[2:]) if keys[:1] == ("learner",) else keys


def _name(error: ErrorDetails) -> str:
    """Return a key's dotted name, without the types of a union that pydantic adds."""
    known = _all_keys()
    name = plain = ""
    for key in _keys(error):
        if isinstance(key, int):
            name += f"[{key}]"
            if plain in known:
                break
        elif plain in known:
            break
        else:
            name, plain = (f"{longer}.{key}" if longer else key for longer in (name, plain))
    return name


def _all_keys() -> set[str]:
    return {*known_keys(), *known_keys(NamedLearnerSection, "learner.")}


def _rule(faults: list[ErrorDetails]) -> str:
    """Return what a key must be, given one fault for each type that it may have."""
    kind, value = faults[0]["type"], faults[0]["input"]
    if kind == "extra_forbidden":
        path = _keys(faults[0])
        if path in _REMOVED:
            return f"is no key any more: {_REMOVED[path]}"
        near = _nearest(path)
        return f"unknown key, did you mean {near}?" if near else "unknown key"
    if kind == "missing":
        return "is missing"
    if kind == "value_error":
        return faults[0]["msg"].removeprefix("Value error, ")
    if kind in ("model_type", "model_attributes_type"):
        return f"must be a section, got {_show(value)}"
    rules = [re.sub(r"^\w+ should (be|have) ", "", each["msg"]) for each in faults]
    verb = "have" if " should have " in faults[0]["msg"] else "be"
    rule = " or ".join(rules).replace("a valid integer", "an integer").replace("a valid ", "a ")
    return f"must {verb} {rule}, got {_show(value)}"


def _nearest(path: tuple[str | int, ...]) -> str | None:
    """Return the key that looks most like an unknown one: of its section, else of all sections."""
    in_array = any(isinstance(key, int) for key in path)
    keys = sorted(_all_keys()) if in_array else list(known_keys())
    *outer, last = (key for key in path if isinstance(key, str))
    near = difflib.get_close_matches(last, _siblings(keys, ".".join(outer)), 1)
    if near:
        return near[0]
    # a [[drift]] is seldom meant by a name elsewhere
    by_leaf = {key.rpartition(".")[2]: key for key in keys if key != "drift.name"}
    near = difflib.get_close_matches(last, sorted(by_leaf), 1)
    return by_leaf[near[0]] if near else None


def _siblings(keys: Sequence[str], section: str) -> list[str]:
    """Return the keys and sections right inside a section."""
    prefix = f"{section}." if section else ""
    inside = (key.removeprefix(prefix) for key in keys if key.startswith(prefix))
    return sorted({key.partition(".")[0] for key in inside})


def _show(value: Any) -> str:
    if isinstance(value, Mapping):
        return "a section"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
