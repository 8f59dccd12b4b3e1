"""The keys of a job file, each with its rule, its default and its description.

TOML has no null: where a description says so, 0 switches a setting off.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    model_validator,
)

from streamreplay.batch import Objective
from streamreplay.config.choices import BUFFERS, FILE_FORMATS, METHODS, MODULES, SELECTIONS

_MOST = 2**53  # beyond it nothing can be allocated or counted, and JSON's numbers are not exact
Count: TypeAlias = Annotated[int, Field(ge=0, le=_MOST)]
Positive: TypeAlias = Annotated[int, Field(ge=1, le=_MOST)]
Channels: TypeAlias = Annotated[int, Field(ge=2, le=_MOST)]
Seed: TypeAlias = Annotated[int, Field(ge=0)]
Share: TypeAlias = Annotated[float, Field(gt=0, lt=1)]


@dataclass(frozen=True)
class Outside:
    """Marks a key whose text may reach out of a run folder: import code, write or send there."""

    verb: Literal["imports", "writes to", "sends to"]


Code: TypeAlias = Annotated[str, Outside("imports")]
"""A name of ours, or "package.module:name" of code that is imported."""


class _Section(BaseModel):
    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


def _unset(example: Any) -> Any:
    """Return the default None, and the value that the template of a job file shows instead."""
    return Field(default=None, examples=[example])


class SplitSection(_Section):
    """Reorder the rows into experiences of disjoint classes; all rows are read first."""

    n_experiences: Positive = Field(examples=[5])
    """Number of experiences."""
    class_order: list[int | str] | None = _unset([0, 1, 2, 3])
    """Order in which the classes appear; by default numbers before strings, or as `seed` shuffles
    them."""
    seed: Seed | None = _unset(0)
    """Seed that shuffles the classes and the rows of each experience; by default nothing is
    shuffled."""
    return_task_id: bool = False
    """Also number the tasks, like the experiences."""


class SourceSection(_Section):
    """The stream of rows to learn from."""

    path: str | Annotated[list[str], Field(min_length=1)] = "-"
    """File to read, or a list of them; a folder or a pattern such as "days/*.csv" stands for its
    files in the order of their names, and "-" for standard input. In a job file, relative to the
    folder of that file."""
    format: Annotated[str, FILE_FORMATS] = "auto"
    label: str | int | None = _unset("class")
    """Field or column with the label; by default y, in a CSV without a header the last column. ""
    means no labels."""
    target: str | int | list[str | int] | None = _unset("price")
    """Regression: field or column with the number to predict, or a list of them; replaces label."""
    multilabel: list[str | int] | None = _unset(["sport", "money"])
    """Multi-label streams: the names of all labels. Each is a field or column that holds 0 or 1,
    or, if `label` is given too, an entry of the list in that JSON field."""
    weight: str | int | None = _unset("weight")
    """Field or column with the weight of a row in the loss; rows without it weigh 1. By default
    `weight` in records with an array `x` and in .npz files, in others none."""
    features: list[str | int] | None = _unset(["a", "b"])
    """Fields or columns to learn from; by default all that can be learned from."""
    task: str | int | None = _unset("task")
    """Field or column with the task, a whole number; by default as with `weight`."""
    experience: str | int | None = _unset("experience")
    """Field or column with the experience, a whole number; by default as with `weight`."""
    id: str | int | None = _unset("id")
    """Field or column with the row's id, which is text; by default `id`."""
    time: str | int | None = _unset("time")
    """Field or column with the event time; by default `time`, in a table only if its first value is
    a date, or seconds since 1970 of a time after 1980."""
    header: bool | None = _unset(True)  # noqa: FBT003
    """Whether the first line of a CSV names its columns; by default this is detected."""
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] | None = _unset(",")
    """Separator of the columns of a CSV; by default the first lines decide between comma,
    semicolon, tab and |, and in a .tsv file it is a tab."""
    decimal: Literal[".", ","] | None = _unset(",")
    """Decimal mark of the numbers of a CSV; by default a point."""
    labels_path: str | None = _unset("train-labels-idx1-ubyte.gz")
    """File with the labels of IDX images."""
    batch_size: Positive = 32
    """Largest number of rows in a batch; a training step learns from one batch."""
    max_wait: Annotated[float, Field(ge=0)] = 0.5
    """Seconds to wait for a slow stream to fill a batch, which is then passed on as it is."""
    max_line_bytes: Positive = 1 << 20
    """Longest line that is read; longer ones are dead letters."""
    max_bad_share: Annotated[float, Field(ge=0, le=1)] = 0.1
    """Exit with code 3 if more than this share of all rows, or of any 10,000 in a row, are dead
    letters. May be changed with --resume."""
    max_classes: Positive = 10_000
    """Most different labels; one more is an error, before memory is spent on an id that was taken
    for a label. May be changed with --resume."""
    split: SplitSection | None = None

    @property
    def names_label(self) -> bool:
        """Whether the job names what is to be predicted, and not just takes the usual field."""
        return bool(self.label) or self.label == 0 or bool(self.target or self.multilabel)

    @property
    def objective(self) -> Objective:
        """What a row has to be predicted: a class, numbers or labels."""
        if self.target is not None:
            return "numbers"
        return "classes" if self.multilabel is None else "labels"


