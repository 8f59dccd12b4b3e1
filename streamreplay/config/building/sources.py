"""Open the source of a job, and read its test rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from streamreplay.config.job import FeaturesSection, SourceSection, TestSection
from streamreplay.config.parsing.inputs import Inputs, listed
from streamreplay.errors import ConfigError
from streamreplay.evaluation.retention.holdout import Holdout, compare_features
from streamreplay.features.schema import Schema
from streamreplay.features.values import MISSING
from streamreplay.ingest.connect.arrays import ArraySource
from streamreplay.ingest.connect.arrow import Streamed
from streamreplay.ingest.connect.byte_stream import OpenedPath
from streamreplay.ingest.connect.file_format import bare_name
from streamreplay.ingest.connect.idx import open_idx
from streamreplay.ingest.connect.npz import open_npz
from streamreplay.ingest.detect import detect
from streamreplay.ingest.formats import FORMATS
from streamreplay.ingest.splits import hold_out, in_memory, split_by_class
from streamreplay.labels import Labels, Name
from streamreplay.stage import Source

_NAMED = {"jsonl": "JSON fields", "parquet": "Parquet columns", "arrow": "Arrow columns"}
_TARGETS = ("target", "multilabel", "weight")
_OPTIONS = {"batch_size", "max_wait", "max_line_bytes", "header", "decimal"}
_FIELDS = ("features", "label", *_TARGETS, "task", "experience", "id", "time")


def open_inputs(
    settings: SourceSection,
    test: TestSection | None,
    columns: FeaturesSection,
    *,
    inputs: Inputs,
    limit: int | None,
    strict: bool,
    on_dead: Callable[[dict[str, Any]], None] | None,
    stop: Callable[[], bool] | None,
) -> tuple[ArraySource | Streamed, ArraySource | None]:
    """Open the source, and read the test rows if there are any.

    Parameters
    ----------
    settings : SourceSection
    test : TestSection, optional
    columns : FeaturesSection
    inputs : Inputs
        The files of the source.
    limit : int, optional
        Rows after which the source ends.
    strict : bool
        Raise an error at the first record that cannot be read.
    on_dead : callable, optional
        Called with each record that could not be read.
    stop : callable, optional
        A source that waits for rows ends once this returns True.

    Raises
    ------
    ConfigError
        Keys do not go together, or do not fit the files.
    SourceError
        A file cannot be opened.
    """
    _check_target(settings)
    share = None if test is None else test.share
    if test is not None and (test.path is None) == (share is None):
        got = "neither" if share is None else "both"
        raise ConfigError(
            f"test: give either path (a file) or share (of the source's rows), got {got}"
        )
    files, kind = inputs.files, inputs.format
    options: dict[str, Any] = {"on_dead": on_dead, "stop": stop, "strict": strict}
    if FORMATS[kind].streams and settings.split is None and share is None:
        options["schema"] = make_schema(columns)
        source = _open(settings, kind, files, paths=inputs.paths, limit=limit, **options)
        _bound_classes(source.labels, settings)
        return source, _read_test(test, settings, columns)
    options["schema"] = make_schema(columns)
    whole = _arrays(settings, kind, files, settings.labels_path, **options)
    rows, test_rows = _rearrange(whole, settings, test, columns)
    rows.put_aside, rows.notices = whole.put_aside, whole.notices
    rows.limit = limit
    _bound_classes(rows.labels, settings)
    return rows, test_rows


def _bound_classes(labels: Labels, settings: SourceSection) -> None:
    """Bound the classes of a source; the error for more of them names the column."""
    labels.most = settings.max_classes
    named = settings.label not in (None, "")
    labels.column = f"source.label: {settings.label!r}" if named else "source.label: the label"


def _rearrange(
    rows: ArraySource, settings: SourceSection, test: TestSection | None, columns: FeaturesSection
) -> tuple[ArraySource, ArraySource | None]:
    """Return the rows split by class, and the test rows, held out of them or from a file."""
    test_rows = _read_test(test, settings, columns)
    if test_rows is not None and (test_rows.schema is None or rows.schema is None):
        compare_features(test_rows.feature_names, rows.feature_names)
    try:
        if test is not None and test.share is not None:
            rows, test_rows = hold_out(rows, test.share, seed=test.seed, first=test.first or None)
        if settings.split is not None:
            rows = split_by_class(rows, **settings.split.model_dump())
    except ValueError as error:
        raise ConfigError(f"source: {error}") from None
    return rows, test_rows


def _check_target(settings: SourceSection) -> None:
    if settings.target is not None and settings.multilabel is not None:
        raise ConfigError(
            "source.target: numbers go without source.multilabel, which are labels, "
            f"got multilabel = {settings.multilabel!r}"
        )
    if settings.target is not None and settings.label:
        raise ConfigError(
            f"source.target: numbers go without source.label, got label = {settings.label!r}"
        )
    if settings.split is not None and (settings.target or settings.multilabel):
        key = "target" if settings.target else "multilabel"
        raise ConfigError(f"source.split: is by class, and rows with source.{key} have none")


def make_holdout(test: ArraySource, source: Source, *, every: int | None = None) -> Holdout:
    """Return the stage that puts test rows into the stream of a source.

    Labels are matched by name. If the source is split by class (each class is in one of several
    experiences), a test row belongs to the experience of its class; otherwise to the experience
    that it names.

    Parameters
    ----------
    test : ArraySource
        Labelled rows.
    source : Source
    every : int, optional
        Also test whenever this many rows have passed.

    Raises
    ------
    ConfigError
        There are no test rows, or a row has no label or a class that a split source lacks.

    Examples
    --------
    >>> from streamreplay.ingest import split_by_class
    >>> source = split_by_class(ArraySource([[0.0], [1.0]], ["a", "b"]), n_experiences=2)
    >>> test = ArraySource([[2.0], [3.0], [4.0]], ["b", "a", "b"])
    >>> stage = make_holdout(test, source)
    >>> [(len(batch), batch.held_out) for batch in stage(source)]
    [(1, None), (3, 'test'), (1, None), (3, 'test')]
    """
    if isinstance(source, ArraySource) and (of_class := _experience_of_class(source)) is not None:
        test = _in_experiences(test, of_class)
    try:
        return Holdout(test.whole(Labels(test.coded.names)), every=every)
    except ValueError as error:
        raise ConfigError(f"test: {error}") from None


def _experience_of_class(source: ArraySource) -> dict[Name, int] | None:
    """Return the experience of each class; None if the source is not split by class."""
    experience = source.whole(Labels()).experience
    of_class = experience[source.coded.first]
    labelled = source.coded.codes >= 0
    if len(set(of_class.tolist())) < 2 or (
        not np.array_equal(experience[labelled], of_class[source.coded.codes[labelled]])
    ):
        return None
    return dict(zip(source.coded.names, of_class.tolist(), strict=True))


def _in_experiences(test: ArraySource, of_class: dict[Name, int]) -> ArraySource:
    foreign = [name for name in test.coded.names if name not in of_class]
    if foreign:
        raise ConfigError(f"test: class {foreign[0]!r} is not among those of the source")
    unlabelled = int(np.count_nonzero(test.coded.codes < 0))
    if unlabelled:
        raise ConfigError(
            "test: every row needs a label, as the source is split by class, "
            f"{unlabelled} of {len(test)} have none"
        )
    experience = np.array([of_class[name] for name in test.coded.names], np.int64)[test.coded.codes]
    return test.select(np.arange(len(test)), experience=experience)


def make_schema(columns: FeaturesSection) -> Schema:
    """Make what infers and keeps the columns of a table."""
    settings = columns.model_dump(exclude={"null_values"})
    return Schema(**settings, missing=MISSING | set(columns.null_values))


def _read_test(
    test: TestSection | None, source: SourceSection, columns: FeaturesSection
) -> ArraySource | None:
    """Return the rows of a test file; None if the job has no such file."""
    if test is None or test.path is None:
        return None
    if test.path == "-" in listed(source.path):
        raise ConfigError(f"test.path: standard input is the source already, got {test.path!r}")
    expected = None if source.format == "auto" else source.format
    found = detect(test.path, expected)  # a test file need not have the format of the source
    if found.format is None:
        raise ConfigError(f"test.path: {test.path} holds no rows")
    return _arrays(
        source,
        found.format,
        [test.path],
        test.labels_path,
        strict=True,
        schema=make_schema(columns),
    )


def _arrays(
    settings: SourceSection, kind: str, files: list[str], labels_path: str | None, **options: Any
) -> ArraySource:
    """Read whole files into memory."""
    path = files[0]
    if kind == "idx":
        return _idx(settings, path, labels_path)
    if kind == "npz":
        _check_path(path)
        return _npz(settings, path)
    source = _open(settings, kind, files, **options)
    return source if isinstance(source, ArraySource) else in_memory(source)


def _idx(settings: SourceSection, path: str, labels_path: str | None) -> ArraySource:
    for key in _TARGETS:
        if getattr(settings, key) is not None:
            raise ConfigError(f"source.{key}: IDX files have classes only")
    labels = False if settings.label == "" else labels_path
    return open_idx(path, labels, batch_size=settings.batch_size)


def _npz(settings: SourceSection, path: str) -> ArraySource:
    names: dict[str, Any] = {
        key: list(map(str, value)) if isinstance(value, list) else str(value)
        for key, value in _given(settings).items()
    }
    if settings.features is not None:
        if len(settings.features) != 1:
            raise ConfigError(
                f"source.features: an .npz file has one array of features, got {settings.features}"
            )
        names["features"] = str(settings.features[0])
    arrays = {{"features": "x", "label": "y"}.get(key, key): name for key, name in names.items()}
    return open_npz(path, batch_size=settings.batch_size, **arrays)


def _open(
    settings: SourceSection,
    kind: str,
    files: list[str],
    paths: Sequence[str] = (),
    **options: Any,
) -> ArraySource | Streamed:
    file_format, fields = FORMATS[kind], _given(settings)
    given = paths or files
    path = given[0] if len(given) == 1 else given
    options |= {
        **settings.model_dump(include=_OPTIONS),
        "delimiter": settings.delimiter or ("\t" if bare_name(files[0]).endswith(".tsv") else None),
    }
    if kind in _NAMED:
        _check_names(settings, fields, _NAMED[kind])
    taken = file_format.taken(fields)
    for key, value in fields.items():
        if key not in taken:
            raise ConfigError(f"source.{key}: does not go with format {kind}, got {value!r}")
    try:
        source = file_format.open(path, **fields, **file_format.taken(options))
    except ValueError as error:
        raise ConfigError(f"source: {error}") from None
    if not isinstance(source, ArraySource | Streamed):
        raise TypeError(f"format {kind} gives rows as {type(source).__name__}, which cannot be run")
    return source


def _check_path(path: str) -> None:
    if path == "-" or isinstance(path, OpenedPath):
        raise ConfigError(
            "source.path: an .npz file has its index at its end, and cannot be read from standard "
            "input: give its path (--source FILE)"
        )


def _check_names(settings: SourceSection, fields: dict[str, Any], what: str) -> None:
    given = [*fields.values(), *(settings.target if isinstance(settings.target, list) else ())]
    numbers = [value for value in given if isinstance(value, int)]
    if numbers:
        raise ConfigError(f"source: {what} have names, got {numbers[0]}")


def _given(settings: SourceSection) -> dict[str, Any]:
    values = {name: getattr(settings, name) for name in _FIELDS}
    return {name: value for name, value in values.items() if value is not None}
