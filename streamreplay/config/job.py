"""What a job file can say, with the rule and the default of every key.

A number of 0 stands for "none" where the text says so: TOML has no null.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
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

__all__ = [
    "BackboneSection",
    "BufferSection",
    "DriftSection",
    "EvaluatorSection",
    "ExperiencesSection",
    "Job",
    "LearnerSection",
    "MixerSection",
    "NamedLearnerSection",
    "ProbeSection",
    "RunSection",
    "SourceSection",
    "SplitSection",
    "TestSection",
]

_MOST = 2**53  # beyond it nothing can be allocated or counted, and JSON's numbers are not exact
Count: TypeAlias = Annotated[int, Field(ge=0, le=_MOST)]
Positive: TypeAlias = Annotated[int, Field(ge=1, le=_MOST)]
Channels: TypeAlias = Annotated[int, Field(ge=2, le=_MOST)]
Seed: TypeAlias = Annotated[int, Field(ge=0)]
Share: TypeAlias = Annotated[float, Field(gt=0, lt=1)]
Format: TypeAlias = Literal["auto", "jsonl", "csv", "npz", "idx"]


class _Section(BaseModel):
    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


class SplitSection(_Section):
    """Show the rows class by class, as experiences of disjoint classes (reads all rows first)."""

    n_experiences: Positive
    """How many experiences."""
    class_order: list[int | str] | None = None
    """The classes in the order they are to appear; by default as `seed` says."""
    seed: Seed | None = None
    """Shuffles the classes and the rows of each experience; without it both keep their order."""
    return_task_id: bool = False
    """Number the tasks too, as the experiences."""


class SourceSection(_Section):
    """Where the rows come from."""

    path: str = "-"
    """File to read; "-" is standard input. In a job file relative to the file's folder."""
    format: Format = "auto"
    """auto, jsonl, csv, npz or idx; auto goes by the file's name. .gz and .zst are unpacked."""
    label: str | int | None = None
    """Field or column with the label; by default y, without a header the last. "" is none."""
    target: str | int | list[str | int] | None = None
    """Instead of a label: fields or columns with the numbers to predict (regression)."""
    multilabel: list[str | int] | None = None
    """Instead of a label: all labels, of which a row may have several; fields or columns of 0 and
    1, or, if `label` is given too, what that field of JSON lists."""
    weight: str | int | None = None
    """Field or column that says how much a row's loss counts; 1 where it is absent."""
    features: list[str | int] | None = None
    """Fields or columns to learn from; by default all numeric ones."""
    task: str | int | None = None
    """Field or column with the task id."""
    experience: str | int | None = None
    """Field or column with the experience id."""
    id: str | int | None = None
    """Field or column with the row's own id."""
    time: str | int | None = None
    """Field or column with the event time."""
    header: bool | None = None
    """Whether a CSV's first line names its columns; found out by default."""
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] | None = None
    """What separates the columns of a CSV; by default a comma, a tab in .tsv."""
    labels_path: str | None = None
    """File with the labels of IDX images."""
    batch_size: Positive = 32
    """Rows in a batch at most: one training step each."""
    max_wait: Annotated[float, Field(ge=0)] = 0.5
    """Seconds after which a slow stream's batch goes on as it is."""
    allow_nan: bool = False
    """Take NaN and infinity for numbers instead of dead letters."""
    max_line_bytes: Positive = 1 << 20
    """Longer lines are dead letters."""
    split: SplitSection | None = None


class ExperiencesSection(_Section):
    """Where one experience ends and the next begins, if the stream does not say so."""

    by: Literal["count", "time", "drift"] = "drift"
    """count (every `rows` rows), time (every `seconds` of event time), or drift (when a [[drift]]
    says new_experience, which goes with the other two as well)."""
    rows: Positive | None = None
    """count: rows of an experience; it ends at the next end of a batch."""
    seconds: Annotated[float, Field(gt=0)] | None = None
    """time: seconds of event time of an experience."""