class FeaturesSection(_Section):
    """The columns of a table: what is learned from, and as what.

    See docs/guides/features.md.
    """

    exclude: list[str] = []
    """Columns that are left out: names, or patterns such as "d*"."""
    kinds: dict[str, Literal["number", "boolean", "category", "text", "time", "ignored"]] = {}
    """Kind of each column that must not be inferred from the first rows: number, boolean, category,
    text, time or ignored."""
    null_values: list[str] = []
    """Texts that count as missing, in addition to nothing, NA, NaN, nan, null, None and ?."""
    infer_rows: Positive = 1000
    """Rows from which the kinds of columns are inferred, or as many as came within max_wait."""
    on_change: Literal["evolve", "freeze"] = "evolve"
    """A column that is new later: evolve (take it in) or freeze (stop the run). May be changed with
    --resume."""
    max_categories: Positive = 10_000
    """Categories of a column that are told apart; later ones share 1,024 codes by their hash."""
    text_width: Positive = 256
    """Places that the words and character n-grams of a text are hashed to, a byte each."""


class LabelsSection(_Section):
    """When labels come, if not with their rows.

    See docs/guides/late-labels.md.
    """

    late: bool = False
    """Predict a record without a label, and learn it when a later record with its id brings the
    label."""
    max_pending: Positive = 100_000
    """late: records that wait for their label at most; the oldest is given up for a new one."""
    max_age: Annotated[float, Field(gt=0)] | None = _unset(86_400.0)
    """late: seconds of event time after which a record that waits for its label is given up."""
    delay: Count = 0
    """Play a stream whose labels come with their rows as if each came this many rows later."""


class ExperiencesSection(_Section):
    """When a new experience begins, if the stream does not say so."""

    by: Literal["count", "time", "drift"] = "drift"
    """count (every `rows` rows), time (every `seconds` of event time), or drift (whenever a
    [[drift]] has the action new_experience, which can be combined with count and time as well)."""
    rows: Positive | None = _unset(10_000)
    """count: rows of an experience; it ends at the next end of a batch."""
    seconds: Annotated[float, Field(gt=0)] | None = _unset(86_400.0)
    """time: seconds of event time of an experience."""


_BALANCED = ("class_balanced", "task_balanced", "experience_balanced")
GOES_WITH: dict[str, tuple[str, ...]] = {
    "groups": _BALANCED,
    "groupby": ("parametric",),
    "selection": ("parametric",),
    "half_life": ("decayed",),
    "half_life_seconds": ("decayed",),
}
"""Keys that only some kinds of buffers have."""

EITHER = (("half_life", "half_life_seconds"), ("ttl", "ttl_seconds"))
"""Keys that exclude each other."""


class BackboneSection(_Section):
    """A frozen module in front of the buffer, which then stores features instead of rows."""

    module: Code = Field(examples=["mypackage.nets:make_backbone"])
    """"package.module:name" of a module, or of a factory (feature_shape) -> nn.Module."""
    device: str = "cpu"
    """Torch device: cpu, cuda, cuda:1."""
    threads: Annotated[int, Field(ge=1, le=1024)] = 1
    """Torch threads; results are reproducible only with the same number."""


