"""The learner around a PyTorch module: predict the incoming rows, then learn and rehearse."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, ClassVar, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.optim import Optimizer

from streamreplay.batch import Batch
from streamreplay.learners.methods.catalogue import METHODS, Method, er, made_here, make_classifiers
from streamreplay.learners.models.factory_checks import check_factory, check_optimizer
from streamreplay.learners.models.mlp import ModuleFactory
from streamreplay.learners.neural.budget import ReplayBudget
from streamreplay.learners.neural.builder import Builder
from streamreplay.learners.neural.global_state import OwnRandomness, Surroundings, own_threads
from streamreplay.learners.neural.network import Network, OptimizerFactory
from streamreplay.learners.neural.predictor import Predictor
from streamreplay.learners.neural.questions import Questions
from streamreplay.learners.neural.retraining import Retraining
from streamreplay.learners.neural.stepper import Stepper
from streamreplay.learners.neural.targets import load_targets
from streamreplay.learners.neural.trainer import Trainer
from streamreplay.learners.neural.training import OnDivergence, Training
from streamreplay.learners.predictions import unknown
from streamreplay.learners.scaling import Normalize, Scaler
from streamreplay.learners.staging import Staging
from streamreplay.learners.withheld import step_around
from streamreplay.memory import empty_memory
from streamreplay.randomness import Seed
from streamreplay.records import Rehearsal, Scored
from streamreplay.state import PART, Fields, Kind, State, within

__all__ = ["TorchLearner"]


def _load_budget(name: str, live: ReplayBudget | None, saved: State | None) -> ReplayBudget | None:
    if live is not None and saved is not None:  # one that is new to the run begins here
        with within(name):
            live.load_state_dict(saved)
    return live


_BUDGET = Kind(PART.save, _load_budget)


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

    _STATE: ClassVar = Fields(
        batches=int,
        _scaler=PART,
        _network=PART,
        _trainer=PART,
        _predictor=PART,
        _retraining=PART,
        _budget=_BUDGET,
        _random=PART,  # last: building the network draws from it
    )

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
        check_factory(module)
        check_optimizer(optimizer)
        self.device = torch.device(device)
        self.threads = threads
        self.on_divergence = on_divergence
        self.method = _named(method)
        self.training = training or Training()
        self.batches = 0
        """Batches learned from."""
        if replay_budget is not None and self.method.retrain is not None:
            raise ValueError("replay_budget is for methods that rehearse with each batch")
        self._budget = replay_budget
        self._scaler = Scaler(normalize)
        self._staging = Staging(self._scaler)
        self._random = OwnRandomness(_torch_seed(seed), self.device)
        self._network = Network(module, optimizer, self.device, self._random)
        self._trainer = Trainer(
            self, self._network, self._staging, self.method, self.training, on_divergence
        )
        self._predictor = Predictor(
            self._network, self._staging, self._trainer.average, make_classifiers(self.method)
        )
        self._builder = Builder(self._network, self._predictor, self.training, self._random)
        self._retraining = Retraining(
            self._network,
            self._builder,
            self._scaler,
            self._trainer,
            self._predictor,
            self.method,
        )
        self._stepper = Stepper(
            self._network,
            self._scaler,
            self._staging,
            self._trainer,
            self._predictor,
            replay_budget,
        )
        # as with layers, only our own functions are known to draw no random number
        draws = self.training.augment is not None or not made_here(self.method)
        self._surroundings = Surroundings(
            threads, self._random, lambda: draws or not self._network.plain
        )
        self._questions = Questions(
            self._network, self._predictor, self._scaler, self._staging, self._surroundings
        )

    @property
    def module(self) -> nn.Module:
        """The module as it is now.

        Raises
        ------
        ValueError
            A factory was given, and no row has arrived yet.
        """
        return self._network.module

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
        if not self._network.built:
            raise ValueError("there are no classes to predict before the first row has arrived")
        self._network.check_shape(x)
        with self._surroundings():
            return self._network.targets.probabilities(self._predictor.predict(x))

    def predict(self, x: NDArray[Any]) -> NDArray[Any]:
        """Return the prediction of each row without learning, as in `Scored`.

        Raises
        ------
        ValueError
            Rows have another shape than those learned from, or no row has arrived yet.
        """
        if not self._network.built:
            raise ValueError("there is nothing to predict before the first row has arrived")
        self._network.check_shape(x)
        with self._surroundings():
            return self._predictor.predict_batch(Batch.from_arrays(x)).prediction

    def losses(self, batch: Batch) -> NDArray[np.float32]:
        """Return the present loss of each row: float32[n], NaN where it has no label.

        Nats, as `Scored.loss`; a class that was not met yet has the largest loss there is. Like
        `features` and `gradients`, this runs in evaluation mode and leaves no trace in the learner.

        Raises
        ------
        ValueError
            Rows have another shape than those learned from.
        """
        return self._questions.losses(batch)

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
        return self._questions.losses_after(lesson, batch)

    def features(self, x: NDArray[Any]) -> NDArray[np.float32]:
        """Return what the head is given for each row: float32[n, d].

        Of a module that does not end in a linear layer, its outputs; before the first row was
        learned, the rows themselves, flattened, uint8 divided by 255.

        Raises
        ------
        ValueError
            Rows have another shape than those learned from.
        """
        return self._questions.features(x)

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
        return self._questions.gradients(batch)

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
        with own_threads(self.threads), self._random():
            self._retraining.retrain(memory, passes, batch_size)

    def restart_schedule(self) -> None:
        """Start the schedule of the learning rate again, for example after a drift."""
        self._trainer.restart_schedule()

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
        return {"outputs": self._network.targets.state_dict(), **self._STATE.save(self)}

    def load_state_dict(self, state: State) -> None:
        """Take over a state of the same module, optimizer and scaling."""
        with within("outputs"):
            self._network.targets = load_targets(state["outputs"], self.training.huber)
        self._STATE.load(self, state)
        self._predictor.drop_copies()

    # -- one record ------------------------------------------------------------------------------

    def _step(self, rehearsal: Rehearsal) -> Scored:
        incoming = rehearsal.incoming
        if not len(incoming):
            nothing = np.empty(0, np.float32)
            return Scored(incoming, np.empty(0, np.int64), nothing, nothing)
        if not self._network.built:
            if incoming.withheld is not None:
                return step_around(rehearsal, self._step, unknown)
            if incoming.held_out:  # such rows must not decide what the module looks like
                return unknown(incoming).scored(incoming)
            self._builder.build(incoming)
        self._network.check_shape(incoming.x)
        self._network.targets.check(incoming)
        if not self._surroundings.needed:
            return self._work(rehearsal)
        with self._surroundings():
            return self._work(rehearsal)

    def _work(self, rehearsal: Rehearsal) -> Scored:
        incoming = rehearsal.incoming
        if self.method.retrain is not None:
            scored = self._retraining.step(rehearsal)
        elif incoming.held_out:
            fresh = self._predictor.refreshed(rehearsal.memory.stored, self.batches)
            scored = fresh.predict_batch(incoming).scored(incoming)
        elif incoming.withheld is not None and incoming.withheld.all():
            return self._stepper.predict(rehearsal)
        else:
            scored = self._stepper.learn(rehearsal)
        if not incoming.held_out:
            self.batches += 1
        return scored


def _torch_seed(seed: Seed) -> int:
    root = seed if isinstance(seed, np.random.SeedSequence) else np.random.SeedSequence(seed)
    return int(root.generate_state(1)[0])


def _named(method: Method | str | None) -> Method:
    if isinstance(method, Method):
        return method
    if method is None:
        return er()
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}, got {method!r}")
    return METHODS[method]()