class BackboneSection(_Section):
    """A frozen module in front of the buffer, which then stores features instead of rows."""

    module: str
    """"package.module:factory" of (feature_shape) -> nn.Module, or of a module."""
    device: str = "cpu"
    """Where torch computes: cpu, cuda, cuda:1."""
    threads: Annotated[int, Field(ge=1, le=1024)] = 1
    """Threads of torch; results are the same only for the same number."""


class BufferSection(_Section):
    """Which rows are kept for rehearsal."""

    kind: Literal[
        "class_balanced",
        "task_balanced",
        "experience_balanced",
        "reservoir",
        "parametric",
        "window",
        "decayed",
        "none",
    ] = "class_balanced"
    """Equal shares for each class (class_balanced), task or experience; reservoir (uniform over the
    whole stream), parametric (`groupby` and `selection`), window (the latest rows), decayed (rarer
    with age), or none (no replay)."""
    max_size: Count = 1000
    """Capacity in rows."""
    max_bytes: Positive | None = None
    """Capacity in bytes, instead of max_size."""
    groups: Positive | None = None
    """How many classes, tasks or experiences will come: each has its equal share kept for it."""
    groupby: Literal["none", "class", "task", "experience"] | None = None
    """parametric: what shares the capacity out; class by default."""
    selection: str | None = None
    """parametric: random, herding, closest_to_center, loss_aware, gss_greedy, or
    "package.module:factory" of (learner) -> strategy; random by default."""
    half_life: Annotated[float, Field(gt=0)] | None = None
    """decayed: rows in which a row comes to weigh half as much; 10,000 by default."""
    half_life_seconds: Annotated[float, Field(gt=0)] | None = None
    """decayed: the same in seconds of event time."""
    ttl: Positive | None = None
    """Rows after which a stored row is deleted."""
    ttl_seconds: Annotated[float, Field(gt=0)] | None = None
    """The same in seconds of event time."""
    storage: str | None = None
    """Folder to memory-map the rows in; by default they are in RAM."""
    shared: bool = False
    """Whether several learners draw from this one buffer; by default each has its own."""


class MixerSection(_Section):
    """Which stored rows are rehearsed with each batch."""

    batch_size_mem: Count | None = None
    """Stored rows in a training step; by default as many as source.batch_size."""
    by: Literal["none", "class", "task", "experience"] = "none"
    """Draw uniformly (none), or the same number of each class, task or experience."""
    replacement: bool = False
    """Whether a row may be drawn twice for one step."""
    steps: Positive = 3
    """Training steps per batch, each with its own draw."""
    candidates: Positive | None = None
    """Stored rows to draw for a step, of which the learner's retrieval chooses batch_size_mem; by
    default 5 times as many where the method chooses."""


