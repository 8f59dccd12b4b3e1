"""The learner around a PyTorch module: predict the incoming rows, then rehearse."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from typing import Any, TypeAlias, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.func import functional_call
from torch.optim import Optimizer

from streamreplay.batch import Batch
from streamreplay.columns import describe_array
from streamreplay.errors import CheckpointError, ConfigError
from streamreplay.learners.methods.catalogue import METHODS, Method, er, made_here
from streamreplay.learners.methods.gate import RECENT
from streamreplay.learners.methods.nearest_mean import NearestMean
from streamreplay.learners.methods.slda import RandomFeatures
from streamreplay.learners.models.mlp import ModuleFactory
from streamreplay.learners.neural.budget import ReplayBudget
from streamreplay.learners.neural.global_state import OwnRandomness, own_threads
from streamreplay.learners.neural.head_view import watching
from streamreplay.learners.neural.network import Network, OptimizerFactory
from streamreplay.learners.neural.targets import Classes, Targets, load_targets, targets_of
from streamreplay.learners.neural.trainer import OnDivergence, Trainer, Training
from streamreplay.learners.predictions import Predictions, unknown
from streamreplay.learners.scaling import Normalize, Scaler
from streamreplay.learners.staging import Staging
from streamreplay.learners.withheld import in_order, step_around
from streamreplay.memory import empty_memory
from streamreplay.randomness import Seed
from streamreplay.records import Rehearsal, Scored
from streamreplay.state import State, Stateful, expect

__all__ = ["TorchLearner"]

_BLOCK = 512  # rows run through the module at a time

_Opinions: TypeAlias = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
"""Log-probabilities of module and discriminants float32[n, width], and the latter's features."""