class BufferSection(_Section):
    """Which rows are stored for replay."""

    kind: Annotated[str, BUFFERS] = "class_balanced"
    max_size: Count = 1000
    """Capacity in rows."""
    max_bytes: Positive | None = _unset(100_000_000)
    """Capacity in bytes; replaces max_size."""
    groups: Positive | None = _unset(10)
    """Number of classes, tasks or experiences to expect; an equal share is reserved for each."""
    groupby: Literal["none", "class", "task", "experience"] | None = _unset("class")
    """parametric: groups that share the capacity equally; class by default."""
    selection: Annotated[Code | None, SELECTIONS] = _unset("herding")
    """parametric: which rows of a group are kept: random, herding, closest_to_center, loss_aware,
    gss_greedy, or "package.module:factory" of (learner) -> strategy; random by default."""
    half_life: Annotated[float, Field(gt=0)] | None = _unset(10_000.0)
    """decayed: rows after which a stored row weighs half as much; 10,000 by default."""
    half_life_seconds: Annotated[float, Field(gt=0)] | None = _unset(3_600.0)
    """decayed: the half-life in seconds of event time."""
    ttl: Positive | None = _unset(100_000)
    """Rows of the stream after which a stored row is deleted."""
    ttl_seconds: Annotated[float, Field(gt=0)] | None = _unset(86_400.0)
    """Seconds of event time after which a stored row is deleted."""
    storage: Annotated[str, Outside("writes to")] | None = _unset("buffer")
    """Folder of memory-mapped files for the rows; by default they are in RAM."""
    shared: bool = False
    """Draw the rows of all learners from one buffer; by default each learner has its own."""


class MixerSection(_Section):
    """Which stored rows are replayed with each batch."""

    batch_size_mem: Count | None = _unset(32)
    """Stored rows in a training step; by default source.batch_size."""
    by: Literal["none", "class", "task", "experience"] = "none"
    """Draw uniformly (none), or the same number of rows of each class, task or experience."""
    replacement: bool = False
    """Allow a row to be drawn twice for one step."""
    steps: Positive = 3
    """Training steps for each batch, each with its own draw."""
    candidates: Positive | None = _unset(160)
    """Stored rows to draw for a step, of which the learner's retrieval chooses batch_size_mem; by
    default 5 times as many, if the method chooses."""