class LearnerSection(_Section):
    """The model and how it learns.

    Several learners are compared in one pass as a [[learner]] each: see docs/comparing.md.
    """

    module: str = "mlp"
    """linear, mlp, cnn, slim_resnet18, or "package.module:factory" of (feature_shape, n_classes) ->
    nn.Module."""
    hidden: list[Positive] = [256, 256]
    """Widths of the mlp's hidden layers."""
    channels: list[Channels] | None = None
    """cnn: channels of each convolution, [24, 48, 96] by default. slim_resnet18: one number, those
    of its first stage, 20 by default."""
    norm: Literal["none", "group", "batch"] | None = None
    """Normalisation behind convolutions. cnn: none or group (the default); slim_resnet18: group or
    batch (the default)."""
    head: Literal["linear", "cosine", "weight_norm"] = "linear"
    """Last layer of linear, mlp, cnn and slim_resnet18: linear, cosine or weight_norm."""
    method: str = "auto"
    """How it learns from memory: auto (er-slda; er for numbers, several labels and pieces of one's
    own), er, er-ace, der, der++, a-gem, mir, lwf, mkd, ncm, er-slda, gdumb, gss, or
    "package.module:factory" of () -> Method."""
    alpha: Annotated[float, Field(ge=0)] | None = None
    """der, der++: weight of the stored logits."""
    beta: Annotated[float, Field(ge=0)] | None = None
    """der++: weight of the stored labels."""
    look_back: Count | None = None
    """er-ace: rows before the batch whose classes incoming rows also compete with. er-slda learns
    as er-ace does if it is given, else as er."""
    distillation: Annotated[float, Field(ge=0)] | None = None
    """lwf, mkd: weight of what the teacher says."""
    temperature: Annotated[float, Field(gt=0)] | None = None
    """lwf, mkd: softens what teacher and module say."""
    retrain_passes: Positive | None = None
    """gdumb: passes over memory for a fresh module."""
    retrain_every: Count | None = None
    """gdumb: rows after which it is trained afresh, also if no held-out rows ask for it."""
    random_features: Positive | None = None
    """Predict together with linear discriminants of so many random features, which do not forget.
    er-slda has 500, in 4 MB; 2,000 take 64 MB. Goes with every method."""
    discriminant_weight: Annotated[float, Field(ge=0)] | None = None
    """What the discriminants count beside the module; 1 by default."""
    discriminant_margin: Annotated[float, Field(ge=0)] | None = None
    """Accuracy on the classes that come at present which they may cost for what they retain; 0.005
    by default, 0.02 where classes come one after the other."""
    loss: str | None = None
    """Instead of the method's loss, "package.module:function" of (step) -> scalar tensor."""
    retrieval: str | None = None
    """Which candidates to rehearse: mir, hardest, or "package.module:function" of (learner,
    incoming, candidates, k) -> indices."""
    notes: str | None = None
    """What to store beside a row: "package.module:function" of (step) -> dict of tensors."""
    ema: Annotated[float, Field(ge=0, lt=1)] | None = None
    """Predict with a moving average of the weights, of which so much stays at each step."""
    clip_grad_norm: Annotated[float, Field(gt=0)] | None = None
    """The most that the norm of a step's gradient may be."""
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of a label's weight that goes to all known classes alike."""
    augment: list[str] = []
    """How rows are changed for training, first to last: crop(2), flip(), jitter(0.2, 0.2),
    cutout(8), noise(0.1), feature_dropout(0.1), mixup(0.2), or "package.module:function" of (x, y)
    -> x."""
    augment_incoming: bool = True
    """Whether incoming rows are changed as well as those of memory."""
    schedule: str | None = None
    """What the learning rate is multiplied with: constant(), inverse_sqrt(1000),
    inverse_time(1000), cosine(10_000), or "package.module:function" of (step) -> factor."""
    warmup: Count = 0
    """Training steps in which the learning rate rises from 0."""
    schedule_weight_decay: bool = False
    """Multiply the weight decay as well."""
    schedule_restarts: bool = False
    """Begin the schedule and the warm-up anew with each new experience."""
    replay_budget: Share | None = None
    """The most that rehearsal may take of the time, as a share; what it leaves out is reported."""
    replay_rows_per_second: Annotated[float, Field(gt=0)] | None = None
    """Instead of it: the most memory rows that may be learned from in a second."""
    replay_horizon: Annotated[float, Field(gt=0)] = 10.0
    """Seconds for which a budget that was not used is kept."""
    class_weight: dict[str, Annotated[float, Field(ge=0)]] | None = None
    """What rows count in the loss by their label; 1 for those not named."""
    huber: Annotated[float, Field(gt=0)] | None = None
    """Regression: standard deviations from which on an error counts linearly, not squared."""
    optimizer: Literal["sgd", "adam", "adamw"] = "adam"
    """sgd, adam or adamw."""
    lr: Annotated[float, Field(gt=0, le=1e30)] = 0.001  # what torch makes of it fits float32
    """Learning rate."""
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Momentum of sgd."""
    weight_decay: Annotated[float, Field(ge=0, le=1e30)] = 0.0
    """Weight decay."""
    normalize: Literal["auto", "standard", "none"] = "auto"
    """Scale features as they come: standard (running mean and deviation), none, or auto."""
    on_divergence: Literal["raise", "skip"] = "raise"
    """When the loss is not finite: stop, or leave the step out."""
    device: str = "cpu"
    """Where torch computes: cpu, cuda, cuda:1."""
    threads: Annotated[int, Field(ge=1, le=1024)] = 1  # very many end the process at once
    """Threads of torch; results are the same only for the same number."""
    river: str | None = None
    """Instead of a torch module a classifier or regressor of River, as it is constructed, or
    "package.module:factory" of () -> model."""
    allow_pickle: bool = False
    """Let checkpoints hold the River model, which is a pickle; --out needs it."""


def _check_name(name: str) -> str:
    if not re.fullmatch(r"[^\W\d_][\w.+-]*", name):
        raise ValueError(
            f"must begin with a letter and be of letters, digits and any of . _ + -, got {name!r}"
        )
    return name


class NamedLearnerSection(LearnerSection):
    """One of several learners, which learn side by side from the same rows."""

    name: Annotated[str, AfterValidator(_check_name)] | None = None
    """What the logs call it; by default learner1, learner2, ..."""
    buffer: BufferSection | None = None
    """A buffer that differs from the job's; keys that are left out are as in [buffer]."""
    mixer: MixerSection | None = None
    """A mixer that differs from the job's; keys that are left out are as in [mixer]."""