@final
class TorchLearner:
    """Predict each incoming batch, then take training steps on it together with memory.

    How it learns from the two is the method's: plain experience replay, the default, descends on
    the mean cross-entropy over the incoming rows and those of memory that were drawn for them. A
    batch is one averaged step, not one step for each of its rows. Rows without a label are
    predicted only.

    The last linear layer is the head: it grows when a label beyond its width appears, and classes
    that no label has named yet are masked out of predictions and losses.

    Rows with a ``target`` in place of a class, as the first rows learned from have or have not,
    make the outputs numbers (learned by their squared error, in units of their running standard
    deviation) or labels (each by its own cross-entropy). A row's ``weight`` is what it counts in
    the mean of a step's loss.

    Parameters
    ----------
    module : torch.nn.Module or ModuleFactory
        A module, trained in place, or a factory that is called when the first row shows its shape.
    optimizer : callable or torch.optim.Optimizer
        Given the parameters, returns the optimizer: ``partial(torch.optim.SGD, lr=0.05)``. An
        optimizer that was already built over ``module.parameters()`` will do.
    method : Method or str
        What is stored, retrieved and descended on; or a name of
        `streamreplay.learners.methods.catalogue.METHODS`.
    training : Training
        How steps are taken: averaged weights, clipping, smoothing, augmentation, schedules.
    replay_budget : ReplayBudget, optional
        How much of the time may go into rehearsal; without it all that was drawn is rehearsed. It
        is this learner's own from then on.
    normalize : {"auto", "standard", "none"}
        How features are scaled; see `streamreplay.learners.scaling.Scaler`.
    on_divergence : {"raise", "skip"}
        What to do when a loss is not finite: stop, or leave out the step.
    device : str or torch.device
    threads : int, optional
        CPU threads for this learner's work; None takes torch's setting. Results can differ in the
        last digits between numbers of threads.
    seed : int or numpy.random.SeedSequence
        For the module's own random numbers: initial weights, dropout. torch's global generator is
        left as it was found.

    Examples
    --------
    >>> from functools import partial
    >>> from streamreplay.batch import Batch
    >>> from streamreplay.learners import linear
    >>> learner = TorchLearner(linear(), partial(torch.optim.SGD, lr=0.1))
    >>> stream = [Batch.from_arrays([[float(i % 2)]], [i % 2], start=i) for i in range(100)]
    >>> [int(scored.prediction[0]) for scored in learner(stream)][-4:]
    [0, 1, 0, 1]
    """

    def __init__(  # noqa: PLR0913 - each of them is a setting of its own
        self,
        module: nn.Module | ModuleFactory,
        optimizer: OptimizerFactory | Optimizer,
        *,
        method: Method | str | None = None,
        training: Training | None = None,
        replay_budget: ReplayBudget | None = None,
        normalize: Normalize = "auto",
        on_divergence: OnDivergence = "raise",
        device: str | torch.device = "cpu",
        threads: int | None = None,
        seed: Seed = 0,
    ) -> None:
        if on_divergence not in ("raise", "skip"):
            raise ValueError(f"on_divergence must be raise or skip, got {on_divergence!r}")
        if threads is not None and threads < 1:
            raise ValueError(f"threads must be at least 1, got {threads}")
        root = seed if isinstance(seed, np.random.SeedSequence) else np.random.SeedSequence(seed)
        self.device = torch.device(device)
        self.threads = threads
        self.on_divergence = on_divergence
        self.method = _named(method)
        self.training = training or Training()
        self.batches = 0
        """Batches learned from."""
        self._scaler = Scaler(normalize)
        self._staging = Staging(self._scaler)
        self._random = OwnRandomness(int(root.generate_state(1)[0]), self.device)
        self._net = Network(module, optimizer, self.device, self._random)
        self._trainer = Trainer(
            self, self._net, self._staging, self.method, self.training, on_divergence
        )
        self._targets: Targets = Classes()  # until the first row shows what it asks for
        self._nearest = NearestMean() if self.method.classifier == "ncm" else None
        asked = self.method.discriminant
        self._moments = None if asked is None else RandomFeatures(asked)
        # for held-out rows: the batch they are of, and what predicts beside the head since then
        self._fresh: tuple[int, NearestMean | None, RandomFeatures | None] = (-1, None, None)
        self._due = 0  # rows since a module was trained from memory
        if replay_budget is not None and self.method.retrain is not None:
            raise ValueError("replay_budget is for methods that rehearse with each batch")
        self._budget = replay_budget
        if self.method.retrain is not None:
            self._check_renewable("a method that retrains")
        # like layers, only our own functions are known to draw no random number
        self._draws = self.training.augment is not None or not made_here(self.method)

    @property
    def module(self) -> nn.Module:
        """The module as it is now.

        Raises
        ------
        ValueError
            A factory was given, and no row has arrived yet.
        """
        return self._net.module

    def __call__(self, stream: Iterable[Batch | Rehearsal]) -> Iterator[Scored]:
        """Score each record's incoming batch, then learn from the record."""
        for record in stream:
            rehearsal = record
            if isinstance(rehearsal, Batch):
                rehearsal = Rehearsal(rehearsal, empty_memory(rehearsal))
            yield self._step(rehearsal)

    def predict_proba(self, x: NDArray[Any]) -> NDArray[np.float32]:
        """Return class probabilities without learning: float32[n, classes].

        Classes that no label has named yet have probability 0. Of rows that may have several
        labels, the probability of each.

        Raises
        ------
        ValueError
            Rows have another shape than those learned from, no row has arrived yet, or the outputs
            are numbers.
        """
        if not self._net.built:
            raise ValueError("there are no classes to predict before the first row has arrived")
        self._check_shape(x)
        with self._ambience():
            return self._targets.probabilities(self._predict(x))

    def predict(self, x: NDArray[Any]) -> NDArray[Any]:
        """Return the prediction of each row without learning, as in `Scored`.

        Raises
        ------
        ValueError
            Rows have another shape than those learned from, or no row has arrived yet.
        """
        if not self._net.built:
            raise ValueError("there is nothing to predict before the first row has arrived")
        self._check_shape(x)
        with self._ambience():
            return self._score(Batch.from_arrays(x), self._predict(x)).prediction

    def losses(self, batch: Batch) -> NDArray[np.float32]:
        """Return the present loss of each row: float32[n], NaN where it has no label.

        Nats, as `Scored.loss`; a class that was not met yet has the largest loss there is. Like
        `features` and `gradients`, this runs in evaluation mode and leaves no trace in the learner.

        Raises
        ------
        ValueError
            Rows have another shape than those learned from.
        """
        if not self._net.built or not len(batch):
            return unknown(batch).loss
        self._check_shape(batch.x)
        with self._asking():
            return self._score(batch, self._masked(self._run(batch.x))).loss

    def losses_after(self, lesson: Batch, batch: Batch) -> NDArray[np.float32]:
        """Return what each row's loss would be after a step of gradient descent on other rows.

        The step is on the mean cross-entropy of ``lesson``, at the optimizer's learning rate; no
        weight is changed.

        Parameters
        ----------
        lesson : Batch
            Rows whose labels the model has not met yet are left out.
        batch : Batch
            The rows to be scored: float32[n] is returned for them, as by `losses`.

        Raises
        ------
        ValueError
            Rows have another shape than those learned from.
        """
        met = (lesson.y >= 0) & (lesson.y < self._net.width)
        if self._net.built:
            met[met] = self._net.known[lesson.y[met]]
        if not met.any() or not len(batch):
            return self.losses(batch)
        lesson = lesson.take(met)
        self._targets.check(lesson)
        self._check_shape(lesson.x)
        self._check_shape(batch.x)
        with self._asking():
            after = self._step_aside(lesson)
            logits = self._run(batch.x, after)
            return self._score(batch, self._masked(logits)).loss

    def features(self, x: NDArray[Any]) -> NDArray[np.float32]:
        """Return what the head is given for each row: float32[n, d].

        Of a module that does not end in a linear layer, its outputs; before the first row was
        learned, the rows themselves, flattened, uint8 divided by 255.

        Raises
        ------
        ValueError
            Rows have another shape than those learned from.
        """
        if not self._net.built or not len(x):
            plain = np.empty(x.shape, np.float32)
            self._scaler.write(x, plain)
            return plain.reshape(len(x), math.prod(x.shape[1:]))
        self._check_shape(x)
        with self._asking(), watching(self._net.head) as view:
            return view.features(self._run(x))

    def gradients(self, batch: Batch) -> NDArray[np.float32]:
        """Return each row's gradient of the loss at the head's weights and bias: float32[n, d].

        Class after class, so that d grows by entries at the end. A row of a class that was not met
        yet has a gradient as if it had probability 0; one without a label, 0. Of a module that does
        not end in a linear layer, the gradient at its outputs. Before the first row was learned
        there are no weights, and d is 0.

        Raises
        ------
        ValueError
            Rows have another shape than those learned from.
        """
        if not self._net.built or not len(batch):
            return np.empty((len(batch), 0), np.float32)
        self._check_shape(batch.x)
        with self._asking(), watching(self._net.head) as view:
            logits = self._run(batch.x)
            return view.gradients(self._targets.slopes(self._masked(logits), batch), logits)

    def retrain(self, memory: Batch, passes: int = 30, batch_size: int = 32) -> None:
        """Replace the module by a fresh one that has learned from these rows alone, as GDumb does.

        Parameters
        ----------
        memory : Batch
            Such as ``buffer.buffer``; rows without a label are left out.
        passes : int
            How often each is learned from, in an order drawn anew.
        batch_size : int
            Rows in a step.

        Raises
        ------
        ValueError
            A module was given instead of a factory, so there is no way to a fresh one; no row has a
            label; or rows have another shape than those learned from.

        References
        ----------
        A. Prabhu et al., "GDumb: a simple approach that questions our progress in continual
        learning", 2020.
        """
        self._check_renewable("retrain")
        memory = memory.take(memory.y >= 0)
        if not len(memory):
            raise ValueError("memory must have rows with a label, got none")
        if self._net.built:
            self._check_shape(memory.x)
        with own_threads(self.threads), self._random():
            if not self._scaler.count:
                self._scaler.update(memory.x)
            self._trainer.begin_anew()
            self.restart_schedule()
            self._build(memory)
            for _ in range(passes):
                order = torch.randperm(len(memory)).numpy()
                for start in range(0, len(memory), batch_size):
                    rows = memory.take(order[start : start + batch_size])
                    self._net.meet(rows.y)
                    self._trainer.fit(rows)
        if self._nearest is not None:
            self._nearest = NearestMean()  # means of another module's features
        self._fresh = (-1, None, None)
        self._due = 0

    def restart_schedule(self) -> None:
        """Begin the schedule of the learning rate anew, as when a drift was detected."""
        if self._trainer.scheduler is not None:
            self._trainer.scheduler.restart()

    @property
    def scheduled(self) -> bool:
        """Tell whether there is a schedule of the learning rate."""
        return self._trainer.scheduler is not None

    def scale_lr(self, factor: float, rows: int | None = None) -> None:
        """Multiply the learning rate from the next batch on, beside what a schedule does.

        Parameters
        ----------
        factor : float
        rows : int, optional
            For so many rows of the stream, to the end of the batch in which they are used up; a
            later call replaces what is left of them. None: for good, times what was there before.

        Raises
        ------
        ValueError
            ``factor`` is not above 0 and finite, or ``rows`` is below 1.
        """
        self._trainer.boost.set(factor, rows)

    def state_dict(self) -> State:
        """Return weights, optimizer, scaler, the classes known and the random state.

        Raises
        ------
        DivergenceError
            A weight is not finite.
        """
        return {
            "batches": self.batches,
            "scaler": self._scaler.state_dict(),
            "random": self._random.state_dict(),
            "network": self._net.state_dict(),
            "trainer": self._trainer.state_dict(),
            "outputs": self._targets.state_dict(),
            "nearest": None if self._nearest is None else self._nearest.state_dict(),
            "moments": None if self._moments is None else self._moments.state_dict(),
            "due": self._due,
            "budget": None if self._budget is None else self._budget.state_dict(),
        }

    def load_state_dict(self, state: State) -> None:
        """Take over a state of the same module, optimizer and scaling."""
        self.batches = int(state["batches"])
        try:
            self._aim(load_targets(state["outputs"], self.training.huber))
        except CheckpointError as error:
            raise CheckpointError(f"outputs.{error}") from None
        parts: list[tuple[str, Stateful]] = [
            ("scaler", self._scaler),
            ("network", self._net),
            ("trainer", self._trainer),
        ]
        if self._budget is not None and state["budget"] is not None:
            parts.append(("budget", self._budget))  # one that is new to the run begins here
        for name, part in parts:
            try:
                part.load_state_dict(state[name])
            except CheckpointError as error:
                raise CheckpointError(f"{name}.{error}") from None
        for name, live in (("nearest", self._nearest), ("moments", self._moments)):
            expect(name, *("none" if each is None else "some" for each in (state[name], live)))
        if self._nearest is not None:
            self._nearest.load_state_dict(state["nearest"])
        if self._moments is not None:
            self._moments.load_state_dict(state["moments"])
        self._fresh = (-1, None, None)
        self._due = int(state["due"])
        self._random.load_state_dict(state["random"])  # last: building the network moves it

    # -- one record ------------------------------------------------------------------------------

    def _step(self, rehearsal: Rehearsal) -> Scored:
        incoming = rehearsal.incoming
        if not len(incoming):
            nothing = np.empty(0, np.float32)
            return Scored(incoming, np.empty(0, np.int64), nothing, nothing)
        if incoming.withheld is not None and not self._net.built:
            return step_around(rehearsal, self._step, unknown)
        if not self._net.built:
            if incoming.held_out:  # such rows must not decide what the module looks like
                return unknown(incoming).scored(incoming)
            self._build(incoming)
        self._check_shape(incoming.x)
        self._targets.check(incoming)
        if self._quiet and self.threads in (None, torch.get_num_threads()):
            return self._work(rehearsal)
        with self._ambience():
            return self._work(rehearsal)

    def _build(self, rows: Batch) -> None:
        """Make a module for such rows, and at the first time what predicts beside it."""
        first = not self._net.built
        if first:
            self._aim(targets_of(rows, self.training.huber))
            self._check_classless()
        self._net.build(rows.x.shape[1:], self._targets.count_outputs(rows))
        if self._targets.width is not None:
            self._net.know_all(self._targets.width)
        if first and self._moments is not None:
            with self._random():
                self._moments.build(math.prod(rows.x.shape[1:]))

    def _work(self, rehearsal: Rehearsal) -> Scored:
        incoming = rehearsal.incoming
        if self.method.retrain is not None:
            return self._work_from_memory(rehearsal, self.method.retrain)
        if incoming.withheld is not None and incoming.withheld.all():
            self._trainer.boost.passed(len(incoming))
            told = self._tell_apart(incoming, rehearsal.memory.stored)
            return self._score(incoming, self._combine(incoming.x, told)[0]).scored(incoming)
        if not incoming.held_out:
            return self._learn(rehearsal)
        with self._refreshed(rehearsal.memory.stored):
            return self._score(incoming, self._predict(incoming.x)).scored(incoming)

    def _work_from_memory(self, rehearsal: Rehearsal, passes: int) -> Scored:
        """Predict; learn nothing but from memory, where that is due."""
        incoming, memory = rehearsal.incoming, rehearsal.memory.stored
        every = self.method.retrain_every
        if self._due and len(memory) and (incoming.held_out or 0 < every <= self._due):
            self.retrain(memory, passes)
        scores = self._score(incoming, self._predict(incoming.x))
        if not incoming.held_out:
            learnable = incoming.learnable()
            self._targets.update(learnable)
            if len(learnable):
                self._scaler.update(learnable.x)
            self._due += len(incoming)
            self._trainer.boost.passed(len(incoming))
            self.batches += 1
        return scores.scored(incoming)

    def _learn(self, rehearsal: Rehearsal) -> Scored:
        whole, trainer = rehearsal.incoming, self._trainer
        if whole.withheld is not None:
            rehearsal = replace(rehearsal, incoming=whole.learnable())
        incoming = rehearsal.incoming
        first = not self._scaler.count
        if first:
            self._scaler.update(incoming.x)
        top = int(incoming.y.max())
        budget, throttled = (self._budget if top >= 0 else None), 0
        if budget is not None:
            rehearsal, throttled = budget.allow(rehearsal)
        logits, told = self._forward(rehearsal, whole, top)
        raw, said = self._combine(whole.x, told)
        scores = self._score(whole, raw)
        if logits is None and budget is not None:
            budget.begin()
        replayed = skipped = 0
        if top >= 0:
            trainer.note_experience(incoming)
            if self._meet_stored(rehearsal):
                logits = None
            self._meet(incoming)
            trainer.begin(incoming)
            replayed, skipped = trainer.train(rehearsal, logits)
            trainer.end(incoming)
        if budget is not None:
            budget.done()
        if not first:
            self._scaler.update(incoming.x)
        self._count_in(incoming, _of_learned(said, whole.withheld))
        trainer.boost.passed(len(whole))
        self.batches += 1
        return scores.scored(whole, replayed, skipped, throttled)

    def _forward(
        self, rehearsal: Rehearsal, whole: Batch, top: int
    ) -> tuple[torch.Tensor | None, torch.Tensor]:
        """Put the rows to learn, with labels up to ``top``, in their place, and run the module.

        Returns the logits of the first training pass if it predicts as well, as it does as long as
        it is the same function of the old weights; and what the module says of the whole batch.
        """
        incoming, net, mask = rehearsal.incoming, self._net, whole.withheld
        if not net.plain or not 0 <= top < net.width or self._predicts_apart:
            told = self._tell_apart(whole, rehearsal.memory.stored)
            self._stage(rehearsal)
            return None, told
        apart = None if mask is None else self._tell(whole.x[mask])  # before others take the place
        self._stage(rehearsal)
        logits = self._trainer.forward(rehearsal, rehearsal.rows[0])
        told = self._masked(logits[: len(incoming)].detach())
        return logits, told if mask is None or apart is None else in_order(mask, apart, told)

    def _stage(self, rehearsal: Rehearsal) -> None:
        """Put incoming rows where the first training pass finds them."""
        incoming = rehearsal.incoming
        n = len(incoming) + rehearsal.rows.shape[1]
        self._staging.make_room(n, self._net.feature_shape)
        self._staging.put(0, incoming.x, incoming.y)

    def _meet_stored(self, rehearsal: Rehearsal) -> bool:
        """Meet classes of memory that no incoming row was of; tell whether there are any.

        The buffer may have been filled before the learner came, or have taken in another's rows.
        """
        net, y = self._net, rehearsal.memory.stored.y
        if net.known.any():
            y = y[rehearsal.rows if rehearsal.candidates is None else rehearsal.candidates]
        if not y.size or (y.max() < net.width and (net.mask is None or net.known[y[y >= 0]].all())):
            return False
        net.meet(y)
        return True

    def _meet(self, incoming: Batch) -> None:
        """Make room for classes that are new, or take targets into their scale."""
        self._net.meet(incoming.y)
        self._targets.update(incoming)

    def _count_in(self, incoming: Batch, said: _Opinions | None) -> None:
        """Take a batch, and what was said of it, into what predicts beside the head."""
        if self._nearest is not None:
            self._nearest.grow_older()
        if self._moments is not None:
            features = None
            if said is not None:
                first, second, features = said
                recent = self._trainer.recent_classes(RECENT)
                self._moments.gate.watch(first, second, incoming.y, recent)
            self._moments.learn(incoming.x, incoming.y, features)
            self._moments.refresh()

    @contextmanager
    def _refreshed(self, memory: Batch) -> Iterator[None]:
        """Have class means and discriminants of this moment inside the block.

        They are copies: held-out rows leave no trace in what is learned.
        """
        kept = self._nearest, self._moments
        if self._fresh[0] != self.batches:
            self._nearest, self._moments = copy.copy(kept[0]), kept[1] and kept[1].refreshed()
            self._find_means(memory, at_once=True)
            self._fresh = (self.batches, self._nearest, self._moments)
        _, self._nearest, self._moments = self._fresh
        try:
            yield
        finally:
            self._nearest, self._moments = kept

    def _tell_apart(self, incoming: Batch, memory: Batch) -> torch.Tensor:
        self._find_means(memory, at_once=False)
        return self._tell(incoming.x)

    @property
    def _quiet(self) -> bool:
        """Tell whether a step draws no random number."""
        return self._net.plain and not self._draws

    @property
    def _predicts_apart(self) -> bool:
        choosing = self.method.retrieve is not None or self._nearest is not None
        return choosing or self._trainer.predicts_apart

    def _find_means(self, memory: Batch, *, at_once: bool) -> None:
        """Take the class means of the rows in memory anew where they are too old."""
        nearest = self._nearest
        if nearest is None or not nearest.stale(at_once=at_once):
            return
        if (memory.y < 0).any():
            memory = memory.take(memory.y >= 0)
        if not len(memory):
            return
        blocks = range(0, len(memory), _BLOCK)
        parts = [self._features_of(memory.x[start : start + _BLOCK]) for start in blocks]
        nearest.refresh(np.concatenate(parts), memory.y)

    def _features_of(self, x: NDArray[Any]) -> NDArray[np.float32]:
        average = self._trainer.average
        module = self._net.module if average is None or average.module is None else average.module
        head = self._net.head_of(module)
        with watching(head) as view:
            return view.features(self._run(x, module=module))

    def _predict(self, x: NDArray[Any]) -> torch.Tensor:
        """Return the logits to predict by, -inf for classes that are not known."""
        return self._combine(x, self._tell(x))[0]

    def _tell(self, x: NDArray[Any]) -> torch.Tensor:
        """Return what the module, or the class means of its features, says of rows."""
        if self._nearest is not None and self._nearest.ready:
            near = self._nearest.logits(self._features_of(x))
            missing = max(0, self._net.width - near.shape[1])
            return torch.nn.functional.pad(near, (0, missing), value=-torch.inf).to(self.device)
        average = self._trainer.average
        return self._masked(self._run(x, module=None if average is None else average.module))

    def _combine(
        self, x: NDArray[Any], masked: torch.Tensor
    ) -> tuple[torch.Tensor, _Opinions | None]:
        """Add what the discriminants say to logits, where there are some, and return both."""
        moments = self._moments
        if moments is None or not moments.ready or not self._net.known.any():
            return masked, None
        features = moments.featurise(x)
        first = torch.log_softmax(masked, 1)
        second = moments.log_posterior(features, masked.shape[1]).to(self.device)
        return moments.gate.combine(first, second), (first, second, features)

    def _run(
        self,
        x: NDArray[Any],
        weights: dict[str, torch.Tensor] | None = None,
        module: nn.Module | None = None,
    ) -> torch.Tensor:
        """Run a module (by default the learner's own) on rows, in evaluation mode."""
        self._staging.make_room(len(x), self._net.feature_shape)
        self._staging.put(0, x)
        rows = self._staging.x[: len(x)].to(self.device)
        fast = self._net.fast(rows) if module is None and weights is None else None
        if fast is not None:
            return fast.predict(rows)
        live = self._net.module if module is None else module
        if not self._net.plain:
            live.eval()
        with torch.no_grad():
            logits: torch.Tensor = (
                live(rows) if weights is None else functional_call(live, weights, (rows,))
            )
        return logits

    def _step_aside(self, lesson: Batch) -> dict[str, torch.Tensor]:
        """Return the weights as a step on these rows would leave them."""
        net = self._net
        self._staging.make_room(len(lesson), net.feature_shape)
        self._staging.put(0, lesson.x, lesson.y)
        if not net.plain:
            net.module.eval()
        n = len(lesson)
        logits = self._masked(net.module(self._staging.x[:n].to(self.device)))
        loss = self._targets.mean_loss(logits, lesson)
        named = {name: p for name, p in net.module.named_parameters() if p.requires_grad}
        slopes = torch.autograd.grad(
            loss, list(named.values()), allow_unused=True, materialize_grads=True
        )
        lr = float(net.optimizer.param_groups[0]["lr"])
        return {
            name: parameter.detach() - lr * slope
            for (name, parameter), slope in zip(named.items(), slopes, strict=True)
        }

    def _score(self, batch: Batch, masked: torch.Tensor) -> Predictions:
        if not self._net.known.any():
            return self._targets.unknown(batch)
        return self._targets.predict(masked, batch)

    def _aim(self, targets: Targets) -> None:
        self._targets = self._trainer.targets = targets

    def _check_classless(self) -> None:
        """Refuse settings that are of classes."""
        if self._targets.objective == "classes":
            return
        settings = {
            "method: ncm": self._nearest is not None,
            "method: er-slda": self._moments is not None,
            "label_smoothing": bool(self.training.label_smoothing),
            "class_weight": self.training.class_weight is not None,
        }
        for name, given in settings.items():
            if given:
                raise ConfigError(
                    f"learner.{name}: is of classes, and rows have {self._targets.objective} "
                    "instead"
                )

    def _masked(self, logits: torch.Tensor) -> torch.Tensor:
        mask = self._net.mask
        return logits if mask is None else logits + mask

    def _check_renewable(self, what: str) -> None:
        if not self._net.renewable:
            raise ValueError(
                f"{what} needs a factory of modules, got a module: there is no way to a fresh one"
            )

    def _check_shape(self, x: NDArray[Any]) -> None:
        if x.shape[1:] != self._net.feature_shape:
            live = f"[n, {', '.join(map(str, self._net.feature_shape))}]"
            raise ValueError(f"x: this learner has learned from {live}, got {describe_array(x)}")

    @contextmanager
    def _ambience(self) -> Iterator[None]:
        with own_threads(self.threads), nullcontext() if self._quiet else self._random():
            yield

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """As `_ambience`, and the random state is afterwards what it was."""
        with self._random.kept(), self._ambience():
            yield


def _of_learned(said: _Opinions | None, mask: NDArray[np.bool_] | None) -> _Opinions | None:
    """Return what was said of the rows that are not withheld."""
    if said is None or mask is None:
        return said
    kept = torch.from_numpy(np.flatnonzero(~mask))
    first, second, features = (each.index_select(0, kept.to(each.device)) for each in said)
    return first, second, features


def _named(method: Method | str | None) -> Method:
    if isinstance(method, Method):
        return method
    if method is None:
        return er()
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}, got {method!r}")
    return METHODS[method]()
