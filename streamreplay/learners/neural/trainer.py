"""Training steps: incoming rows and memory in, a module that has learned from them out."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, final

import numpy as np
import torch
from numpy.typing import NDArray

from streamreplay.batch import Batch
from streamreplay.boost import Boost
from streamreplay.columns import describe_array
from streamreplay.errors import CheckpointError, ConfigError, DivergenceError
from streamreplay.learners.methods.catalogue import Method
from streamreplay.learners.methods.gradient_projection import project
from streamreplay.learners.methods.step import Loss, Step
from streamreplay.learners.methods.teachers import Average, Snapshot
from streamreplay.learners.neural.augment import Augmentation
from streamreplay.learners.neural.fastpath import FastPath
from streamreplay.learners.neural.network import Network, describe_tensor
from streamreplay.learners.neural.schedules import Schedule, Scheduler, set_rate
from streamreplay.learners.neural.targets import Classes, Targets
from streamreplay.learners.staging import Staging
from streamreplay.memory import empty_memory
from streamreplay.records import Rehearsal
from streamreplay.state import State

__all__ = ["ClassWeight", "OnDivergence", "Trainer", "Training"]

_NEVER = 1 << 62

OnDivergence: TypeAlias = Literal["raise", "skip"]
ClassWeight: TypeAlias = Callable[[int], float] | Mapping[int, float]


@dataclass(frozen=True)
class Training:
    """How steps are taken, whatever the method.

    Attributes
    ----------
    ema : float or None
        Predict with an exponential moving average of the weights, of which so much stays at each
        step, in [0, 1); see `streamreplay.learners.methods.teachers.Average`.
    clip_grad_norm : float or None
        The most that the Euclidean norm of a step's gradient may be.
    label_smoothing : float
        In [0, 1): the share of a label's weight that goes to all known classes alike.
    class_weight : mapping of int to float, or callable
        What rows of a class, by its label index, count in the loss; 1 where nothing is said.
    augment : Augmentation or None
        Changes staged rows for training, see `streamreplay.learners.neural.augment`. What it
        draws from torch's global generators is the learner's own.
    augment_incoming : bool
        Whether incoming rows are augmented as well as those of memory.
    schedule : Schedule or None
        What the learning rate is multiplied with, see `streamreplay.learners.neural.schedules`.
    schedule_weight_decay : bool
        Multiply the weight decay as well.
    schedule_restarts : bool
        Begin the schedule anew with each new experience.
    huber : float or None
        Of numbers to predict: standard deviations from which on an error counts linearly.

    Raises
    ------
    ValueError
        A value is out of its range.
    """

    ema: float | None = None
    clip_grad_norm: float | None = None
    label_smoothing: float = 0.0
    class_weight: ClassWeight | None = None
    augment: Augmentation | None = None
    augment_incoming: bool = True
    schedule: Schedule | None = None
    schedule_weight_decay: bool = False
    schedule_restarts: bool = False
    huber: float | None = None

    def __post_init__(self) -> None:
        if self.ema is not None and not 0 <= self.ema < 1:
            raise ValueError(f"ema must be in [0, 1), got {self.ema}")
        if self.clip_grad_norm is not None and not self.clip_grad_norm > 0:
            raise ValueError(f"clip_grad_norm must be above 0, got {self.clip_grad_norm}")
        if self.huber is not None and not self.huber > 0:
            raise ValueError(f"huber must be above 0, got {self.huber}")
        if not 0 <= self.label_smoothing < 1:
            raise ValueError(f"label_smoothing must be in [0, 1), got {self.label_smoothing}")
        if self.schedule is None and (self.schedule_weight_decay or self.schedule_restarts):
            raise ValueError(
                "schedule_weight_decay and schedule_restarts go with a schedule, got none"
            )


@final
class Trainer:
    """Take the training steps of a learner.

    Parameters
    ----------
    learner : TorchLearner
        Who retrieval may ask.
    net : Network
    staging : Staging
    method : Method
    training : Training
    on_divergence : {"raise", "skip"}
    """

    def __init__(
        self,
        learner: Any,
        net: Network,
        staging: Staging,
        method: Method,
        training: Training,
        on_divergence: OnDivergence,
    ) -> None:
        self._learner = learner
        self._net = net
        self._staging = staging
        self._method = method
        self._training = training
        self._on_divergence = on_divergence
        ema = method.ema if training.ema is None else training.ema
        if method.teacher == "average" and ema is None:
            raise ValueError("a method that is taught by the average of the weights needs ema")
        self.average = None if ema is None else Average(ema)
        self.snapshot = Snapshot() if method.teacher == "snapshot" else None
        self.scheduler = None
        if training.schedule is not None:
            self.scheduler = Scheduler(
                training.schedule,
                weight_decay=training.schedule_weight_decay,
                restart=training.schedule_restarts,
            )
        self.boost = Boost()
        """What the learning rate is multiplied with beside the schedule."""
        self.targets: Targets = Classes()
        """What the network's outputs stand for."""
        self._rows = 0  # labelled rows learned from
        self._latest = np.empty(0, np.int64)  # [width], the number of each class's latest row
        self._present = np.empty(0, np.int64)  # labels of the incoming rows
        self._weights = torch.ones(0)  # [classes met]
        self._aligned = 0  # outputs when copies were last made to grow along

    @property
    def predicts_apart(self) -> bool:
        """Tell whether a training pass is no prediction: other weights, or other rows."""
        return self.average is not None or self._training.augment is not None

    def note_experience(self, incoming: Batch) -> None:
        """Look at an incoming batch before the module has met its labels."""
        if self.snapshot is not None:
            net = self._net
            self.snapshot.note_experience(int(incoming.experience[-1]), net.module, net.known)

    def begin(self, incoming: Batch) -> None:
        """Look at an incoming batch, once the module has met its labels."""
        if self.scheduler is not None:
            self.scheduler.arrive(int(incoming.experience[-1]))
        self._look_at(incoming)

    def _look_at(self, incoming: Batch) -> None:
        self._present = incoming.y
        if self._aligned == self._net.width:
            return
        self._aligned = self._net.width  # copies made since then are as wide
        for copied in (self.snapshot, self.average):
            if copied is not None:
                copied.grow_along(self._net.module)

    def end(self, incoming: Batch) -> None:
        """Count the rows of a batch that was learned from."""
        y = incoming.y[incoming.y >= 0]
        if len(self._latest) < self._net.width:
            # a class that no row was of is not recent, however far one looks back
            more = np.full(self._net.width - len(self._latest), -_NEVER)
            self._latest = np.append(self._latest, more)
        self._latest[y] = self._rows + 1 + np.arange(len(y))  # of equal labels the last one counts
        self._rows += len(y)

    def recent_classes(self, back: int) -> NDArray[np.bool_]:
        """Return which classes are among so many rows learned from last: bool[width]."""
        return self._latest > self._rows - back

    def begin_anew(self) -> None:
        """Forget what was of another module than the one there is now."""
        self._rows, self._latest = 0, np.empty(0, np.int64)
        for copied in (self.snapshot, self.average):
            if copied is not None:
                copied.drop()

    def train(self, rehearsal: Rehearsal, logits: torch.Tensor | None) -> tuple[int, int]:
        """Take the steps for a record; return memory rows learned from, and passes left out.

        ``logits`` are those of the first pass, if they are there already.

        Raises
        ------
        DivergenceError
            The loss is not finite, and that is not to be skipped.
        ConfigError
            The mixer draws candidates and the method does not choose, or the other way round.
        """
        chooses = self._method.retrieve is not None
        if rehearsal.rows.size and chooses != (rehearsal.candidates is not None):
            why = "draws none, of which the method is to choose"
            if not chooses:
                why = "draws some, and the method does not choose among them"
            raise ConfigError(f"mixer.candidates: the mixer {why}")
        replayed = skipped = 0
        for number in range(len(rehearsal.rows)):
            rows = rehearsal.rows[number]
            if rehearsal.candidates is not None and len(rows):
                rows = self._retrieve(rehearsal, rehearsal.candidates[number], len(rows))
            before = self._remember()
            if logits is None:
                logits = self.forward(rehearsal, rows)
            step = self._see(rehearsal, rows, logits)
            logits = None
            if number == 0 and self._method.notes is not None:
                self._take_notes(rehearsal, step)  # before anything the step knows has moved
            if self._descend(step, rehearsal.incoming, before):
                replayed += len(rows)
            else:
                skipped += 1
        return replayed, skipped

    def forward(self, rehearsal: Rehearsal, rows: NDArray[np.int64]) -> torch.Tensor:
        """Run the module on the staged incoming rows and some rows of memory."""
        n, staging, net = len(rehearsal.incoming), self._staging, self._net
        end = n + len(rows)
        if len(rows):
            stored = rehearsal.memory.stored
            staging.put(n, stored.x.take(rows, axis=0), stored.y[rows])
        if not net.plain:
            net.train()
        x = staging.x[:end].to(net.device)
        augment = self._training.augment
        if augment is not None:
            first = 0 if self._training.augment_incoming else n
            y = self.targets.marks(staging.y[:end], _targets(rehearsal, rows))
            x = self._augment(augment, x, first, y)
        fast = net.fast(x)
        logits: torch.Tensor = net.module(x) if fast is None else fast.forward(x)
        return logits

    def fit(self, batch: Batch) -> None:
        """Take one step on some labelled rows alone."""
        rehearsal = Rehearsal(batch, empty_memory(batch))
        self._staging.make_room(len(batch), self._net.feature_shape)
        self._staging.put(0, batch.x, batch.y)
        self._look_at(batch)
        self.train(rehearsal, None)
        self.end(batch)

    def state_dict(self) -> State:
        """Return the averages, and which classes came when."""
        return {
            "rows": self._rows,
            "latest": self._latest,
            "average": None if self.average is None else self.average.state_dict(),
            "snapshot": None if self.snapshot is None else self.snapshot.state_dict(),
            "scheduler": None if self.scheduler is None else self.scheduler.state_dict(),
            "boost": self.boost.state_dict(),
        }

    def load_state_dict(self, state: State) -> None:
        """Take over a state of the same method and levers."""
        live = self._net.module if self._net.built else None
        self._rows, self._latest = int(state["rows"]), state["latest"].copy()
        for name, part in (("average", self.average), ("snapshot", self.snapshot)):
            if _given(name, state[name], part):
                part.load_state_dict(state[name], live)  # type: ignore[union-attr]
        if _given("scheduler", state["scheduler"], self.scheduler):
            self.scheduler.load_state_dict(state["scheduler"])  # type: ignore[union-attr]
        self.boost.load_state_dict(state.get("boost"))

    # -- what may be a user's own function -------------------------------------------------------

    def _lose(self, step: Step, loss: Loss) -> torch.Tensor:
        value: Any = loss(step)
        if isinstance(value, torch.Tensor) and not value.ndim and value.requires_grad:
            return value
        constant = isinstance(value, torch.Tensor) and not value.requires_grad
        raise ConfigError(
            "learner.loss: must return a tensor without dimensions that depends on step.logits, "
            f"got {_describe(value)}{' that depends on nothing' if constant else ''}"
        )

    def _pick(self, incoming: Batch, candidates: Batch, k: int) -> NDArray[np.int64]:
        chosen = self._method.retrieve(self._learner, incoming, candidates, k)  # type: ignore[misc]
        rows = np.asarray(chosen)
        if not rows.size:
            return np.empty(0, np.int64)
        if rows.ndim != 1 or rows.dtype.kind not in "iu" or len(rows) > k:
            raise ConfigError(
                f"learner.retrieval: must return int64[<= {k}], got {describe_array(rows)}"
            )
        if rows.min() < 0 or rows.max() >= len(candidates):
            raise ConfigError(
                f"learner.retrieval: must name candidates from 0 to {len(candidates) - 1}, "
                f"got {rows.tolist()}"
            )
        return rows.astype(np.int64, copy=False)

    def _make_notes(self, step: Step) -> Mapping[str, torch.Tensor]:
        notes = self._method.notes(step)  # type: ignore[misc]
        if not isinstance(notes, Mapping):
            raise ConfigError(
                f"learner.notes: must return tensors by name, got {type(notes).__name__}"
            )
        for name, values in notes.items():
            if not isinstance(values, torch.Tensor) or values.shape[:1] != (step.n,):
                raise ConfigError(
                    f"learner.notes: {name!r} must be a tensor of {step.n} rows, as the incoming "
                    f"ones are, got {_describe(values)}"
                )
        return notes

    # -- one pass --------------------------------------------------------------------------------

    def _augment(
        self, augment: Augmentation, x: torch.Tensor, first: int, y: torch.Tensor
    ) -> torch.Tensor:
        """Return rows with those from ``first`` on augmented."""
        if first == len(x):
            return x
        rows = x[first:]
        changed = augment(rows, y[first:].to(x.device))
        shape: Any = getattr(changed, "shape", None)  # they may be somebody else's
        if shape != rows.shape:
            got = type(changed).__name__ if shape is None else list(shape)
            raise ConfigError(f"learner.augment: must return rows {list(rows.shape)}, got {got}")
        return changed if not first else torch.cat([x[:first], changed])

    def _retrieve(
        self, rehearsal: Rehearsal, candidates: NDArray[np.int64], k: int
    ) -> NDArray[np.int64]:
        incoming, memory = rehearsal.incoming, rehearsal.memory
        rows = candidates[self._pick(incoming, memory.stored.take(candidates), k)]
        if len(rows):
            memory.replayed(rows)
        self._staging.put(0, incoming.x, incoming.y)  # asking the learner has staged other rows
        return rows

    def _see(self, rehearsal: Rehearsal, rows: NDArray[np.int64], logits: torch.Tensor) -> Step:
        net, training = self._net, self._training
        y = self._staging.y[: len(logits)].to(net.device)
        step = Step(logits, y, len(rehearsal.incoming), net.mask, net.known_tensor, self._recent)
        step.smoothing = training.label_smoothing
        step.weight = self._weigh_rows(rehearsal, rows)
        if training.class_weight is not None:
            of_class = self._weigh(y)
            step.weight = of_class if step.weight is None else step.weight * of_class
        self.targets.aim(step, _targets(rehearsal, rows))
        stored = rehearsal.memory.stored.notes
        if stored and self._method.notes is not None:
            step.notes = {
                name: torch.from_numpy(values[rows]).to(net.device)
                for name, values in stored.items()
            }
        if self._method.teacher is not None:
            self._ask_teacher(step, len(logits))
        return step

    def _descend(self, step: Step, incoming: Batch, before: list[torch.Tensor]) -> bool:
        """Take one step; tell whether it could be taken."""
        net = self._net
        logits, fast = step.logits, net.descended(step.logits)
        loss, reference = self._lose(step, self._method.loss), self._refer(step)
        values = [each.item() for each in (loss, reference) if each is not None]
        if not all(map(math.isfinite, values)):
            self._diverged(next(v for v in values if not math.isfinite(v)), incoming)
            net.restore(before)
            return False
        references = None if reference is None else self._slopes(reference, logits, fast)
        for parameter in net.parameters:
            parameter.grad = None  # what optimizer.zero_grad() does, without its hooks
        loss.backward()  # type: ignore[no-untyped-call]
        if fast is not None and self._looks_at_gradients:
            fast.backward(logits)
            fast = None
        if self._on_divergence == "skip" and not self._finite_gradients(references or ()):
            net.restore(before)
            return False
        if references is not None:
            self._project(references)
        if self._training.clip_grad_norm is not None:
            torch.nn.utils.clip_grad_norm_(net.parameters, self._training.clip_grad_norm)
        self._set_rate()
        if fast is None:
            net.optimizer.step()
        else:
            fast.step(logits)
        if self.average is not None:
            self.average.update(net.module)
        return True

    def _set_rate(self) -> None:
        """Set the learning rate of the step that comes now."""
        if self.scheduler is not None:
            self.scheduler.set(self._net.optimizer, self.boost.factor)
            self.scheduler.stepped()
        elif self.boost.used:
            set_rate(self._net.optimizer, self.boost.factor)

    @property
    def _looks_at_gradients(self) -> bool:
        """Tell whether anything comes between the gradients and the optimizer's step."""
        return (
            self._on_divergence == "skip"
            or self._method.reference is not None
            or self._training.clip_grad_norm is not None
        )

    def _refer(self, step: Step) -> torch.Tensor | None:
        """Return the reference loss, if there is one."""
        if self._method.reference is None or step.n == len(step.y):
            return None
        return self._lose(step, self._method.reference)

    def _slopes(
        self, loss: torch.Tensor, logits: torch.Tensor, fast: FastPath | None
    ) -> Sequence[torch.Tensor]:
        """Return a loss's gradient at the parameters."""
        at = self._net.trainable if fast is None else [logits]
        found = torch.autograd.grad(
            loss, at, retain_graph=True, allow_unused=True, materialize_grads=True
        )
        return found if fast is None else fast.gradients(found[0])

    def _project(self, references: Sequence[torch.Tensor]) -> None:
        parameters = self._net.trainable
        mine = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        for parameter, gradient in zip(parameters, project(mine, references), strict=True):
            parameter.grad = gradient

    def _ask_teacher(self, step: Step, rows: int) -> None:
        teacher = self.average if self._method.teacher == "average" else self.snapshot
        module = None if teacher is None else teacher.module
        if module is None:
            return
        known = step.known
        if self.snapshot is not None:
            known = torch.zeros_like(known)
            known[: len(self.snapshot.known)] = torch.from_numpy(self.snapshot.known)

        def teach() -> torch.Tensor:
            with torch.no_grad():
                told: torch.Tensor = module(self._staging.x[:rows].to(self._net.device))
            return told

        step.taught_by(teach, known)

    def _take_notes(self, rehearsal: Rehearsal, step: Step) -> None:
        for name, values in self._make_notes(step).items():
            rehearsal.memory.note(name, values.detach().cpu().float().numpy().copy())

    def _recent(self) -> torch.Tensor:
        recent = np.zeros(self._net.width, np.bool_)
        back = self._method.look_back
        if back:
            recent[: len(self._latest)] = self.recent_classes(back)
        recent[self._present[self._present >= 0]] = True
        return torch.from_numpy(recent).to(self._net.device)

    def _weigh_rows(self, rehearsal: Rehearsal, rows: NDArray[np.int64]) -> torch.Tensor | None:
        """Return what the stream says that rows count, [n + k]; 1 where it says nothing."""
        given = [rehearsal.incoming.weight]
        if len(rows):
            stored = rehearsal.memory.stored.weight
            given.append(None if stored is None else stored[rows])
        if all(part is None for part in given):
            return None
        sizes = (len(rehearsal.incoming), len(rows))
        parts = [
            np.ones(size, np.float32) if part is None else part
            for part, size in zip(given, sizes, strict=False)
        ]
        return torch.tensor(np.concatenate(parts), device=self._net.device)

    def _weigh(self, y: torch.Tensor) -> torch.Tensor:
        given, done = self._training.class_weight, len(self._weights)
        top = int(y.max()) + 1  # a module may have outputs for classes that nobody has named
        if done < top:
            get = given if callable(given) else lambda each: (given or {}).get(each, 1.0)
            more = torch.tensor([float(get(each)) for each in range(done, top)])
            self._weights = torch.cat([self._weights, more])
        return self._weights.to(y.device)[y.clamp(min=0)]

    def _remember(self) -> list[torch.Tensor]:
        """Copy what a forward pass moves, where it may have to be put back."""
        if self._on_divergence == "raise" or not self._net.statistics:
            return []
        return [buffer.clone() for buffer in self._net.statistics]

    def _diverged(self, value: float, incoming: Batch) -> None:
        if self._on_divergence == "raise":
            raise DivergenceError(
                f"loss is {value} at batch {self._learner.batches} (stream positions "
                f"{incoming.t[0]} to {incoming.t[-1]}): try a smaller learning rate, or "
                "on_divergence = skip"
            )

    def _finite_gradients(self, references: Sequence[torch.Tensor]) -> bool:
        gradients = [p.grad for p in self._net.parameters if p.grad is not None]
        return all(bool(torch.isfinite(each).all()) for each in (*gradients, *references))


def _targets(rehearsal: Rehearsal, rows: NDArray[np.int64]) -> NDArray[Any] | None:
    """Return the targets of incoming rows and some rows of memory; None for classes."""
    parts = [rehearsal.incoming.target]
    if len(rows) and rehearsal.memory.stored.target is not None:
        parts.append(rehearsal.memory.stored.target[rows])
    given = [part for part in parts if part is not None]
    return np.concatenate(given) if given else None


def _given(name: str, saved: object, live: object) -> bool:
    """Tell whether a part is there, which it must be in both or in neither."""
    if (saved is None) != (live is None):
        raise CheckpointError(
            f"{name}: saved {'none' if saved is None else 'one'}, this pipeline has "
            f"{'none' if live is None else 'one'}"
        )
    return live is not None


def _describe(value: object) -> str:
    if not isinstance(value, torch.Tensor):
        return type(value).__name__
    return describe_tensor(value)