class EvaluatorSection(_Section):
    """What is logged."""

    report_every: Positive = 1000
    """Rows from one record of metrics.jsonl to the next."""
    window: Positive = 1000
    """Rows in the sliding window."""
    fading: Annotated[float, Field(gt=0, le=1)] = 0.999
    """Fading factor of the faded accuracy."""
    metrics: list[str] = []
    """More scores, by River's metrics: names, or constructors such as "FBeta(beta=0.5)"."""
    buffer: bool = True
    """Log what the buffer holds beside the scores."""


class DriftSection(_Section):
    """What is watched for drift, and what a drift does: see docs/drift.md."""

    detector: str = "ADWIN()"
    """A detector of River, as it is constructed: ADWIN(delta=0.002), KSWIN(), PageHinkley(), DDM(),
    EDDM(), HDDMA(), HDDMW(), FHDDM()."""
    on: str = "error"
    """error, loss, feature:NAME (or its index), label:NAME (the share of a class), or features and
    labels: a detector for each of them."""
    name: Annotated[str, AfterValidator(_check_name)] | None = None
    """What the log calls it; by default its detector and `on`, as adwin-error."""
    actions: list[str] = []
    """What a drift does: new_experience, replay(2.0, rows=5000), lr(0.5, rows=5000), shrink(0.5),
    forget(1000), restart_schedule, checkpoint."""
    warning_actions: list[str] = []
    """What a warning does, of detectors that give one."""
    cooldown: Count = 0
    """Rows after a drift in which nothing more is reported."""


class TestSection(_Section):
    """Rows that are never learned, to test retention on: a file, or a share of the source."""

    path: str | None = None
    """File to read, as the source is read."""
    labels_path: str | None = None
    """File with the labels of IDX images."""
    share: Share | None = None
    """Instead of a file: the share of the source's rows to hold out (reads all rows first)."""
    first: Count = 0
    """Hold out only among the first so many rows of the source; 0: among all."""
    seed: Seed = 0
    """Which rows are held out."""
    every: Count = 0
    """Test also after each so many rows; 0: only when an experience ends."""