class LearnerSection(_Section):
    """The model and how it learns.

    To compare several learners in one pass, write a [[learner]] for each.
    See docs/guides/comparing.md.
    """

    module: Annotated[Code, MODULES] = "mlp"
    """linear, mlp, cnn, slim_resnet18, or "package.module:factory" of (feature_shape, n_classes) ->
    nn.Module."""
    hidden: list[Positive] = [256, 256]
    """Widths of the hidden layers of mlp."""
    channels: list[Channels] | None = _unset([24, 48, 96])
    """cnn: channels of each convolution, [24, 48, 96] by default. slim_resnet18: channels of the
    first stage, a list of one number, [20] by default."""
    norm: Literal["none", "group", "batch"] | None = _unset("group")
    """Normalization after convolutions. cnn: none or group (the default); slim_resnet18: group or
    batch (the default)."""
    head: Literal["linear", "cosine", "weight_norm"] = "linear"
    """Last layer of linear, mlp, cnn and slim_resnet18: linear, cosine or weight_norm."""
    method: Annotated[Code, METHODS] = "auto"
    """How memory is used: er, er-ace, der, der++, a-gem, mir, lwf, mkd, ncm, er-slda, gdumb, gss,
    "package.module:factory" of () -> Method, or auto: er-slda, but er for numbers, for several
    labels, and with a loss, retrieval or notes of your own."""
    alpha: Annotated[float, Field(ge=0)] | None = _unset(0.3)
    """der, der++: weight of the distance from the stored logits."""
    beta: Annotated[float, Field(ge=0)] | None = _unset(1.0)
    """der++: weight of the loss on the stored labels."""
    look_back: Count | None = _unset(100)
    """er-ace: the classes of so many rows before the batch compete with incoming rows too. er-slda
    learns as er-ace does if this is given, otherwise as er."""
    distillation: Annotated[float, Field(ge=0)] | None = _unset(1.0)
    """lwf, mkd: weight of the distillation from the teacher."""
    temperature: Annotated[float, Field(gt=0)] | None = _unset(2.0)
    """lwf, mkd: temperature that softens the outputs of teacher and module."""
    retrain_passes: Positive | None = _unset(30)
    """gdumb: passes over memory to train a fresh module."""
    retrain_every: Count | None = _unset(10_000)
    """gdumb: rows after which a fresh module is trained, even if no held-out rows require it."""
    slda_features: Positive | None = _unset(2_000)
    """Predict together with streaming linear discriminant analysis (SLDA) of this many random
    features, which cannot forget. er-slda has 500, in 4 MB; 2,000 take 64 MB. Goes with every
    method."""
    slda_weight: Annotated[float, Field(ge=0)] | None = _unset(1.0)
    """Weight of SLDA relative to the module; 1 by default."""
    slda_margin: Annotated[float, Field(ge=0)] | None = _unset(0.02)
    """How much accuracy on current classes may be traded for accuracy on old ones; 0.005 by
    default. Take 0.02 where classes come one after the other."""
    loss: Code | None = _unset("mypackage.losses:focal")
    """Loss that replaces the method's: "package.module:function" of (step) -> scalar tensor."""
    retrieval: Code | None = _unset("hardest")
    """Which candidates are replayed: mir, hardest, or "package.module:function" of (learner,
    incoming, candidates, k) -> indices."""
    notes: Code | None = _unset("mypackage.losses:my_notes")
    """What is stored with each row: "package.module:function" of (step) -> dict of tensors."""
    ema: Annotated[float, Field(ge=0, lt=1)] | None = _unset(0.99)
    """Predict with an exponential moving average of the weights, with this decay."""
    clip_grad_norm: Annotated[float, Field(gt=0)] | None = _unset(1.0)
    """Clip the norm of each step's gradient to this value."""
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of a label's weight that is spread evenly over all known classes."""
    augment: list[Code] = []
    """Augmentations of rows for training, first to last: crop(2), flip(), jitter(0.2, 0.2),
    cutout(8), noise(0.1), feature_dropout(0.1), mixup(0.2), or "package.module:function" of (x, y)
    -> x."""
    augment_incoming: bool = True
    """Augment incoming rows as well as those of memory."""
    schedule: Code | None = _unset("inverse_sqrt(1000)")
    """Factor of the learning rate at each step: constant(), inverse_sqrt(1000), inverse_time(1000),
    cosine(10_000), or "package.module:function" of (step) -> factor."""
    warmup: Count = 0
    """Training steps over which the learning rate rises from 0."""
    schedule_weight_decay: bool = False
    """Multiply the weight decay by the factor too."""
    schedule_restarts: bool = False
    """Restart the schedule and the warm-up with each new experience."""
    replay_budget: Share | None = _unset(0.5)
    """Upper limit on the share of time that replay takes; rows that it leaves out are reported."""
    replay_rows_per_second: Annotated[float, Field(gt=0)] | None = _unset(10_000.0)
    """Upper limit on replayed rows per second. Cannot be combined with replay_budget."""
    replay_horizon: Annotated[float, Field(gt=0)] = 10.0
    """Seconds for which an unused budget is kept."""
    class_weight: dict[str, Annotated[float, Field(ge=0)]] | None = _unset({"spam": 2.0})
    """Weight of each class in the loss, by label; 1 for classes that are not named."""
    huber: Annotated[float, Field(gt=0)] | None = _unset(1.0)
    """Regression: standard deviations beyond which an error counts linearly, not squared."""
    optimizer: Literal["sgd", "adam", "adamw"] = "adam"
    """sgd, adam or adamw."""
    lr: Annotated[float, Field(gt=0, le=1e30)] = 0.001  # what torch makes of it fits float32
    """Learning rate."""
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Momentum of sgd."""
    weight_decay: Annotated[float, Field(ge=0, le=1e30)] = 0.0
    """Weight decay."""
    normalize: Literal["auto", "standard", "none"] = "auto"
    """Scaling of features: standard (by running mean and standard deviation), none, or auto (none
    for images of bytes, otherwise standard)."""
    on_divergence: Literal["raise", "skip"] = "raise"
    """If the loss is not finite: raise (stop the run) or skip (leave out the step)."""
    device: str = "cpu"
    """Torch device: cpu, cuda, cuda:1."""
    threads: Annotated[int, Field(ge=1, le=1024)] = 1  # very many end the process at once
    """Torch threads; results are reproducible only with the same number."""
    river: Code | None = _unset("forest.ARFClassifier(n_models=10, seed=1)")
    """River classifier or regressor that replaces the torch module: its constructor, or
    "package.module:factory" of () -> model."""
    allow_pickle: bool = False
    """Allow checkpoints to hold the River model, which is a pickle; --out requires it."""


def _check_name(name: str) -> str:
    if not re.fullmatch(r"[^\W\d_][\w.+-]*", name):
        raise ValueError(
            f"must begin with a letter and be of letters, digits and any of . _ + -, got {name!r}"
        )
    return name


class NamedLearnerSection(LearnerSection):
    """One of several learners, which learn side by side from the same rows."""

    name: Annotated[str, AfterValidator(_check_name)] | None = None
    """Name in the logs; by default learner1, learner2, ..."""
    buffer: BufferSection | None = None
    """A buffer that differs from the job's; keys that are left out are those of [buffer]."""
    mixer: MixerSection | None = None
    """A mixer that differs from the job's; keys that are left out are those of [mixer]."""


