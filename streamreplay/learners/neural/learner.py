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
from streamreplay.learners.methods.catalogue import Method, find_method, made_here, make_classifiers
from streamreplay.learners.models.factory_checks import check_factory, check_optimizer
from streamreplay.learners.models.networks import ModuleFactory
from streamreplay.learners.neural.budget import BUDGET, ReplayBudget
from streamreplay.learners.neural.global_state import OwnRandomness, Surroundings, own_threads
from streamreplay.learners.neural.inference import Inference
from streamreplay.learners.neural.network import Network, OptimizerFactory
from streamreplay.learners.neural.predictor import Predictor, Questions
from streamreplay.learners.neural.stepper import Retraining, Stepper
from streamreplay.learners.neural.targets import check_objective, load_targets
from streamreplay.learners.neural.trainer import Trainer
from streamreplay.learners.neural.training import OnDivergence, Training
from streamreplay.learners.predictions import Foreseen, step_around, unknown
from streamreplay.learners.scaling import Normalize, Scaler, Staging
from streamreplay.memory import empty_memory
from streamreplay.randomness import Seed
from streamreplay.records import Rehearsal, Scored
from streamreplay.state import PART, Fields, State, save_state, within


@final
class TorchLearner:
    """Predict each incoming batch, then take training steps on it together with memory.

    The method decides how it learns from the two. Plain experience replay, the default, descends on
    the mean cross-entropy over the incoming rows and the rows of memory that were drawn for them. A
    batch is one averaged step, not one step for each of its rows. Rows without a label are
    predicted and enter no loss; they do enter the running scale of the features and, next to
    labelled rows, the statistics of batch normalisation.

    The last linear layer is the head: it grows when a label beyond its width appears, and classes
    that no label has named yet are masked out of predictions and losses.

    If the first rows have a ``target``, the outputs are numbers (learned by their squared error, in
    units of their running standard deviation) or labels (each learned by its cross-entropy). A
    row's ``weight`` is its weight in the mean of a step's loss.

    Parameters
    ----------
    module : torch.nn.Module or ModuleFactory
        A module, trained in place, or a factory that is called when the first row arrives.
    optimizer : callable or torch.optim.Optimizer
        Given the parameters, returns the optimizer: ``partial(torch.optim.SGD, lr=0.05)``. It can
        also be an optimizer over ``module.parameters()``.
    method : Method or str
        What is stored, retrieved and descended on; or a name from
        `streamreplay.learners.methods.catalogue.METHODS`.
    training : Training
        Averaged weights, clipping, smoothing, augmentation, schedules.
    replay_budget : ReplayBudget, optional
        Limits the time of rehearsal; without it all rows that were drawn are rehearsed. Each
        learner needs one of its own.
    normalize : {"auto", "standard", "none"}
        How features are scaled; see `streamreplay.learners.scaling.Scaler`.
    on_divergence : {"raise", "skip"}
        What to do if a loss is not finite: stop, or leave out the step.
    device : str or torch.device
    threads : int, optional
        CPU threads for this learner's work; None takes torch's setting. Results can differ in the
        last digits between numbers of threads.
    seed : int or numpy.random.SeedSequence
        For the module's own random numbers: initial weights, dropout. The state of torch's global
        generator is restored afterwards.

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
        _budget=BUDGET,
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
        self.method = find_method(method)
        self.training = training or Training()
        self.batches = 0
        """Batches learned from."""
        if replay_budget is not None and self.method.retrain is not None:
            got = method if isinstance(method, str) else "one that retrains from memory"
            raise ValueError(
                f"replay_budget is for methods that rehearse with each batch, got {got}"
            )
        self._budget = replay_budget
        self._scaler = Scaler(normalize)
        self._staging = Staging(self._scaler)
        self._random = OwnRandomness(seed, self.device)
        self._network = Network(module, optimizer, self.device, self._random)
        self._trainer = Trainer(
            self, self._network, self._staging, self.method, self.training, on_divergence
        )
        self._predictor = Predictor(
            self._network, self._staging, self._trainer.average, make_classifiers(self.method)
        )
        self._retraining = Retraining(self._trainer, self._predictor, self._random)
        self._stepper = Stepper(self._trainer, self._predictor, replay_budget)
        # as with layers, only our own functions are known to draw no random number
        draws = self.training.augment is not None or not made_here(self.method)
        self._surroundings = Surroundings(
            threads, self._random, lambda: draws or not self._network.plain
        )
        self._questions = Questions(self._predictor, self._surroundings)
        self.inference = Inference(
            self._network, self._predictor, self._retraining, self._surroundings
        )
        """What predicts, without what learns."""

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

        Classes that no label has named yet have probability 0. For rows with several labels, return
        the probability of each label.

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

    @property
    def fixed_inputs(self) -> tuple[int, int] | None:
        """Inputs of a module that cannot grow with the table, and how many later columns share.

        None for arrays, and for a module whose first layer is known (`input_layer`).
        """
        table = self._scaler.table
        return (table.width, table.shared) if table is not None and table.fixed else None

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
        return self.foresee(Batch.from_arrays(x)).predictions.prediction

    def foresee(self, batch: Batch) -> Foreseen:
        """Return what rows would be predicted to be if they came next, without learning."""
        return self.inference.foresee(batch)

    def losses(self, batch: Batch) -> NDArray[np.float32]:
        """Return the present loss of each row: float32[n], NaN where it has no label.

        Losses are in nats, as `Scored.loss`; a class that no label has named yet has the largest
        possible loss. Like `features` and `gradients`, this runs in evaluation mode and leaves no
        trace in the learner.

        Raises
        ------
        ValueError
            Rows have another shape than those learned from.
        """
        return self._questions.losses(batch)

    def losses_after(self, lesson: Batch, batch: Batch) -> NDArray[np.float32]:
        """Return what each row's loss would be after a step of gradient descent on other rows.

        The step descends on the mean loss of ``lesson``, at the optimizer's learning rate; no
        weight is changed.

        Parameters
        ----------
        lesson : Batch
            Rows with labels that are new to the model are left out.
        batch : Batch
            The rows whose losses are returned, float32[n], as by `losses`.

        Raises
        ------
        ValueError
            Rows have another shape or kind of target than those learned from.
        """
        return self._questions.losses_after(lesson, batch)

    def features(self, x: NDArray[Any]) -> NDArray[np.float32]:
        """Return what the head is given for each row: float32[n, d].

        For a module that does not end in a linear layer, return its outputs. Before the first row
        was learned, return the flattened rows, uint8 divided by 255.

        Raises
        ------
        ValueError
            Rows have another shape than those learned from.
        """
        return self._questions.features(x)

    def gradients(self, batch: Batch) -> NDArray[np.float32]:
        """Return each row's gradient of the loss at the head's weights and bias: float32[n, d].

        Entries are ordered by class, so that d grows at the end. A class that is new to the model
        counts as if it had probability 0; rows without a label have a gradient of 0. For a module
        that does not end in a linear layer, return the gradient at its outputs. Before the first
        row was learned there are no weights, and d is 0.

        Raises
        ------
        ValueError
            Rows have another shape than those learned from.
        """
        return self._questions.gradients(batch)

    def retrain(self, memory: Batch, passes: int = 30, batch_size: int = 32) -> None:
        """Replace the module by a fresh one that has learned only from these rows, as GDumb does.

        Parameters
        ----------
        memory : Batch
            Such as ``buffer.buffer``; rows without a label are left out.
        passes : int
            Passes over the rows, each in a new random order.
        batch_size : int
            Rows in a step.

        Raises
        ------
        ValueError
            A module was given instead of a factory, so there is no fresh one; no row has a label;
            or rows have another shape than those learned from.

        References
        ----------
        A. Prabhu et al., "GDumb: a simple approach that questions our progress in continual
        learning", 2020.
        """
        with own_threads(self.threads), self._random():
            self._retraining.retrain(memory, passes, batch_size)

    def restart_schedule(self) -> None:
        """Start the schedule of the learning rate again, for example after a drift."""
        if self._trainer.scheduler is not None:
            self._trainer.scheduler.restart()

    @property
    def scheduled(self) -> bool:
        """Whether there is a schedule of the learning rate."""
        return self._trainer.scheduler is not None

    def scale_lr(self, factor: float, rows: int | None = None) -> None:
        """Multiply the learning rate from the next batch on, in addition to a schedule.

        Parameters
        ----------
        factor : float
        rows : int, optional
            The number of rows of the stream that this holds for, up to the end of a batch; a later
            call replaces it. None: it holds from now on, times the factor before.

        Raises
        ------
        ValueError
            ``factor`` is not above 0 and finite, or ``rows`` is below 1.
        """
        self._trainer.boost.set(factor, rows)

    def state_dict(self) -> State:
        """Return everything that the next step depends on.

        Raises
        ------
        DivergenceError
            A weight is not finite.
        """
        return {"outputs": save_state(self._network.targets), **self._STATE.save(self)}

    def load_state_dict(self, state: State) -> None:
        """Load a state of the same module, optimizer, method and scaling."""
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
            self._retraining.build(incoming)
        if incoming.x.dtype.names is None:
            self._network.check_shape(incoming.x)
        else:
            self._network.fit_table(incoming.x, self._scaler)
        check_objective(self._network.targets, incoming)
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