class ProbeSection(_Section):
    """Labelled rows of the stream that are not learned, to see what is retained without a test set.

    They are predicted and logged in their turn as all others. See docs/retention.md.
    """

    share: Share = 0.02
    """Share of the labelled rows to withhold, drawn by a hash of their id or position: the same in
    every run."""
    max_size: Positive = 2000
    """Most rows to keep and ask about."""
    by: Literal["class", "task", "experience", "none"] = "class"
    """Of more rows than that, the same number of each class, task or experience is kept."""
    every: Count = 0
    """Ask after each so many rows and at each end of an experience; 0: as the budget allows."""
    budget: Annotated[float, Field(gt=0)] = 0.5
    """The most probe rows that are predicted for each row of the stream."""
    seed: Seed = 0
    """Another one withholds other rows."""


class RunSection(_Section):
    """How the command runs the job; none of it changes what is learned."""

    checkpoint_every: Positive = 10_000
    """Rows from one checkpoint to the next."""
    keep_checkpoints: Positive = 3
    """How many to keep."""
    emit: Literal["predictions", "metrics", "none"] = "metrics"
    """What to write to standard output, one JSON object per line."""
    save_predictions: bool = False
    """Write predictions.jsonl into the run folder also when they are not emitted."""
    limit: Count = 0
    """Stop after so many rows; 0: at the end of the stream."""
    strict: bool = False
    """Stop at the first record that cannot be read, instead of putting it aside."""
    log_max_bytes: Count = 0
    """Begin a new file of a log before it grows beyond so many bytes; 0: never."""
    log_keep: Count = 0
    """How many finished files of each log to keep, and those that a checkpoint needs; 0: all."""
    tensorboard: bool | str = False
    """Write metrics for TensorBoard too: true for a folder in the run folder, or a path."""
    mlflow: str | None = None
    """Send metrics to MLflow too: the URI of its tracking server."""
    mlflow_experiment: str = "streamreplay"
    """MLflow's experiment that the run is in."""


def _form(learner: Any) -> str:
    return "several" if isinstance(learner, list) else "one"


OneOrSeveral: TypeAlias = Annotated[
    Annotated[LearnerSection, Tag("one")]
    | Annotated[Annotated[list[NamedLearnerSection], Field(min_length=1)], Tag("several")],
    Discriminator(_form),
]


class Job(_Section):
    """A job: where rows come from, what is kept, how it is learned, what is logged."""

    seed: Seed = 0
    """Everything random derives from it."""
    source: SourceSection = SourceSection()
    experiences: ExperiencesSection | None = None
    backbone: BackboneSection | None = None
    buffer: BufferSection = BufferSection()
    mixer: MixerSection = MixerSection()
    learner: OneOrSeveral = LearnerSection()
    """One learner, or an array of them that learn side by side from the same rows."""
    evaluator: EvaluatorSection = EvaluatorSection()
    drift: list[DriftSection] = []
    """An array of what is watched for drift."""
    test: TestSection | None = None
    probe: ProbeSection | None = None
    run: RunSection = RunSection()

    @property
    def several(self) -> dict[str, NamedLearnerSection]:
        """Each of several learners by its name; empty where there is one [learner]."""
        if isinstance(self.learner, LearnerSection):
            return {}
        return {
            learner.name or f"learner{place}": learner
            for place, learner in enumerate(self.learner, 1)
        }

    @property
    def learners(self) -> list[LearnerSection]:
        """All learners, also where there is one."""
        return [self.learner] if isinstance(self.learner, LearnerSection) else [*self.learner]

    @property
    def only_learner(self) -> LearnerSection:
        """The learner of a job that has one.

        Raises
        ------
        ValueError
            There are several.
        """
        if not isinstance(self.learner, LearnerSection):
            raise ValueError(f"there are several learners: {', '.join(self.several)}")  # noqa: TRY004
        return self.learner

    def alone(self, name: str) -> Job:
        """Return the job of one of several learners, as if there were no other.

        Raises
        ------
        KeyError
            There is none of that name.
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