class EvaluatorSection(_Section):
    """What is logged."""

    report_every: Positive = 1000
    """Rows between two records of metrics.jsonl."""
    window: Positive = 1000
    """Rows in the sliding window."""
    fading: Annotated[float, Field(gt=0, le=1)] = 0.999
    """Fading factor of the faded accuracy."""
    metrics: list[str] = []
    """Further scores, by River's metrics: names, or constructors such as "FBeta(beta=0.5)"."""
    buffer: bool = True
    """Log what the buffer holds as well as the scores."""


class DriftSection(_Section):
    """A signal that is monitored for drift, and the actions that a drift triggers.

    See docs/guides/drift.md.
    """

    detector: str = "ADWIN()"
    """Constructor of a River detector: ADWIN(delta=0.002), KSWIN(), PageHinkley(), DDM(), EDDM(),
    HDDMA(), HDDMW(), FHDDM()."""
    on: str = "error"
    """error, loss, feature:NAME (or its index), label:NAME (the share of a class), or features and
    labels: a detector for each of them."""
    name: Annotated[str, AfterValidator(_check_name)] | None = _unset("adwin-error")
    """Name in the logs; by default the detector and the signal, such as adwin-error."""
    actions: list[str] = []
    """Actions at a drift: new_experience, replay(2.0, rows=5000), lr(0.5, rows=5000), shrink(0.5),
    forget(1000), restart_schedule, checkpoint."""
    warning_actions: list[str] = []
    """Actions at a warning, for detectors that give warnings."""
    cooldown: Count = 0
    """Rows after a drift in which nothing more is reported."""


class TestSection(_Section):
    """Rows that are never learned, to measure retention: a file, or a share of the source."""

    path: str | None = _unset("test.jsonl")
    """File to read, in the same way as the source."""
    labels_path: str | None = _unset("t10k-labels-idx1-ubyte.gz")
    """File with the labels of IDX images."""
    share: Share | None = _unset(0.1)
    """Share of the source's rows to hold out, in place of a file; all rows are read first."""
    first: Count = 0
    """Hold out rows only among this many first rows of the source; 0: among all."""
    seed: Seed = 0
    """Seed that chooses the held-out rows."""
    every: Count = 0
    """Test also whenever this many rows have passed; 0: only when an experience ends."""


class ProbeSection(_Section):
    """Labelled rows of the stream that are not learned, to measure retention without a test set.

    They are predicted and logged in their turn like all others. See docs/guides/retention.md.
    """

    share: Share = 0.02
    """Share of the labelled rows to withhold, chosen by a hash of their id or position: the same in
    every run."""
    max_size: Positive = 2000
    """Largest number of withheld rows to keep and predict again."""
    by: Literal["class", "task", "experience", "none"] = "class"
    """If there are more, the same number of each class, task or experience is kept."""
    every: Count = 0
    """Predict the kept rows after this many rows, and at each end of an experience; 0: as often as
    the budget allows."""
    budget: Annotated[float, Field(gt=0)] = 0.5
    """Upper limit on the kept rows that are predicted for each row of the stream."""
    seed: Seed = 0
    """Seed of the hash; another one withholds other rows."""


Emit: TypeAlias = Literal["auto", "predictions", "metrics", "none"]


class RunSection(_Section):
    """How the command runs the job; nothing here changes what is learned."""

    checkpoint_every: Positive = 10_000
    """Rows between two checkpoints."""
    keep_checkpoints: Positive = 3
    """Number of checkpoints to keep."""
    emit: Emit = "auto"
    """Standard output: predictions, metrics or none, one JSON object per line; auto is a live table
    on a terminal, and metrics elsewhere."""
    save_predictions: bool = False
    """Write predictions.jsonl into the run folder even if predictions are not emitted."""
    limit: Count = 0
    """Stop after this many rows; 0: at the end of the stream."""
    strict: bool = False
    """Stop at the first record that cannot be read, instead of putting it aside."""
    log_max_bytes: Count = 0
    """Begin a new file of a log before it exceeds this many bytes; 0: never."""
    log_keep: Count = 0
    """Finished files of each log to keep, in addition to those that a checkpoint needs; 0: all."""
    tensorboard: bool | Annotated[str, Outside("writes to")] = False
    """Also write metrics for TensorBoard: true for a folder in the run folder, or a path."""
    mlflow: Annotated[str, Outside("sends to")] | None = _unset("http://localhost:5000")
    """Also send metrics to MLflow: the URI of its tracking server."""
    mlflow_experiment: str = "streamreplay"
    """Experiment of MLflow for this run."""


