"""`Features`: rows of a Python program, such as dicts and frames, to batches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias, final

from numpy.typing import NDArray

from streamreplay.batch import Batch
from streamreplay.errors import CheckpointError, ConfigError
from streamreplay.features.kinds import ColumnKind, OnChange
from streamreplay.features.schema import Schema
from streamreplay.features.values import MISSING
from streamreplay.ingest.decode.given_batch import decode_rows, take_rows
from streamreplay.ingest.decode.named_fields import NamedFields
from streamreplay.ingest.decode.named_rows import NamedRows
from streamreplay.ingest.decode.options import (
    FieldNames,
    check_features,
    check_names,
    label_field,
    label_or_usual,
    labels_or_new,
)
from streamreplay.ingest.decode.roles import FieldsInUse
from streamreplay.ingest.decode.targets import targets_of
from streamreplay.labels import Labels, Name
from streamreplay.plain_text import listed
from streamreplay.state import State, within

Table: TypeAlias = Any
"""A list of dicts, a dict of columns, a frame of pandas or polars, or Arrow data."""


@final
class Features:
    """Turn rows with named columns into batches, in front of any learner.

    Rows are a list of dicts, a dict of columns (lists or arrays), a pandas or polars frame, or
    Arrow data: a ``Table``, a ``RecordBatch``, or any object of Arrow's PyCapsule interface, which
    needs PyArrow. All give the same batch for the same values, and that of a file with them.

    The first rows decide what each column is; see `infer`. A row may lack columns: what is missing
    is learned as a gap. As the source of a `Pipeline`, it lets `Pipeline.step` take such rows;
    called with a stream of them, it yields batches.

    Parameters
    ----------
    label : str or False, optional
        The column with the label, ``y`` by default: text, integers or booleans; None, NaN or no
        such column for rows without one. False: there is none.
    target : str or sequence of str, optional
        Instead of a label: the columns with the numbers to predict.
    multilabel : sequence of str or int, optional
        Instead of a label: all labels that a row may have; each is a column of 0 and 1, or, if
        ``label`` is given, an entry of the list in that column.
    weight, task, experience, id, time : str, optional
        Columns as in `JsonlSource`. Left out, a column ``id`` is the row's id, and a column
        ``time`` its time if the first value is one.
    columns : sequence of str, optional
        The columns to learn from; left out, all others.
    exclude : sequence of str
        Columns that are left out: names, or patterns such as ``d*``.
    kinds : mapping of str to str
        Kinds of columns that are not to be inferred: number, boolean, category, text, time or
        ignored.
    null_values : sequence of str
        Texts that count as missing, in addition to nothing, NA, NaN, nan, null, None and ?.
    on_change : {"evolve", "freeze"}
        Take in a column that comes later, or refuse its rows by a `ConfigError`.
    infer_rows : int
        Rows after which the kind of a column no longer changes.
    max_categories : int
        Categories of a column that are told apart.
    text_width : int
        Places that the words of a text are hashed to.
    labels : Labels, optional
        Names known from the start, to which new ones are added.

    Attributes
    ----------
    schema : Schema
        The columns, shared with every batch.
    labels : Labels
        The classes, shared with every batch.
    position : int
        Rows taken in so far.

    Raises
    ------
    ValueError
        Settings do not go together.

    Examples
    --------
    >>> features = Features(label="animal")
    >>> batch = features.batch([{"size": 1.5, "animal": "cat"}, {"colour": "red", "animal": "dog"}])
    >>> batch.schema.rows(batch.x), batch.y.tolist(), features.labels.names
    ([{'size': 1.5}, {'colour': 'red'}], [0, 1], ['cat', 'dog'])

    Rows of any form go through a pipeline:

    >>> from functools import partial
    >>> from torch.optim import SGD
    >>> from streamreplay import Pipeline, Prequential, TorchLearner, linear
    >>> learner = TorchLearner(linear(), partial(SGD, lr=0.1))
    >>> pipeline = Pipeline(Features(label="animal"), learner=learner, evaluator=Prequential())
    >>> report = pipeline.step([{"size": 1.5, "animal": "cat"}, {"size": 9, "animal": "dog"}])
    >>> pipeline.step({"size": [8.5, 2.0]}).scored.incoming.y.tolist()  # to be predicted
    [-1, -1]
    """

    def __init__(  # noqa: PLR0913 - keywords, each a setting of its own
        self,
        *,
        label: str | bool | None = None,
        target: str | Sequence[str] | None = None,
        multilabel: Sequence[Name] | None = None,
        weight: str | None = None,
        task: str | None = None,
        experience: str | None = None,
        id: str | None = None,
        time: str | None = None,
        columns: Sequence[str] | None = None,
        exclude: Sequence[str] = (),
        kinds: Mapping[str, ColumnKind] | None = None,
        null_values: Sequence[str] = (),
        on_change: OnChange = "evolve",
        infer_rows: int = 1000,
        max_categories: int = 10_000,
        text_width: int = 256,
        labels: Labels | None = None,
    ) -> None:
        named = label_field(label)
        goal = targets_of(target, multilabel, named)
        usual = label_or_usual(label, goal)
        fields = FieldNames(usual, task, experience, id, time, weight, goal)
        if columns is not None:
            check_features(columns, fields)
        if goal is not None:
            check_names(goal, "columns")
        self.schema = Schema(
            kinds=kinds,
            exclude=exclude,
            missing=MISSING | set(null_values),
            text_width=text_width,
            max_categories=max_categories,
            on_change=on_change,
            infer_rows=infer_rows,
        )
        self.labels = labels_or_new(labels, None if goal is None else goal.names)
        asked = None if columns is None else list(columns)
        self._fields = NamedFields("rows", "rows", fields, asked, self.schema)
        self.position = 0

    @property
    def feature_names(self) -> list[str] | None:
        """The columns learned from; None until the first row."""
        return self._fields.feature_names

    @property
    def left_out(self) -> list[str]:
        """The columns that are not used."""
        return self._fields.left_out

    def describe(self) -> FieldsInUse | None:
        """Return what each column is used for; None until the first row."""
        return self._fields.describe()

    def __call__(self, stream: Iterable[Table]) -> Iterator[Batch]:
        """Yield a batch for the rows of each table."""
        for rows in stream:
            yield self.batch(rows)

    def __iter__(self) -> Iterator[Batch]:
        """Raise an error: there is no stream, rows are given to `Pipeline.step`."""
        raise ValueError("Features have no rows of their own: give rows to step() of the pipeline")

    def infer(self, rows: Table) -> None:
        """Decide by some rows what each column is, and take in none of them.

        ``streamreplay run`` decides by the first 1,000 rows of a stream. Give such rows where the
        first batch is too small to tell. Rows that came before are not changed.

        Raises
        ------
        ValueError
            There is no row, or it was decided already.
        ConfigError
            There is nothing to learn from.
        """
        if self._fields.choice is not None:
            raise ValueError(f"infer must come before the first row, got {self.position} before")
        self._decide(*take_rows(self._fields, rows))

    def batch(self, rows: Table, y: Any = None) -> Batch:
        """Return rows as a batch; new labels, categories and columns are added.

        If it fails, nothing has changed.

        Parameters
        ----------
        rows : list of dict, dict of columns, frame, or Arrow data
        y : sequence, array or Series, optional
            The labels or targets, if the rows have none: [n], or [n, d] for d targets.

        Raises
        ------
        RecordError
            A row cannot be used; the message names the row, counted from 0, and the column.
        ConfigError
            There is a new column and the schema is frozen, there are too many labels, or there is
            nothing to learn from.
        ValueError
            Columns differ in length, or there is no row before it is known what columns there are.
        TypeError
            Rows are something else.
        """
        given, left_out = take_rows(self._fields, rows, y)
        begins = self._fields.choice is None
        try:
            if begins:
                self._decide(given, left_out)
            names = self._fields.feature_names
            goal = self._fields.fields.goal
            found = decode_rows(self._fields, given)
            batch = found.batch(self.position, self.labels, goal, names, self.schema)
        except BaseException:
            if begins:
                self._fields.forget()
            raise
        self.position += len(batch)
        return batch

    def transform(self, rows: Table) -> NDArray[Any]:
        """Return rows as a learner predicts them, ``x`` of a batch, and leave no trace.

        Labels and other columns that are not learned from may be missing.

        Raises
        ------
        ValueError
            No row has been taken in, so it is not known what the columns are.
        RecordError, TypeError
            As in `batch`.
        """
        choice = self._fields.choice
        if choice is None:
            raise ValueError("there must be a batch before rows can be transformed, got none")
        given, _ = take_rows(self._fields, rows)
        decoder = self._fields.rows(choice)
        if choice.array:
            return decode_rows(self._fields, given).x  # type: ignore[return-value]
        return self.schema.pack_known(self.schema.read(decoder.features(given), len(given)))

    def state_dict(self) -> State:
        """Return the position, the labels, and what was decided about the columns."""
        return {
            "rows": self.position,
            "labels": self.labels.state_dict(),
            **self._fields.decisions(known=True),
        }

    def load_state_dict(self, state: State) -> None:
        """Load a state.

        Raises
        ------
        CheckpointError
            It is of other settings, or of something else.
        """
        for key in ("rows", "labels"):
            if key not in state:
                raise CheckpointError(f"{key}: not saved, but features have it")
        self._fields.load(state)
        with within("labels"):
            self.labels.load_state_dict(state["labels"])
        self.position = int(state["rows"])

    def _decide(self, given: NamedRows, left_out: Mapping[str, str]) -> None:
        """Decide by some rows what columns are used for."""
        fields, names = self._fields, given.names
        if not len(given):
            raise ValueError("the first rows decide what columns there are: got none")
        absent = [name for name in fields.features or () if name not in names]
        if absent:
            raise ConfigError(
                f"rows: feature {absent[0]!r} is not a column; the columns are {listed(names)}"
            )
        fields.decide([given], names, fields.array_in(names, given.holds_arrays), left_out)
