"""Training steps: incoming rows and memory in, a module that has learned from them out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy as np
import torch
from numpy.typing import NDArray

from streamreplay.batch import Batch
from streamreplay.errors import ConfigError
from streamreplay.learners.methods.catalogue import Method
from streamreplay.learners.methods.step import AskableLearner, Step
from streamreplay.learners.methods.teachers import Average, Snapshot
from streamreplay.learners.neural.descent import Descent, RowWeights
from streamreplay.learners.neural.network import Network
from streamreplay.learners.neural.targets import ClassTargets
from streamreplay.learners.neural.training import OnDivergence, Training
from streamreplay.learners.neural.user_functions import augmented, notes_of, retrieved
from streamreplay.learners.scaling import Staging
from streamreplay.memory import empty_memory
from streamreplay.records import Rehearsal
from streamreplay.state import GROWN, PART, Fields, State, expect, load_state, save_state

_NEVER = 1 << 62


@final
class ClassRecency:
    """The number of each class's latest row, counting the rows learned from."""

    STATE: ClassVar = Fields(rows=int, latest=GROWN)

    def __init__(self) -> None:
        self.rows = 0
        """Labelled rows learned from."""
        self.latest = np.empty(0, np.int64)
        """int64[width], the number of each class's latest row."""

    def add(self, y: NDArray[np.int64], width: int) -> None:
        """Count rows by their labels, -1 for none; there are ``width`` classes now."""
        y = y[y >= 0]
        if len(self.latest) < width:
            # a class without rows is not recent, however far one looks back
            more = np.full(width - len(self.latest), -_NEVER)
            self.latest = np.append(self.latest, more)
        self.latest[y] = self.rows + 1 + np.arange(len(y))  # of equal labels the last one counts
        self.rows += len(y)

    def among(self, back: int) -> NDArray[np.bool_]:
        """Return which classes are among the last ``back`` rows learned from: bool[width]."""
        return self.latest > self.rows - back

    def clear(self) -> None:
        """Start counting again."""
        self.rows, self.latest = 0, np.empty(0, np.int64)