def _form(learner: Any) -> str:
    return "several" if isinstance(learner, list) else "one"


OneOrSeveral: TypeAlias = Annotated[
    Annotated[LearnerSection, Tag("one")]
    | Annotated[Annotated[list[NamedLearnerSection], Field(min_length=1)], Tag("several")],
    Discriminator(_form),
]


class Job(_Section):
    """A job: where rows come from, what is stored, how the model learns, what is logged."""

    seed: Seed = 0
    """Seed of everything random."""
    source: SourceSection = SourceSection()
    features: FeaturesSection = FeaturesSection()
    labels: LabelsSection = LabelsSection()
    experiences: ExperiencesSection | None = None
    backbone: BackboneSection | None = None
    buffer: BufferSection = BufferSection()
    mixer: MixerSection = MixerSection()
    learner: OneOrSeveral = LearnerSection()
    """One learner, or an array of learners that learn side by side from the same rows."""
    evaluator: EvaluatorSection = EvaluatorSection()
    drift: list[DriftSection] = []
    """An array of signals to monitor for drift."""
    test: TestSection | None = None
    probe: ProbeSection | None = None
    run: RunSection = RunSection()

    @property
    def several(self) -> dict[str, NamedLearnerSection]:
        """The learners of an array by their names; empty if the job has one [learner]."""
        if isinstance(self.learner, LearnerSection):
            return {}
        return {
            learner.name or f"learner{place}": learner
            for place, learner in enumerate(self.learner, 1)
        }

    @property
    def learners(self) -> list[LearnerSection]:
        """All learners: one or several."""
        return [self.learner] if isinstance(self.learner, LearnerSection) else [*self.learner]

    @property
    def only_learner(self) -> LearnerSection:
        """The learner of a job with one [learner].

        Raises
        ------
        ValueError
            The job has several learners.
        """
        if not isinstance(self.learner, LearnerSection):
            raise ValueError(f"there are several learners: {', '.join(self.several)}")  # noqa: TRY004
        return self.learner

    def with_source(self, **keys: Any) -> Job:
        """Return the same job with other keys of its source."""
        return self.model_copy(update={"source": self.source.model_copy(update=keys)})

    def alone(self, name: str) -> Job:
        """Return the job that one of several learners would have alone.

        Raises
        ------
        KeyError
            No learner has that name.
        """
        named = self.several[name]
        settings = {key: getattr(named, key) for key in LearnerSection.model_fields}
        changes = {
            "learner": LearnerSection.model_construct(**settings),
            "buffer": (named.buffer or self.buffer).model_copy(update={"shared": False}),
            "mixer": named.mixer or self.mixer,
        }
        return self.model_copy(update=changes)

    @model_validator(mode="after")
    def _check_several(self) -> Self:
        for fault in self._faults():
            raise ValueError(fault)
        return self

    def _faults(self) -> Iterator[str]:
        yield from self._label_faults()
        if isinstance(self.learner, LearnerSection):
            if self.buffer.shared:
                yield "buffer.shared: goes with several learners, got one [learner]"
            return
        names = list(self.several)
        for place, learner in enumerate(self.learner):
            key, name = f"learner[{place}]", learner.name or f"learner{place + 1}"
            if name not in names:
                yield f"{key}.name: must be its own, got {name!r} twice"
            else:
                names.remove(name)
            if learner.buffer is not None and learner.buffer.shared:
                yield f"{key}.buffer.shared: is a key of [buffer] alone"
            if learner.buffer is not None and self.buffer.shared:
                yield f"{key}.buffer: goes without buffer.shared, got both"

    def _label_faults(self) -> Iterator[str]:
        labels = self.labels
        if not labels.late:
            return
        if labels.delay:
            yield f"labels.delay: is for labels that come in time, got {labels.delay} and late"
        if self.source.split is not None:
            yield "labels.late: goes without source.split, which needs the label of each row"
        if self.test is not None and self.test.share is not None:
            yield "labels.late: goes without test.share; give the test rows a file (test.path)"