@final
@dataclass(eq=False, repr=False)
class Trainer:
    """Take the training steps of a learner.

    Parameters
    ----------
    learner : AskableLearner
        The learner that retrieval may ask.
    network : Network
    staging : Staging
    method : Method
    training : Training
    on_divergence : {"raise", "skip"}
    """

    learner: AskableLearner
    network: Network
    staging: Staging
    method: Method
    training: Training
    on_divergence: OnDivergence

    def __post_init__(self) -> None:
        method, training = self.method, self.training
        ema = method.ema if training.ema is None else training.ema
        if method.teacher == "average" and ema is None:
            raise ValueError(f"a method with teacher = {method.teacher!r} needs ema, got none")
        self.average = None if ema is None else Average(ema)
        self.snapshot = Snapshot() if method.teacher == "snapshot" else None
        self._descent = Descent(self.network, method, training, self.on_divergence)
        self.scheduler = self._descent.scheduler
        """The schedule of the learning rate, if there is one."""
        self.boost = self._descent.boost
        """The factor of the learning rate in addition to that of the schedule."""
        self._weights = RowWeights(training.class_weight)
        self.recent = ClassRecency()
        self._present = np.empty(0, np.int64)  # labels of the incoming rows
        # outputs and inputs when copies of the module last grew with it
        self._aligned: tuple[int, tuple[int, ...]] = (0, ())

    def note_experience(self, incoming: Batch) -> None:
        """Prepare for the batch's experience, which may be new. Call before the head grows.

        A new one takes a teacher snapshot, and may restart the schedule.
        """
        if self.snapshot is not None:
            net = self.network
            self.snapshot.note_experience(incoming.present_experience, net.module, net.known)
        if self.scheduler is not None:
            self.scheduler.arrive(incoming.present_experience)

    def forget_module(self) -> None:
        """Drop what belongs to a module that is about to be replaced."""
        self.recent.clear()
        for copied in (self.snapshot, self.average):
            if copied is not None:
                copied.drop()

    def train(self, rehearsal: Rehearsal, logits: torch.Tensor | None) -> tuple[int, int]:
        """Take the steps for a record, after the head has grown for it.

        Parameters
        ----------
        rehearsal : Rehearsal
        logits : float32[n + k, width] or None
            Those of the first pass, if they were computed already.

        Returns
        -------
        replayed : int
            Memory rows learned from, over all passes.
        skipped : int
            Passes left out.

        Raises
        ------
        DivergenceError
            The loss is not finite, and such steps are not to be left out.
        ConfigError
            The mixer draws candidates and the method does not choose, or the other way round.
        """
        self._align(rehearsal.incoming)
        self._check_candidates(rehearsal)
        replayed = skipped = 0
        for number in range(len(rehearsal.rows)):
            rows = rehearsal.rows[number]
            if rehearsal.candidates is not None and len(rows):
                rows = self._retrieve(rehearsal, rehearsal.candidates[number], len(rows))
            before = self._descent.remember()
            if logits is None:
                logits = self.forward(rehearsal, rows)
            step = self._step_of(rehearsal, rows, logits)
            logits = None
            notes = self.method.notes
            if number == 0 and notes is not None:  # before the weights that made them change
                for name, values in notes_of(step, notes).items():
                    rehearsal.memory.note(name, values.detach().cpu().float().numpy().copy())
            if self._descent.step(step, rehearsal.incoming, self.learner.batches, before):
                replayed += len(rows)
                if self.average is not None:
                    self.average.update(self.network.module)
            else:
                skipped += 1
        self.recent.add(rehearsal.incoming.y, self.network.width)
        return replayed, skipped

    def forward(self, rehearsal: Rehearsal, rows: NDArray[np.int64]) -> torch.Tensor:
        """Run the module on the staged incoming rows and some rows of memory."""
        n, staging, net = len(rehearsal.incoming), self.staging, self.network
        end = n + len(rows)
        if len(rows):
            stored = rehearsal.memory.stored
            staging.put(n, stored.x.take(rows, axis=0), stored.y[rows])
        if not net.plain:
            net.train(end)
        x = staging.x[:end].to(net.device)
        augment = self.training.augment
        if augment is not None:
            first = 0 if self.training.augment_incoming else n
            marks = staging.y[:end]
            if not isinstance(net.targets, ClassTargets):
                marks = net.targets.marks(marks, _targets(rehearsal, rows))
            x = augmented(augment, x, first, marks)
        fast = net.fast(x)
        logits: torch.Tensor = net.module(x) if fast is None else fast.forward(x)
        return logits

    def fit(self, batch: Batch) -> None:
        """Take one step on some labelled rows alone."""
        self.staging.begin(batch.x, batch.y)
        self.train(Rehearsal(batch, empty_memory(batch)), None)

    def state_dict(self) -> State:
        """Return the averages, and which classes came when."""
        return {
            **save_state(self.recent),
            "average": PART.save(self.average),
            "snapshot": PART.save(self.snapshot),
            "scheduler": PART.save(self.scheduler),
            "boost": PART.save(self.boost),
        }

    def load_state_dict(self, state: State) -> None:
        """Load a state of the same method and training settings."""
        live = self.network.module if self.network.built else None
        load_state(self.recent, state)
        parts: dict[str, Average | Snapshot | None]
        parts = {"average": self.average, "snapshot": self.snapshot}
        for name, part in parts.items():
            expect(name, *("none" if each is None else "one" for each in (state[name], part)))
            if part is not None:
                part.load_state_dict(state[name], live)
        PART.load("scheduler", self.scheduler, state["scheduler"])
        PART.load("boost", self.boost, state["boost"])

    def _align(self, incoming: Batch) -> None:
        """Grow copies of the module with it."""
        self._present = incoming.y
        size = (self.network.width, self.network.feature_shape)
        if self._aligned == size:
            return
        self._aligned = size  # copies made from now on are as wide
        for copied in (self.snapshot, self.average):
            if copied is not None:
                copied.grow_along(self.network.module)

    def _check_candidates(self, rehearsal: Rehearsal) -> None:
        chooses = self.method.retrieve is not None
        if not rehearsal.rows.size or chooses == (rehearsal.candidates is not None):
            return
        why = "draws none, of which the method is to choose"
        if not chooses:
            why = "draws some, and the method does not choose among them"
        raise ConfigError(f"mixer.candidates: the mixer {why}")

    def _retrieve(
        self, rehearsal: Rehearsal, candidates: NDArray[np.int64], k: int
    ) -> NDArray[np.int64]:
        retrieve, incoming, memory = self.method.retrieve, rehearsal.incoming, rehearsal.memory
        if retrieve is None:
            return candidates
        drawn = memory.stored.take(candidates)
        rows = candidates[retrieved(retrieve, self.learner, incoming, drawn, k)]
        if len(rows):
            memory.replayed(rows)
        self.staging.put(0, incoming.x, incoming.y)  # questions to the learner staged other rows
        return rows

    def _step_of(self, rehearsal: Rehearsal, rows: NDArray[np.int64], logits: torch.Tensor) -> Step:
        """Return what the functions of the method are given."""
        net = self.network
        y = self.staging.y[: len(logits)].to(net.device)
        step = Step(logits, y, len(rehearsal.incoming), net.mask, net.known_tensor, self._recent)
        step.smoothing = self.training.label_smoothing
        step.weight = self._weights(rehearsal, rows, y)
        if not isinstance(net.targets, ClassTargets):
            net.targets.aim(step, _targets(rehearsal, rows))
        stored = rehearsal.memory.stored.notes
        if stored and self.method.notes is not None:
            step.notes = {
                name: torch.from_numpy(values[rows]).to(net.device)
                for name, values in stored.items()
            }
        if self.method.teacher is not None:
            self._set_teacher(step, len(logits))
        return step

    def _set_teacher(self, step: Step, rows: int) -> None:
        teacher = self.average if self.method.teacher == "average" else self.snapshot
        module = None if teacher is None else teacher.module
        if module is None:
            return
        known = step.known
        if self.snapshot is not None:
            known = torch.zeros_like(known)
            known[: len(self.snapshot.known)] = torch.from_numpy(self.snapshot.known)

        def teach() -> torch.Tensor:
            with torch.no_grad():
                told: torch.Tensor = module(self.staging.x[:rows].to(self.network.device))
            return told

        step.taught_by(teach, known)

    def _recent(self) -> torch.Tensor:
        recent = np.zeros(self.network.width, np.bool_)
        back = self.method.look_back
        if back:
            recent[: len(self.recent.latest)] = self.recent.among(back)
        recent[self._present[self._present >= 0]] = True
        return torch.from_numpy(recent).to(self.network.device)


def _targets(rehearsal: Rehearsal, rows: NDArray[np.int64]) -> NDArray[Any] | None:
    """Return the targets of incoming rows and some rows of memory; None for classes."""
    parts = [rehearsal.incoming.target]
    if len(rows) and rehearsal.memory.stored.target is not None:
        parts.append(rehearsal.memory.stored.target[rows])
    given = [part for part in parts if part is not None]
    return np.concatenate(given) if given else None
